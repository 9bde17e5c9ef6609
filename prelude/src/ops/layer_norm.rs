//! Layer normalisation over the last dimension.

use super::kernel::computed;
use super::raw::filled_in_chunks;
use super::rows::{f32_slice, fold_rows, map_rows, rows_per_task, sum_of, vectorised, zip_rows};
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

/// Mean and reciprocal standard deviation of the rows of `x`, as [`layer_norm`] with `eps` takes them: each ... for x:
/// ... x C. Half precision gives f32.
///
/// # Errors
/// When `x` is a scalar.
pub fn layer_norm_statistics(x: &Tensor, eps: f64) -> Result<(Tensor, Tensor)> {
    let x = &widened(x)?;
    let width = x.dim(D::Minus1)?;
    if path(x, &[x]) != Path::Kernel || x.track_op() || width == 0 {
        let mean = x.mean_keepdim(D::Minus1)?;
        let var = x.broadcast_sub(&mean)?.sqr()?.mean(D::Minus1)?;
        return Ok((mean.squeeze(D::Minus1)?, (var + eps)?.sqrt()?.recip()?));
    }
    let mut shape = x.dims().to_vec();
    shape.pop();
    // Both of a row side by side, so that a row is read once.
    shape.push(2);
    let both = computed("layer norm statistics", [x], shape, |[x]| {
        let each = rows_per_task(width);
        filled_in_chunks(x.len() / width * 2, 2 * each, |task, out| {
            let x = &x[task * each * width..];
            vectorised(
                #[inline(always)]
                || {
                    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(2)) {
                        let (mean, rstd) = statistics(x, eps as f32);
                        out[0] = mean;
                        out[1] = rstd
                    }
                },
            )
        })
    })?;
    let of = |place| {
        both.narrow(D::Minus1, place, 1)?
            .squeeze(D::Minus1)?
            .contiguous()
    };
    Ok((of(0)?, of(1)?))
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

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    /// One row and many, of one channel and of widths that no vector divides, and views.
    #[test]
    fn statistics_are_those_that_rows_are_normed_by() -> Result<()> {
        for (rows, width) in [(1, 1), (3, 7), (2, 64), (700, 33)] {
            let wide = Tensor::randn(2f32, 3., (2, rows, width + 2), &Device::Cpu)?;
            let x = wide.narrow(2, 1, width)?;
            let (mean, rstd) = layer_norm_statistics(&x, 1e-5)?;
            assert_eq!([mean.dims(), rstd.dims()], [&x.dims()[..2]; 2]);
            let ones = Tensor::ones(width, DType::F32, &Device::Cpu)?;
            let zeros = ones.zeros_like()?;
            let want = layer_norm(&x, &ones, &zeros, 1e-5)?;
            let got = x.broadcast_sub(&mean.unsqueeze(2)?)?;
            let got = got.broadcast_mul(&rstd.unsqueeze(2)?)?;
            let gap = (got - want)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(gap < 1e-6, "{rows} x {width}: {gap}");
        }
        Ok(())
    }

    /// Of other types and of variables they are composed of candle's operations.
    #[test]
    fn statistics_of_other_types_are_the_same() -> Result<()> {
        let x = Tensor::randn(0f32, 1., (5, 9), &Device::Cpu)?.to_dtype(DType::F16)?;
        let (mean, rstd) = layer_norm_statistics(&x, 1e-3)?;
        assert_eq!((mean.dtype(), rstd.dtype()), (DType::F32, DType::F32));
        let x = x.to_dtype(DType::F64)?;
        let others = [
            x.clone(),
            Var::from_tensor(&x.to_dtype(DType::F32)?)?
                .as_tensor()
                .clone(),
        ];
        for x in others {
            let (other_mean, other_rstd) = layer_norm_statistics(&x, 1e-3)?;
            for (a, b) in [(&mean, other_mean), (&rstd, other_rstd)] {
                let gap = (a - b.to_dtype(DType::F32)?)?.abs()?.max_all()?;
                assert!(gap.to_scalar::<f32>()? < 1e-6, "{:?}", x.dtype());
            }
        }
        Ok(())
    }
}
