//! One matrix product on the calling thread, by the crate that candle multiplies with.

use super::filled::Target;
use gemm::{Parallelism, gemm};
use rayon::prelude::*;

/// A matrix that lies in a slice with any distances between its rows and columns: a transpose or a part of a wider
/// matrix needs no copy.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: &'a [f32],
    shape: (usize, usize),
    strides: (usize, usize),
}

/// A matrix to write to: the values of a row lie side by side.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    data: &'a mut [f32],
    shape: (usize, usize),
    row_stride: usize,
}

/// One past the place of the last value, if the numbers are not beyond all memory.
fn reach((rows, columns): (usize, usize), (down, across): (usize, usize)) -> Option<usize> {
    match rows.checked_sub(1).zip(columns.checked_sub(1)) {
        Some((row, column)) => {
            let last = row
                .checked_mul(down)?
                .checked_add(column.checked_mul(across)?)?;
            last.checked_add(1)
        }
        None => Some(0),
    }
}

impl<'a> Matrix<'a> {
    /// `shape`: rows and columns; `strides`: the distance from one row to the next, and from one column to the next.
    ///
    /// # Panics
    /// When `data` does not reach that far.
    pub fn new(data: &'a [f32], shape: (usize, usize), strides: (usize, usize)) -> Self {
        let inside = reach(shape, strides).is_some_and(|reach| reach <= data.len());
        assert!(
            inside,
            "a matrix {shape:?}, {strides:?} apart, in {} values",
            data.len()
        );
        Self {
            data,
            shape,
            strides,
        }
    }

    /// Columns as rows.
    pub fn transposed(self) -> Self {
        let ((rows, columns), (down, across)) = (self.shape, self.strides);
        Self {
            shape: (columns, rows),
            strides: (across, down),
            ..self
        }
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// The value in a row and a column, and what lies behind it.
    ///
    /// # Panics
    /// When there is no such value.
    pub fn from(&self, row: usize, column: usize) -> &'a [f32] {
        let ((rows, columns), (down, across)) = (self.shape, self.strides);
        assert!(
            row < rows && column < columns,
            "row {row}, column {column} of {:?}",
            self.shape
        );
        &self.data[row * down + column * across..]
    }

    /// The distances from one row to the next, and from one column to the next.
    pub fn strides(&self) -> (usize, usize) {
        self.strides
    }

    /// Rows `from .. from + count` alone.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn rows(self, from: usize, count: usize) -> Self {
        let ((rows, columns), (down, _)) = (self.shape, self.strides);
        assert!(
            from <= rows && count <= rows - from,
            "rows {from} and {count} more of {rows}"
        );
        if count == 0 || columns == 0 {
            return Self::new(&[], (count, columns), self.strides);
        }
        Self::new(&self.data[from * down..], (count, columns), self.strides)
    }
}

impl<'a> MatrixMut<'a> {
    /// `shape`: rows and columns; `row_stride`: the distance from one row to the next.
    ///
    /// # Panics
    /// When `data` does not reach that far, or rows overlap.
    pub fn new(data: &'a mut [f32], shape: (usize, usize), row_stride: usize) -> Self {
        let inside = reach(shape, (row_stride, 1)).is_some_and(|reach| reach <= data.len());
        assert!(
            inside && (row_stride >= shape.1 || shape.0 <= 1),
            "a matrix {shape:?}, rows {row_stride} apart, in {} values",
            data.len()
        );
        Self {
            data,
            shape,
            row_stride,
        }
    }

    /// A row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.shape.0, "row {row} of {:?}", self.shape);
        &mut self.data[row * self.row_stride..][..self.shape.1]
    }
}

/// The rows and columns of the product of `a` and `b`, and the terms of its sums.
///
/// # Panics
/// When the shapes do not fit, or `out` has another.
pub fn sizes(a: &Matrix, b: &Matrix, out: &MatrixMut) -> (usize, usize, usize) {
    let ((m, k), (inner, n)) = (a.shape, b.shape);
    assert!(
        k == inner && out.shape == (m, n),
        "the product of {:?} and {:?} for {:?}",
        a.shape,
        b.shape,
        out.shape
    );
    (m, n, k)
}

