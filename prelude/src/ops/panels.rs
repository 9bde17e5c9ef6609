//! Matrix products whose right factor is packed into panels once for many rows, and whose left one is read where it lies. The
//! crate `gemm` packs both anew for each block of a result.

use super::raw::{self, Matrix, MatrixMut};
use super::rows::from_a_line;
use pulp::{Simd, WithSimd};
use std::cell::Cell;
use std::ops::Range;

/// Rows of a tile of the result, whose sums are held in registers.
const ROWS: usize = 6;

/// Vectors of columns of a tile: 12 of 16 registers hold sums.
const VECTORS: usize = 2;

/// Rows of a tile where there are 32 registers, as there are of vectors of 16 values.
const ROWS_OF_WIDE: usize = 8;

/// Vectors of columns of such a tile: 24 registers hold sums.
const VECTORS_OF_WIDE: usize = 3;

/// Rows of a tile of those that are left at the end.
const ROWS_LEFT: usize = 4;

/// Terms that are summed at a time: panels of so many for a block's columns stay in a core's own cache.
const DEPTH: usize = 768;

thread_local! {
    /// Panels of the right factor: a buffer that stays with a thread, as large as the largest panels that it has packed.
    static PANELS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Whether [`product`] is the faster one for large products on this processor: with AVX2 and AVX-512. Tiles are sized for
/// registers of at least 8 values.
pub fn fit() -> bool {
    struct Fit;
    impl WithSimd for Fit {
        type Output = bool;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> bool {
            S::F32_LANES >= 8
        }
    }
    pulp::Arch::new().dispatch(Fit)
}

/// `out = a b` on this thread alone. The values of a row of `a` are to lie side by side.
///
/// # Panics
/// When the shapes do not fit, or the values of a row of `a` lie apart.
pub fn product(a: Matrix, b: Matrix, out: MatrixMut) {
    let (m, n, k) = raw::sizes(&a, &b, &out);
    if m * n * k == 0 {
        return raw::product(a, b, 1.0, out);
    }
    assert_eq!(a.strides().1, 1, "the distance of a row's values");
    let mut buffer = PANELS.take();
    pulp::Arch::new().dispatch(Product {
        a,
        b,
        out,
        buffer: &mut buffer,
    });
    PANELS.set(buffer)
}

struct Product<'a> {
    a: Matrix<'a>,
    b: Matrix<'a>,
    out: MatrixMut<'a>,
    buffer: &'a mut Vec<f32>,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // The last panel is filled up with zeros: a wide one is not to have more of them.
        let filled = |vectors: usize| self.b.shape().1.next_multiple_of(vectors * S::F32_LANES);
        match S::F32_LANES == 16 && filled(VECTORS_OF_WIDE) <= filled(VECTORS) {
            true => self.tiles::<S, ROWS_OF_WIDE, VECTORS_OF_WIDE>(simd),
            false => self.tiles::<S, ROWS, VECTORS>(simd),
        }
    }
}

impl Product<'_> {
    /// The product by tiles of R rows and V vectors of columns.
    #[inline(always)]
    fn tiles<S: Simd, const R: usize, const V: usize>(&mut self, simd: S) {
        let ((m, k), n) = (self.a.shape(), self.b.shape().1);
        let width = V * S::F32_LANES;
        for from in (0..k).step_by(DEPTH) {
            let terms = from..k.min(from + DEPTH);
            let len = n.div_ceil(width) * width * terms.len();
            let panels = from_a_line(self.buffer, len);
            let each = width * terms.len();
            for (i, panel) in panels.chunks_exact_mut(each).enumerate() {
                let columns = i * width..n.min((i + 1) * width);
                pack(self.b, terms.clone(), columns, panel, width)
            }
            let panels = &*panels;
            let part = Part {
                a: self.a,
                panels,
                terms,
            };
            let out = &mut self.out;
            let mut top = part.all_rows::<S, R, V>(simd, 0..m, out);
            top = part.all_rows::<S, ROWS_LEFT, V>(simd, top..m, out);
            part.all_rows::<S, 1, V>(simd, top..m, out);
        }
    }
}

/// Some terms of the sums.
struct Part<'a> {
    a: Matrix<'a>,
    panels: &'a [f32],
    terms: Range<usize>,
}

