//! Sums and means over rows, which candle takes element by element on a CPU.

use super::kernel::computed;
use super::rows::{f32_slice, fold_rows, map_rows};
use super::{Path, check_channels, path, widened};
use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor};

/// `x + bias`, row by row: N x C and C. Differentiable in both.
///
/// # Errors
/// When `bias` does not have one value a channel, or another type.
pub fn add_bias(x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    check_channels("bias", "bias", x, bias)?;
    match path(x, &[x, bias]) {
        Path::Kernel => x.contiguous()?.apply_op2(&bias.contiguous()?, AddBias),
        _ => x.broadcast_add(bias),
    }
}

/// The mean over tokens, B x T x C -> B x C.
pub fn mean_over_tokens(x: &Tensor) -> Result<Tensor> {
    let (b, t, _) = x.dims3()?;
    let wide = widened(x)?;
    let each = Tensor::full(1.0 / t as f64, (b, 1, t), x.device())?.to_dtype(wide.dtype())?;
    let mean = each.matmul(&wide.contiguous()?)?.squeeze(1)?;
    mean.to_dtype(x.dtype())
}

struct AddBias;

impl CustomOp2 for AddBias {
    fn name(&self) -> &'static str {
        "add-bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        bias: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = f32_slice(self.name(), x, lx)?;
        let bias = f32_slice(self.name(), bias, lb)?;
        let out = map_rows(
            x,
            bias.len(),
            #[inline(always)]
            |x, out| {
                for ((o, x), b) in out.iter_mut().zip(x).zip(bias) {
                    *o = x + b
                }
            },
        );
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(grad.clone()), Some(column_sums(grad)?)))
    }
}

/// The sum over all but the last dimension.
fn column_sums(x: &Tensor) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    computed("column sums", [x], width, |[x]| {
        fold_rows(
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
        )
    })
}
