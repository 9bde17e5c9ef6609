//! Batch normalisation over all but the last dimension, with the statistics of the batch.

use super::kernel::computed;
use super::rows::{f32_slice, fold_rows, map_rows, zip_rows};
use super::{Path, check_channels, path, widened};
use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, bail};

/// `(x - mean) / sqrt(var + eps) * gamma + beta`, and the mean and (biased) variance of each channel, without their
/// gradients, as 2 x C (f32 where `x` is of half precision). Differentiable wherever one of its inputs is tracked.
///
/// # Errors
/// When `x` has no dimension beside the channels, `gamma` or `beta` not one value a channel, or another type.
pub fn batch_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<(Tensor, Tensor)> {
    if x.rank() < 2 {
        bail!(
            "batch norm: the input has the shape {:?}, which is no batch",
            x.dims()
        )
    }
    check_channels("batch norm", "gamma", x, gamma)?;
    check_channels("batch norm", "beta", x, beta)?;
    match path(x, &[x, gamma, beta]) {
        Path::Kernel => {
            let x = x.contiguous()?;
            let (gamma, beta) = (gamma.contiguous()?, beta.contiguous()?);
            let width = x.dim(D::Minus1)?;
            let seen = computed("batch statistics", [&x], (2, width), |[x]| {
                statistics(x, width)
            })?;
            let y = x.apply_op3(&gamma, &beta, Forward { eps: eps as f32 })?;
            Ok((y, seen))
        }
        _ => composed(x, gamma, beta, eps),
    }
}

/// The same result, composed of candle's differentiable operations.
fn composed(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<(Tensor, Tensor)> {
    let (wide, gamma, beta) = (widened(x)?, widened(gamma)?, widened(beta)?);
    let rows = wide.contiguous()?.flatten_to(x.rank() - 2)?;
    let mean = rows.mean(0)?;
    let centred = rows.broadcast_sub(&mean)?;
    let var = centred.sqr()?.mean(0)?;
    let scale = (gamma / (&var + eps)?.sqrt()?)?;
    let y = centred.broadcast_mul(&scale)?.broadcast_add(&beta)?;
    let seen = Tensor::stack(&[mean.detach(), var.detach()], 0)?;
    Ok((y.reshape(x.shape())?.to_dtype(x.dtype())?, seen))
}

/// Mean and biased variance of each column, one after the other.
fn statistics(x: &[f32], width: usize) -> Vec<f32> {
    let n = (x.len() / width.max(1)) as f32;
    let mut mean = fold_rows(
        x,
        x,
        width,
        width,
        #[inline(always)]
        |x, _, sum| {
            for (sum, x) in sum.iter_mut().zip(x) {
                *sum += x
            }
        },
    );
    mean.iter_mut().for_each(|sum| *sum /= n);
    let var = fold_rows(
        x,
        x,
        width,
        width,
        #[inline(always)]
        |x, _, sum| {
            for ((sum, x), mean) in sum.iter_mut().zip(x).zip(&mean) {
                *sum += (x - mean) * (x - mean)
            }
        },
    );
    mean.extend(var.into_iter().map(|sum| sum / n));
    mean
}

/// Mean and reciprocal standard deviation of each column.
fn centre_and_scale(x: &[f32], width: usize, eps: f32) -> (Vec<f32>, Vec<f32>) {
    let mut mean = statistics(x, width);
    let rstd = mean.split_off(width);
    (mean, rstd.iter().map(|v| 1.0 / (v + eps).sqrt()).collect())
}

struct Forward {
    eps: f32,
}

impl CustomOp3 for Forward {
    fn name(&self) -> &'static str {
        "batch-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        gamma: &CpuStorage,
        lg: &Layout,
        beta: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = f32_slice(self.name(), x, lx)?;
        let gamma = f32_slice(self.name(), gamma, lg)?;
        let beta = f32_slice(self.name(), beta, lb)?;
        let (mean, rstd) = centre_and_scale(x, gamma.len(), self.eps);
        let scale: Vec<_> = gamma.iter().zip(&rstd).map(|(g, r)| g * r).collect();
        let out = map_rows(
            x,
            gamma.len(),
            #[inline(always)]
            |x, out| {
                for (i, o) in out.iter_mut().enumerate() {
                    *o = (x[i] - mean[i]) * scale[i] + beta[i]
                }
            },
        );
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        _beta: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dx = backward_input(x, gamma, grad, self.eps)?;
        let affine = backward_affine(x, grad, self.eps)?;
        Ok((Some(dx), Some(affine.get(0)?), Some(affine.get(1)?)))
    }
}