impl Part<'_> {
    /// Takes R of the rows at a time as long as there are so many, and returns the first one that is left.
    #[inline(always)]
    fn all_rows<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        rows: Range<usize>,
        out: &mut MatrixMut,
    ) -> usize {
        let left = rows.len() % R;
        for top in (rows.start..rows.end - left).step_by(R) {
            self.rows::<S, R, V>(simd, top, out)
        }
        rows.end - left
    }

    /// Adds these terms to so many rows of the result, or begins them.
    #[inline(always)]
    fn rows<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        top: usize,
        out: &mut MatrixMut,
    ) {
        let width = V * S::F32_LANES;
        let (first, depth) = (self.terms.start, self.terms.len());
        let mut rows: [&[f32]; R] = [&[]; R];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = &self.a.from(top + i, first)[..depth]
        }
        for (at, panel) in self.panels.chunks_exact(width * depth).enumerate() {
            let sums = tile::<S, R, V>(simd, rows, S::as_simd_f32s(panel).0);
            for (i, sums) in sums.into_iter().enumerate() {
                let row = &mut out.row(top + i)[at * width..];
                let count = row.len().min(width);
                if count == width {
                    let (values, _) = S::as_mut_simd_f32s(&mut row[..width]);
                    for (value, sum) in values.iter_mut().zip(sums) {
                        *value = match first {
                            0 => sum,
                            _ => simd.add_f32s(sum, *value),
                        }
                    }
                    continue;
                }
                for (value, sum) in row[..count].iter_mut().zip(values_of::<S>(&sums)) {
                    *value = match first {
                        0 => *sum,
                        _ => sum + *value,
                    }
                }
            }
        }
    }
}

/// The values of vectors, one after the other.
#[inline(always)]
fn values_of<S: Simd>(vectors: &[S::f32s]) -> &[f32] {
    bytemuck::cast_slice(vectors)
}

/// The products of R rows with a panel's columns.
#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize>(
    simd: S,
    rows: [&[f32]; R],
    panel: &[S::f32s],
) -> [[S::f32s; V]; R] {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    let (panel, _) = panel.as_chunks::<V>();
    let depth = panel.len();
    // All of one length that is known here, so that no place has to be checked below.
    let rows: [&[f32]; R] = std::array::from_fn(
        #[inline(always)]
        |r| &rows[r][..depth],
    );
    for i in 0..depth {
        for r in 0..R {
            let value = simd.splat_f32s(rows[r][i]);
            for v in 0..V {
                sums[r][v] = simd.mul_add_f32s(panel[i][v], value, sums[r][v])
            }
        }
    }
    sums
}

/// Writes some terms of some columns into a panel: the values of one term side by side, zero beyond the last column.
#[inline(always)]
fn pack(b: Matrix, terms: Range<usize>, columns: Range<usize>, panel: &mut [f32], width: usize) {
    let (down, across) = b.strides();
    if columns.len() < width {
        panel.fill(0.0)
    }
    let from = b.from(terms.start, columns.start);
    if across == 1 {
        for (i, line) in panel.chunks_exact_mut(width).enumerate() {
            line[..columns.len()].copy_from_slice(&from[i * down..][..columns.len()])
        }
        return;
    }
    // Some columns together, so that they are read value by value and lines are written in parts.
    const TOGETHER: usize = 8;
    for first in (0..columns.len()).step_by(TOGETHER) {
        let count = TOGETHER.min(columns.len() - first);
        if down == 1 && count == TOGETHER {
            let mut values: [&[f32]; TOGETHER] = [&[]; TOGETHER];
            for (i, values) in values.iter_mut().enumerate() {
                *values = &from[(first + i) * across..][..terms.len()]
            }
            for (i, line) in panel.chunks_exact_mut(width).enumerate() {
                for (out, values) in line[first..][..TOGETHER].iter_mut().zip(values) {
                    *out = values[i]
                }
            }
            continue;
        }
        for (i, line) in panel.chunks_exact_mut(width).enumerate() {
            for (column, out) in line[first..][..count].iter_mut().enumerate() {
                *out = from[i * down + (first + column) * across]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::raw::assert_product;
    use super::*;

    /// Every remainder of rows, columns and terms, weights as they are, transposed and apart, beside other values.
    #[test]
    fn products_are_the_sums_written_out() {
        let of_rows = (1..=17).flat_map(|m| [(m, 33, 20), (m, 40, 20)]);
        let of_columns = (1..=99).map(|n| (7, n, 9));
        let of_terms = [0, 1, 2, DEPTH - 1, DEPTH, DEPTH + 1, 2 * DEPTH + 5].map(|k| (8, 19, k));
        for (m, n, k) in of_rows.chain(of_columns).chain(of_terms) {
            for apart in [(n + 1, 1), (1, k + 2), (2, 2 * k + 1)] {
                let within = 1e-5 * (k + 1) as f64;
                assert_product((m, n, k), [(k + 3, 1), apart], (1.0, within), product)
            }
        }
    }

    #[test]
    #[should_panic(expected = "the distance of a row's values")]
    fn a_transposed_left_factor_is_refused() {
        let (a, b) = ([0.0; 12], [0.0; 8]);
        let a = Matrix::new(&a, (3, 4), (1, 3));
        let b = Matrix::new(&b, (4, 2), (2, 1));
        product(a, b, MatrixMut::new(&mut [0.0; 6], (3, 2), 2));
    }

    #[test]
    #[should_panic(expected = "the product of (2, 3) and (2, 3) for (2, 2)")]
    fn shapes_that_do_not_fit_are_refused() {
        let x = [0.0; 6];
        let a = Matrix::new(&x, (2, 3), (3, 1));
        product(a, a, MatrixMut::new(&mut [0.0; 4], (2, 2), 2));
    }
}
