//! Linear layers side by side, each on rows of its own: what heads have of a layer behind them.

use super::kernel::computed;
use super::panels;
use super::raw::{Matrix, MatrixMut, filled_in_blocks};
use super::rows::vectorised;
use super::{Path, matmul, path};
use candle_core::{CpuStorage, Result, Storage, Tensor, bail};
use std::cell::Cell;

/// Columns of a block of results: so many rows of a weight stay in a core's own cache.
const COLUMNS: usize = 256;

/// Columns of a block where a weight is read in lines: parts of lines, so long that a core reads ahead in them.
const COLUMNS_OF_LINES: usize = 512;

/// Rows from which on packing a block of a weight is little beside their products, and less than the transpose of a result.
const MANY_ROWS: usize = 32;

thread_local! {
    /// The transpose of a block of results: a buffer that stays with a thread.
    static TRANSPOSED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Lines of a weight that are read together.
const LINES: usize = 8;

/// `x[g] weight[g]^T` for each of G groups, x: G x R x K, `weight`: G x N x K; gives G x R x N, differentiable wherever one
/// of them is tracked. A weight on the CPU may be a view, where its last dimension lies side by side or the one before it
/// does.
///
/// # Errors
/// When the shapes or types do not fit.
pub fn batched_linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let ((g, r, k), (groups, n, inner)) = (x.dims3()?, weight.dims3()?);
    if g != groups || k != inner || x.dtype() != weight.dtype() {
        bail!(
            "batched linear: rows {:?} of {:?}, weights {:?} of {:?}",
            x.dims(),
            x.dtype(),
            weight.dims(),
            weight.dtype()
        )
    }
    let tracked = x.track_op() || weight.track_op();
    let &[apart, down, across] = weight.stride() else {
        bail!("batched linear: {:?}", weight.layout())
    };
    let side_by_side = across == 1 || k == 1;
    let in_lines = down == 1 && n > 1;
    let kernel = path(x, &[x, weight]) == Path::Kernel && !tracked && g * r * n > 0;
    if !kernel || !(side_by_side || in_lines) {
        return matmul(&x.contiguous()?, &weight.transpose(1, 2)?.contiguous()?);
    }
    let (storage, layout) = weight.storage_and_layout();
    let Storage::Cpu(CpuStorage::F32(values)) = &*storage else {
        bail!("batched linear: the weights are no matrices of f32 on the CPU")
    };
    let values = &values[layout.start_offset()..];
    computed("batched linear", [x], (g, r, n), |[x]| {
        let each = match in_lines {
            true => COLUMNS_OF_LINES,
            false => COLUMNS,
        };
        filled_in_blocks((g * r, n), (r, each), |rows, columns, block| {
            let group = rows.start / r;
            let (x, values) = (&x[group * r * k..][..r * k], &values[group * apart..]);
            if in_lines {
                let values = &values[columns.start..];
                return vectorised(
                    #[inline(always)]
                    || sum_lines(x, (values, across), (k, columns.len()), block),
                );
            }
            let x = Matrix::new(x, (r, k), (k, 1));
            let weight = Matrix::new(values, (n, k), (down, 1));
            let weight = weight.rows(columns.start, columns.len());
            if r >= MANY_ROWS {
                let out = MatrixMut::new(block, (r, columns.len()), columns.len());
                return panels::product(x, weight.transposed(), out);
            }
            let mut transposed = TRANSPOSED.take();
            transposed.resize(block.len().max(transposed.len()), 0.0);
            // The weight is the left factor, which is read where it lies: rows are few, and packing it would take longer
            // than their products.
            let out = MatrixMut::new(&mut transposed, (columns.len(), r), r);
            panels::product(weight, x.transposed(), out);
            for (i, row) in block.chunks_exact_mut(columns.len()).enumerate() {
                for (out, values) in row.iter_mut().zip(transposed.chunks_exact(r)) {
                    *out = values[i]
                }
            }
            TRANSPOSED.set(transposed)
        })
    })
}

