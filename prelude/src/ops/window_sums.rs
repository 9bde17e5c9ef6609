//! What source tokens of attention heads come to, window by window, on all cores.

use super::kernel::computed;
use super::panels;
use super::raw::{Matrix, MatrixMut, filled_in_chunks};
use super::rows::vectorised;
use super::{Path, path, widened};
use candle_core::{Result, Tensor, bail};
use std::cell::RefCell;

/// The weighted sums of each head's value vectors over the tokens of all windows of an image: `v` G x H x N x c, `weights`
/// G x H x K x N, with `windows` of the G groups to an image; gives B x H x K x c. Differentiable wherever one of them is
/// tracked.
///
/// # Errors
/// When the shapes or types do not fit.
pub fn window_sums(v: &Tensor, weights: &Tensor, windows: usize) -> Result<Tensor> {
    let (g, h, n, c) = v.dims4()?;
    let (.., k, _) = weights.dims4()?;
    let fits = windows > 0 && g.is_multiple_of(windows) && v.dtype() == weights.dtype();
    if weights.dims() != [g, h, k, n] || !fits {
        bail!(
            "window sums: values {:?} of {:?}, weights {:?} of {:?}, {windows} windows an image",
            v.dims(),
            v.dtype(),
            weights.dims(),
            weights.dtype()
        )
    }
    let tracked = v.track_op() || weights.track_op();
    match path(v, &[v, weights]) {
        Path::Kernel if !tracked && k * c > 0 => {
            let shape = (g / windows, h, k, c);
            computed("window sums", [v, weights], shape, |[v, weights]| {
                summed(v, weights, shape, (windows, n))
            })
        }
        Path::Widened => {
            let sums = window_sums(&widened(v)?, &widened(weights)?, windows)?;
            sums.to_dtype(v.dtype())
        }
        _ => composed(v, weights, windows),
    }
}

/// The same result, composed of candle's differentiable operations.
fn composed(v: &Tensor, weights: &Tensor, windows: usize) -> Result<Tensor> {
    let (g, h, _, c) = v.dims4()?;
    let sums = weights.contiguous()?.matmul(&v.contiguous()?)?;
    let sums = sums.reshape((g / windows, windows, h, weights.dim(2)?, c))?;
    sums.sum(1)
}

thread_local! {
    /// The sums of one window: a buffer that stays with a thread.
    static SCRATCH: RefCell<Vec<f32>> = RefCell::default();
}

/// The values of [`window_sums`].
fn summed(
    v: &[f32],
    weights: &[f32],
    (b, h, k, c): (usize, usize, usize, usize),
    (windows, n): (usize, usize),
) -> Vec<f32> {
    filled_in_chunks(b * h * k * c, k * c, |task, out| {
        let (image, head) = (task / h, task % h);
        SCRATCH.with_borrow_mut(|sums| {
            sums.resize((k * c).max(sums.len()), 0.0);
            let sums = &mut sums[..k * c];
            for window in image * windows..(image + 1) * windows {
                let part = window * h + head;
                panels::product(
                    Matrix::new(&weights[part * k * n..], (k, n), (n, 1)),
                    Matrix::new(&v[part * n * c..], (n, c), (c, 1)),
                    MatrixMut::new(sums, (k, c), c),
                );
                vectorised(
                    #[inline(always)]
                    || {
                        for (out, sum) in out.iter_mut().zip(&*sums) {
                            *out += sum
                        }
                    },
                )
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{gap, random};
    use super::*;
    use candle_core::{DType, Var};

    #[test]
    fn sums_are_those_of_candles_products() -> Result<()> {
        for (b, windows, h, n, c, k) in [
            (1, 1, 1, 1, 1, 1),
            (2, 3, 2, 5, 4, 7),
            (3, 1, 2, 13, 8, 1),
            (1, 4, 3, 49, 32, 64),
        ] {
            let v = random(&[b * windows, h, n, c])?;
            let weights = random(&[b * windows, h, k, n])?;
            let got = window_sums(&v, &weights, windows)?;
            let double = |t: &Tensor| t.to_dtype(DType::F64);
            let want = window_sums(&double(&v)?, &double(&weights)?, windows)?;
            assert_eq!(got.dims(), [b, h, k, c]);
            assert!(gap(&got, &want.to_dtype(DType::F32)?)? < 1e-4);
        }
        Ok(())
    }

    #[test]
    fn a_gradient_is_not_lost_and_shapes_must_fit() -> Result<()> {
        let v = Var::from_tensor(&random(&[4, 2, 3, 5])?)?;
        let weights = random(&[4, 2, 6, 3])?;
        let slopes = window_sums(&v, &weights, 2)?.sum_all()?.backward()?;
        let want = weights.sum(2)?.unsqueeze(3)?.broadcast_as((4, 2, 3, 5))?;
        assert!(gap(slopes.get(&v).expect("a gradient"), &want)? < 1e-5);
        assert!(window_sums(&v, &weights, 3).is_err());
        assert!(window_sums(&v, &weights, 0).is_err());
        assert!(window_sums(&v, &random(&[4, 2, 6, 2])?, 2).is_err());
        Ok(())
    }
}
