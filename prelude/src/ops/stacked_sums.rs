//! Sums of pairs of matrices, put one after the other on all cores.

use super::kernel::computed_of_all;
use super::raw::filled_in_chunks;
use super::rows::vectorised;
use super::{Path, path};
use candle_core::{Result, Shape, Tensor, bail};

/// The P sums `a + b` of pairs of which the second may be missing, each M x N (one row stands for all M): P x M x N.
/// Differentiable wherever one of them is tracked.
///
/// # Errors
/// When there are none, and when the shapes or types do not fit.
pub fn stacked_sums(pairs: &[(Tensor, Option<Tensor>)], (m, n): (usize, usize)) -> Result<Tensor> {
    let Some((first, _)) = pairs.first() else {
        bail!("stacked sums: none are given")
    };
    let inputs: Vec<&Tensor> = pairs
        .iter()
        .flat_map(|(a, b)| std::iter::once(a).chain(b))
        .collect();
    for input in &inputs {
        let (rows, columns) = input.dims2()?;
        if ![1, m].contains(&rows) || columns != n || input.dtype() != first.dtype() {
            bail!(
                "stacked sums: {:?} of {:?} among sums of ({m}, {n}) of {:?}",
                input.dims(),
                input.dtype(),
                first.dtype()
            )
        }
    }
    let tracked = inputs.iter().any(|input| input.track_op());
    if path(first, &[first]) != Path::Kernel || tracked || m * n == 0 {
        let sums = pairs.iter().map(|(a, b)| match b {
            Some(b) => a.broadcast_add(b)?.broadcast_as((m, n)),
            None => a.broadcast_as((m, n)),
        });
        return Tensor::stack(&sums.collect::<Result<Vec<_>>>()?, 0);
    }
    let shape = Shape::from((pairs.len(), m, n));
    computed_of_all("stacked sums", &inputs, shape, |values| {
        let mut left = values.iter().copied();
        let pairs = pairs.iter().map(|(_, b)| {
            let a = left.next().expect("a value for each input");
            (a, b.as_ref().and_then(|_| left.next()))
        });
        let pairs: Vec<(&[f32], Option<&[f32]>)> = pairs.collect();
        filled_in_chunks(pairs.len() * m * n, m * n, |at, out| {
            let (a, b) = pairs[at];
            vectorised(
                #[inline(always)]
                || {
                    put(a, out);
                    if let Some(b) = b {
                        add(b, out)
                    }
                },
            )
        })
    })
}

/// Writes the rows of `values` over `out`, one row over all.
#[inline(always)]
fn put(values: &[f32], out: &mut [f32]) {
    for out in out.chunks_exact_mut(values.len()) {
        out.copy_from_slice(values)
    }
}

/// Adds the rows of `values` to `out`, one row to all.
#[inline(always)]
fn add(values: &[f32], out: &mut [f32]) {
    for out in out.chunks_exact_mut(values.len()) {
        for (out, value) in out.iter_mut().zip(values) {
            *out += value
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{gap, random};
    use super::*;
    use candle_core::{DType, Var};

    /// One row and all, with and without a second one, of parts of wider matrices.
    #[test]
    fn sums_are_candles() -> Result<()> {
        for (m, n) in [(1, 1), (3, 7), (5, 1030)] {
            let whole = random(&[m + 2, n])?;
            let row = random(&[1, n])?;
            let part = whole.narrow(0, 1, m)?;
            let transposed = random(&[n, m])?.t()?;
            let pairs = [
                (part.clone(), None),
                (row.clone(), None),
                (part.clone(), Some(row.clone())),
                (row.clone(), Some(transposed.clone())),
                (row.clone(), Some(row.clone())),
                (transposed.clone(), Some(part.clone())),
            ];
            let want = [
                part.clone(),
                row.broadcast_as((m, n))?,
                part.broadcast_add(&row)?,
                row.broadcast_add(&transposed)?,
                (&row + &row)?.broadcast_as((m, n))?,
                (&transposed + &part)?,
            ];
            let want = Tensor::stack(&want, 0)?;
            assert_eq!(gap(&stacked_sums(&pairs, (m, n))?, &want)?, 0.0);
            let double = pairs.map(|(a, b)| {
                let to = |t: Tensor| t.to_dtype(DType::F64).expect("a wider type");
                (to(a), b.map(to))
            });
            let got = stacked_sums(&double, (m, n))?;
            assert!(gap(&got.to_dtype(DType::F32)?, &want)? < 1e-6);
        }
        Ok(())
    }

    #[test]
    fn gradients_go_through_and_shapes_must_fit() -> Result<()> {
        let x = Var::from_tensor(&random(&[1, 3])?)?;
        let y = random(&[2, 3])?;
        let pairs = [(y.clone(), Some(x.as_tensor().clone())), (y.clone(), None)];
        let slopes = stacked_sums(&pairs, (2, 3))?.sum_all()?.backward()?;
        let slope = slopes.get(&x).expect("a gradient");
        assert_eq!(slope.to_vec2::<f32>()?, [[2.0; 3]]);
        assert!(stacked_sums(&[], (2, 3)).is_err());
        for other in [random(&[3, 3])?, random(&[2, 4])?, y.to_dtype(DType::F64)?] {
            assert!(stacked_sums(&[(y.clone(), Some(other))], (2, 3)).is_err())
        }
        Ok(())
    }
}
