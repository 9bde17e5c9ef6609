//! Softmax over the last dimension.

use super::kernel::computed;
use super::rows::{exp, f32_slice, map_rows, max_of, replace_and_sum, sum_of_pairs, zip_rows};
use super::{Path, path, widened};
use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};

struct Forward;

impl CustomOp1 for Forward {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = f32_slice(self.name(), x, l)?;
        let width = *l.dims().last().unwrap_or(&1);
        let out = map_rows(
            x,
            width,
            #[inline(always)]
            |x, out| {
                let max = max_of(x);
                out.copy_from_slice(x);
                let sum = replace_and_sum(
                    out,
                    #[inline(always)]
                    |x| exp(x - max),
                );
                let scale = 1.0 / sum;
                out.iter_mut().for_each(|o| *o *= scale)
            },
        );
        Ok((CpuStorage::F32(out), l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let width = y.dim(D::Minus1)?;
        let dx = computed("softmax backward", [y, grad], y.shape(), |[y, g]| {
            zip_rows(
                y,
                g,
                width,
                #[inline(always)]
                |y, g, out| {
                    let dot = sum_of_pairs(y, g, |y, g| y * g);
                    for ((o, &y), &g) in out.iter_mut().zip(y).zip(g) {
                        *o = y * (g - dot)
                    }
                },
            )
        });
        Ok(Some(dx?))
    }
}

/// Softmax over the last dimension, of any shape and float type, differentiable wherever its input is tracked.
pub fn softmax_last_dim(x: &Tensor) -> Result<Tensor> {
    match path(x, &[x]) {
        Path::Kernel => x.contiguous()?.apply_op1(Forward),
        Path::Widened => softmax_last_dim(&widened(x)?)?.to_dtype(x.dtype()),
        Path::Composed => composed(x),
        Path::Fused => candle_nn::ops::softmax_last_dim(&x.contiguous()?),
    }
}

/// The same result, composed of candle's differentiable operations. The maximum that is taken off before `exp` cancels out, so no
/// gradient goes through it.
pub(super) fn composed(x: &Tensor) -> Result<Tensor> {
    let wide = widened(x)?;
    let max = wide.max_keepdim(D::Minus1)?.detach();
    let powers = wide.broadcast_sub(&max)?.exp()?;
    let sums = powers.sum_keepdim(D::Minus1)?;
    powers.broadcast_div(&sums)?.to_dtype(x.dtype())
}