/// `out = scale * a b`, on this thread alone.
///
/// # Panics
/// When the shapes do not fit.
pub fn product(a: Matrix, b: Matrix, scale: f32, out: MatrixMut) {
    let (m, n, k) = sizes(&a, &b, &out);
    // The stride of a single row or column is never followed, and may be any number.
    let stride = |x: usize| x as isize;
    // SAFETY: `gemm` reads `a` and `b` and writes `out` at row * row stride + column * column stride for the rows and
    // columns of the shapes passed on, which the constructors have checked to lie within the slices (of which none is
    // longer than `isize::MAX` bytes, so that no offset overflows). `out` is borrowed mutably: it overlaps with neither
    // of the others, and its rows do not overlap. It is not read (`read_dst` is false), and f32 has no invalid values.
    unsafe {
        gemm(
            m,
            n,
            k,
            out.data.as_mut_ptr(),
            1,
            stride(out.row_stride),
            false,
            a.data.as_ptr(),
            stride(a.strides.1),
            stride(a.strides.0),
            b.data.as_ptr(),
            stride(b.strides.1),
            stride(b.strides.0),
            0.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        )
    }
}

/// How a product is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Rows and columns of the part of the result that a task makes.
    pub task: (usize, usize),
    /// Columns of it that are made at a time.
    pub columns_each: usize,
}

