//! Layer normalisation over the last dimension.

use super::kernel::computed;
use super::rows::{f32_slice, fold_rows, map_rows, sum_of, zip_rows};
use super::{Path, check_channels, path, widened};
use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor};

/// Mean and reciprocal standard deviation (biased, with `eps`) of one row.
#[inline(always)]
fn statistics(x: &[f32], eps: f32) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = sum_of(x, |x| x) / n;
    let var = sum_of(x, |x| (x - mean) * (x - mean)) / n;
    (mean, 1.0 / (var + eps).sqrt())
}

struct Forward {
    eps: f32,
}

impl CustomOp3 for Forward {
    fn name(&self) -> &'static str {
        "layer-norm"
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
        let out = map_rows(
            x,
            gamma.len(),
            #[inline(always)]
            |x, out| {
                let (mean, rstd) = statistics(x, self.eps);
                for (i, o) in out.iter_mut().enumerate() {
                    *o = (x[i] - mean) * rstd * gamma[i] + beta[i]
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

/// dL/dx from x, gamma and the gradient of the result.
fn backward_input(x: &Tensor, gamma: &Tensor, grad: &Tensor, eps: f32) -> Result<Tensor> {
    computed(
        "layer norm backward",
        [x, gamma, grad],
        x.shape(),
        |[x, gamma, g]| {
            let n = gamma.len() as f32;
            zip_rows(
                x,
                g,
                gamma.len(),
                #[inline(always)]
                |x, g, out| {
                    let (mean, rstd) = statistics(x, eps);
                    let (mut sum, mut dot) = (0f32, 0f32);
                    for i in 0..x.len() {
                        let gg = g[i] * gamma[i];
                        sum += gg;
                        dot += gg * (x[i] - mean) * rstd;
                    }
                    let (sum, dot) = (sum / n, dot / n);
                    for (i, o) in out.iter_mut().enumerate() {
                        *o = rstd * (g[i] * gamma[i] - sum - (x[i] - mean) * rstd * dot)
                    }
                },
            )
        },
    )
}

/// dL/dgamma and dL/dbeta, stacked, from x and the gradient of the result.
fn backward_affine(x: &Tensor, grad: &Tensor, eps: f32) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    computed("layer norm backward", [x, grad], (2, width), |[x, g]| {
        fold_rows(
            x,
            g,
            width,
            2 * width,
            #[inline(always)]
            |x, g, acc| {
                let (mean, rstd) = statistics(x, eps);
                let (gamma, beta) = acc.split_at_mut(width);
                for i in 0..width {
                    gamma[i] += g[i] * (x[i] - mean) * rstd;
                    beta[i] += g[i];
                }
            },
        )
    })
}

/// `(x - mean) / sqrt(var + eps) * gamma + beta` over the last dimension (`torch.nn.LayerNorm`), of any float type,
/// differentiable wherever one of its inputs is tracked.
///
/// # Errors
/// When `gamma` or `beta` does not have one value a channel, or another type.
pub fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<Tensor> {
    check_channels("layer norm", "gamma", x, gamma)?;
    check_channels("layer norm", "beta", x, beta)?;
    match path(x, &[x, gamma, beta]) {
        Path::Kernel => {
            let (gamma, beta) = (gamma.contiguous()?, beta.contiguous()?);
            x.contiguous()?
                .apply_op3(&gamma, &beta, Forward { eps: eps as f32 })
        }
        Path::Widened => {
            layer_norm(&widened(x)?, &widened(gamma)?, &widened(beta)?, eps)?.to_dtype(x.dtype())
        }
        Path::Composed => composed(x, gamma, beta, eps),
        Path::Fused => {
            let (gamma, beta) = (gamma.contiguous()?, beta.contiguous()?);
            candle_nn::ops::layer_norm(&x.contiguous()?, &gamma, &beta, eps as f32)
        }
    }
}

/// The same result, composed of candle's differentiable operations.
pub(super) fn composed(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<Tensor> {
    let wide = widened(x)?;
    let centred = wide.broadcast_sub(&wide.mean_keepdim(D::Minus1)?)?;
    let var = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred
        .broadcast_div(&(var + eps)?.sqrt()?)?
        .broadcast_mul(&widened(gamma)?)?
        .broadcast_add(&widened(beta)?)?
        .to_dtype(x.dtype())
}