/// Fills `block` row by row, each of so many columns: for a row of `x`, k values, the sum of these times k lines, which begin
/// so far from one another. Lines are read once for all rows.
#[inline(always)]
fn sum_lines(x: &[f32], lines: (&[f32], usize), sizes: (usize, usize), block: &mut [f32]) {
    block.fill(0.0);
    let (k, _) = sizes;
    let whole = k - k % LINES;
    for first in (0..whole).step_by(LINES) {
        add_lines::<LINES>(x, first, lines, sizes, block)
    }
    for line in whole..k {
        add_lines::<1>(x, line, lines, sizes, block)
    }
}

/// Adds T lines from `first` on, times their values of `x`.
#[inline(always)]
fn add_lines<const T: usize>(
    x: &[f32],
    first: usize,
    (values, apart): (&[f32], usize),
    (k, columns): (usize, usize),
    block: &mut [f32],
) {
    let mut lines: [&[f32]; T] = [&[]; T];
    for (i, line) in lines.iter_mut().enumerate() {
        *line = &values[(first + i) * apart..][..columns]
    }
    for (x, out) in x.chunks_exact(k).zip(block.chunks_exact_mut(columns)) {
        let (x, out) = (&x[first..][..T], &mut out[..columns]);
        for column in 0..columns {
            let mut sum = out[column];
            for t in 0..T {
                sum = lines[t][column].mul_add(x[t], sum)
            }
            out[column] = sum
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{gap, random};
    use super::*;
    use candle_core::{DType, Var};

    /// One group and several, one row and many, one term; weights that are a part of a wider matrix, as heads have them, and
    /// weights whose values lie apart.
    #[test]
    fn rows_are_multiplied_by_the_weight_of_their_group() -> Result<()> {
        for (g, r, k, n) in [
            (1, 1, 1, 1),
            (3, 8, 32, 700),
            (2, 150, 5, 13),
            (4, 7, 1, 256),
            (2, 0, 3, 4),
        ] {
            let x = random(&[g, r, k])?;
            let wide = random(&[n, g * k])?;
            let of_heads = wide.reshape((n, g, k))?.transpose(0, 1)?;
            let apart = random(&[g, k, n])?.transpose(1, 2)?;
            for weight in [random(&[g, n, k])?, of_heads, apart] {
                let got = batched_linear(&x, &weight)?;
                assert_eq!(got.dims(), [g, r, n]);
                let double = |t: &Tensor| t.to_dtype(DType::F64);
                let want = batched_linear(&double(&x)?, &double(&weight)?)?;
                if r > 0 {
                    assert!(
                        gap(&got, &want.to_dtype(DType::F32)?)? < 1e-4,
                        "{g} {r} {k} {n}"
                    );
                }
            }
        }
        Ok(())
    }

    #[test]
    fn gradients_lead_to_rows_and_weights() -> Result<()> {
        let (x, weight) = (
            Var::from_tensor(&random(&[2, 3, 4])?)?,
            Var::from_tensor(&random(&[2, 5, 4])?)?,
        );
        let probe = random(&[2, 3, 5])?;
        let gradients = (batched_linear(&x, &weight)? * &probe)?
            .sum_all()?
            .backward()?;
        let of_x = gradients.get(&x).expect("a gradient");
        assert!(gap(of_x, &probe.matmul(&weight)?)? < 1e-5);
        let of_weight = gradients.get(&weight).expect("a gradient");
        assert!(gap(of_weight, &probe.transpose(1, 2)?.matmul(&x)?)? < 1e-5);
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<()> {
        let x = random(&[2, 3, 4])?;
        assert!(batched_linear(&x, &random(&[2, 5, 3])?).is_err());
        assert!(batched_linear(&x, &random(&[1, 5, 4])?).is_err());
        assert!(batched_linear(&x, &random(&[2, 5, 4])?.to_dtype(DType::F64)?).is_err());
        Ok(())
    }
}