/// dL/dgamma, then dL/dbeta: the sums over rows of grad times the normalised x, and of grad.
fn affine_gradients(x: &[f32], grad: &[f32], mean: &[f32], rstd: &[f32]) -> Vec<f32> {
    let width = mean.len();
    fold_rows(
        x,
        grad,
        width,
        2 * width,
        #[inline(always)]
        |x, g, acc| {
            let (gamma, beta) = acc.split_at_mut(width);
            for i in 0..width {
                gamma[i] += g[i] * (x[i] - mean[i]) * rstd[i];
                beta[i] += g[i];
            }
        },
    )
}

/// dL/dx.
fn backward_input(x: &Tensor, gamma: &Tensor, grad: &Tensor, eps: f32) -> Result<Tensor> {
    computed(
        "batch norm backward",
        [x, gamma, grad],
        x.shape(),
        |[x, gamma, grad]| {
            let width = gamma.len();
            let n = (x.len() / width.max(1)) as f32;
            let (mean, rstd) = centre_and_scale(x, width, eps);
            let sums = affine_gradients(x, grad, &mean, &rstd);
            let (along, total) = sums.split_at(width);
            zip_rows(
                x,
                grad,
                width,
                #[inline(always)]
                |x, g, out| {
                    for i in 0..width {
                        let normal = (x[i] - mean[i]) * rstd[i];
                        let rest = (total[i] + normal * along[i]) / n;
                        out[i] = gamma[i] * rstd[i] * (g[i] - rest)
                    }
                },
            )
        },
    )
}

/// dL/dgamma and dL/dbeta, stacked.
fn backward_affine(x: &Tensor, grad: &Tensor, eps: f32) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    computed("batch norm backward", [x, grad], (2, width), |[x, grad]| {
        let (mean, rstd) = centre_and_scale(x, width, eps);
        affine_gradients(x, grad, &mean, &rstd)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn values_and_gradients_are_the_written_out_ones() -> Result<()> {
        let cpu = &Device::Cpu;
        let x = Var::randn(1f32, 2., (3, 4, 5), cpu)?;
        let gamma = Var::randn(1f32, 0.5, 5, cpu)?;
        let beta = Var::randn(0f32, 0.5, 5, cpu)?;
        let (mine, seen) = batch_norm(&x, &gamma, &beta, 1e-3)?;
        let rows = x.flatten_to(1)?;
        let mean = rows.mean(0)?;
        let centred = rows.broadcast_sub(&mean)?;
        let var = centred.sqr()?.mean(0)?;
        let scale = (gamma.as_tensor() / (&var + 1e-3)?.sqrt()?)?;
        let theirs = centred.broadcast_mul(&scale)?.broadcast_add(&beta)?;
        let theirs = theirs.reshape(x.shape())?;
        let close = |a: &Tensor, b: &Tensor| -> Result<()> {
            let error = (a - b)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(error < 1e-4, "{error}");
            Ok(())
        };
        close(&mine, &theirs)?;
        close(&seen, &Tensor::stack(&[mean, var], 0)?)?;
        let probe = Tensor::randn(0f32, 1., x.shape(), cpu)?;
        let gradients = |y: &Tensor| (y * &probe)?.sum_all()?.backward();
        let (mine, theirs) = (gradients(&mine)?, gradients(&theirs)?);
        for var in [&x, &gamma, &beta] {
            let (mine, theirs) = (mine.get(var), theirs.get(var));
            close(mine.expect("a gradient"), theirs.expect("a gradient"))?
        }
        Ok(())
    }
}