/// `a b` on all cores; `finish` is given each row of each block, from the column on that it is told, while the block is in
/// the core's cache.
///
/// # Panics
/// When the shapes do not fit, or a block would be empty.
pub fn product_in_blocks(
    a: Matrix,
    b: Matrix,
    cut: Cut,
    finish: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let ((m, k), (inner, n)) = (a.shape, b.shape);
    let (rows_each, columns_of_task) = cut.task;
    assert!(
        k == inner && rows_each > 0 && columns_of_task > 0 && cut.columns_each > 0,
        "the product of {:?} and {:?}, cut as {cut:?}",
        a.shape,
        b.shape
    );
    let len = m.checked_mul(n).expect("a product that fits into memory");
    let mut out: Vec<f32> = Vec::with_capacity(len);
    if len == 0 {
        return out;
    }
    let target = Target::new(&mut out);
    let columns = b.transposed();
    let across = n.div_ceil(columns_of_task);
    (0..m.div_ceil(rows_each) * across)
        .into_par_iter()
        .for_each(|task| {
            let (top, left) = (task / across * rows_each, task % across * columns_of_task);
            let rows = rows_each.min(m - top);
            let right = n.min(left + columns_of_task);
            let a = a.rows(top, rows);
            for from in (left..right).step_by(cut.columns_each) {
                let count = cut.columns_each.min(right - from);
                let b = columns.rows(from, count).transposed();
                // SAFETY: `a` is `rows` x k and `b` k x `count`, within their slices, as for `product`. The result is
                // written to rows `top .. top + rows` and columns `from .. from + count` of the m rows of n values that
                // `out` has room for, each value of them (zeros where k is 0). Tasks differ in their rows or in their
                // columns, and the blocks of a task in their columns, so that no two write to one value; nothing else
                // uses `out` before the tasks have ended, and it is not read (`read_dst` is false).
                unsafe {
                    gemm(
                        rows,
                        count,
                        k,
                        target.at(top * n + from),
                        1,
                        n as isize,
                        false,
                        a.data.as_ptr(),
                        a.strides.1 as isize,
                        a.strides.0 as isize,
                        b.data.as_ptr(),
                        b.strides.1 as isize,
                        b.strides.0 as isize,
                        0.0,
                        1.0,
                        false,
                        false,
                        false,
                        Parallelism::None,
                    )
                }
                for row in top..top + rows {
                    // SAFETY: these `count` values were written by the product above, and are this block's alone.
                    let row =
                        unsafe { std::slice::from_raw_parts_mut(target.at(row * n + from), count) };
                    finish(from, row)
                }
            }
        });
    // SAFETY: the capacity is at least `len`, and the tasks have written all columns of all rows.
    unsafe { out.set_len(len) }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Numbers between -1 and 1, other ones for another seed.
    pub fn numbers(n: usize, seed: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 7919 + seed * 104_729) % 1009) as f32 / 500.0 - 1.0;
        (0..n).map(number).collect()
    }

    /// Checks that `multiply` writes `scale` times the product of an m x k and a k x n matrix, whose rows and columns are so
    /// far apart, `within` a distance of the sums written out, and nothing beside it.
    pub fn assert_product(
        (m, n, k): (usize, usize, usize),
        [apart_a, apart_b]: [(usize, usize); 2],
        (scale, within): (f64, f64),
        multiply: impl FnOnce(Matrix, Matrix, MatrixMut),
    ) {
        let values = |shape, apart, seed| numbers(reach(shape, apart).expect("a size"), seed);
        let (a, b) = (values((m, k), apart_a, 1), values((k, n), apart_b, 2));
        let a = Matrix::new(&a, (m, k), apart_a);
        let b = Matrix::new(&b, (k, n), apart_b);
        let wide = n + 2;
        let mut out = vec![9.0; m * wide];
        multiply(a, b, MatrixMut::new(&mut out, (m, n), wide));
        for (row, got) in out.chunks(wide).enumerate() {
            for (column, got) in got[..n].iter().enumerate() {
                let term = |i| a.from(row, i)[0] as f64 * b.from(i, column)[0] as f64;
                let want = scale * (0..k).map(term).sum::<f64>();
                assert!(
                    (*got as f64 - want).abs() < within,
                    "{m} {n} {k} {apart_a:?} {apart_b:?}: {got}, {want}"
                );
            }
            assert!(
                got[n..].iter().all(|x| *x == 9.0),
                "written beside the rows"
            );
        }
    }

    /// Parts of wider matrices, as they are and transposed, of sizes that no kernel divides.
    #[test]
    fn products_are_the_sums_written_out() {
        let sizes = [
            (1, 1, 1),
            (1, 5, 3),
            (7, 1, 2),
            (3, 4, 0),
            (13, 17, 33),
            (70, 65, 130),
            (2, 300, 1),
        ];
        for (m, n, k) in sizes {
            for apart in [[(k + 3, 1), (n + 1, 1)], [(1, m + 3), (1, k + 1)]] {
                assert_product((m, n, k), apart, (0.5, 1e-4), |a, b, out| {
                    product(a, b, 0.5, out)
                })
            }
        }
    }

    #[test]
    fn blocks_make_up_the_product() {
        for (m, n, k) in [(1, 1, 1), (5, 0, 2), (7, 5, 0), (70, 65, 9), (33, 200, 17)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let (a, b) = (
                Matrix::new(&a, (m, k), (k, 1)),
                Matrix::new(&b, (k, n), (1, k)),
            );
            let mut want = vec![0.0; m * n];
            product(a, b, 1.0, MatrixMut::new(&mut want, (m, n), n));
            for (task, columns_each) in [
                ((1, 1), 1),
                ((16, 7), 3),
                ((33, 65), 65),
                ((9, 1000), 7),
                ((1000, 64), 1000),
                ((1000, 1000), 1000),
            ] {
                let cut = Cut { task, columns_each };
                let got = product_in_blocks(a, b, cut, |from, row| {
                    for (i, x) in row.iter_mut().enumerate() {
                        *x += (from + i) as f32
                    }
                });
                assert_eq!(got.len(), m * n);
                for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                    assert!(
                        (got - want - (i % n) as f32).abs() < 1e-4,
                        "{m} {n} {k} {cut:?}"
                    );
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "a matrix (2, 3), (4, 1) apart, in 6 values")]
    fn a_matrix_beyond_its_slice_is_refused() {
        Matrix::new(&[0.0; 6], (2, 3), (4, 1));
    }

    #[test]
    #[should_panic(expected = "rows 2 apart")]
    fn rows_that_overlap_are_refused() {
        MatrixMut::new(&mut [0.0; 6], (2, 3), 2);
    }

    #[test]
    #[should_panic(expected = "the product of")]
    fn shapes_that_do_not_fit_are_refused() {
        let x = [0.0; 6];
        let a = Matrix::new(&x, (2, 3), (3, 1));
        product(a, a, 1.0, MatrixMut::new(&mut [0.0; 4], (2, 2), 2));
    }
}
