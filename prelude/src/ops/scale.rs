//! Products with one factor for each channel, on all cores.

use super::raw::filled_in_chunks;
use super::rows::{f32_slice, map_rows, vectorised};
use super::{Path, check_channels, path};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// `x * gamma`, channel by channel, in the type of `gamma`; differentiable wherever one of them is tracked.
///
/// # Errors
/// When `gamma` does not have one value a channel.
pub fn scale(x: &Tensor, gamma: &Tensor) -> Result<Tensor> {
    let x = &x.to_dtype(gamma.dtype())?;
    check_channels("scale", "gamma", x, gamma)?;
    let tracked = x.track_op() || gamma.track_op();
    match path(x, &[x, gamma]) {
        Path::Kernel if !tracked => x
            .contiguous()?
            .apply_op2_no_bwd(&gamma.contiguous()?, &Scale),
        _ => x.broadcast_mul(gamma),
    }
}

/// `x * gate`, B x T x C and B x C: a factor for each channel of each image; differentiable wherever one of them is
/// tracked.
///
/// # Errors
/// When the shapes or types do not fit.
pub fn gate(x: &Tensor, gate: &Tensor) -> Result<Tensor> {
    let (b, t, c) = x.dims3()?;
    if gate.dims() != [b, c] || gate.dtype() != x.dtype() {
        bail!(
            "gate: {:?} of {:?} for {:?} of {:?}",
            gate.dims(),
            gate.dtype(),
            x.dims(),
            x.dtype()
        )
    }
    let tracked = x.track_op() || gate.track_op();
    match path(x, &[x, gate]) {
        Path::Kernel if !tracked && t * c > 0 => {
            x.contiguous()?.apply_op2_no_bwd(&gate.contiguous()?, &Gate)
        }
        _ => x.broadcast_mul(&gate.unsqueeze(1)?),
    }
}

struct Scale;

impl CustomOp2 for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        gamma: &CpuStorage,
        lg: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = f32_slice(self.name(), x, lx)?;
        let gamma = f32_slice(self.name(), gamma, lg)?;
        let out = map_rows(
            x,
            gamma.len(),
            #[inline(always)]
            |x, out| {
                for ((o, x), gamma) in out.iter_mut().zip(x).zip(gamma) {
                    *o = x * gamma
                }
            },
        );
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}

struct Gate;

impl CustomOp2 for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        gate: &CpuStorage,
        lg: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = f32_slice(self.name(), x, lx)?;
        let gate = f32_slice(self.name(), gate, lg)?;
        let (_, t, c) = lx.shape().dims3()?;
        let out = filled_in_chunks(x.len(), c, |row, out| {
            let (x, gate) = (&x[row * c..][..c], &gate[row / t * c..][..c]);
            vectorised(
                #[inline(always)]
                || {
                    for ((o, x), gate) in out.iter_mut().zip(x).zip(gate) {
                        *o = x * gate
                    }
                },
            )
        });
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    /// Short rows and long, of a transpose.
    #[test]
    fn scaled_and_gated_rows_are_candles() -> Result<()> {
        let cpu = &Device::Cpu;
        for (b, t, c) in [(1, 1, 1), (2, 3, 7), (3, 65, 1030)] {
            let x = Tensor::randn(0f32, 1., (b, c, t), cpu)?.transpose(1, 2)?;
            let gamma = Tensor::randn(0f32, 1., c, cpu)?;
            let want = x.broadcast_mul(&gamma)?.to_vec3::<f32>()?;
            assert_eq!(scale(&x, &gamma)?.to_vec3::<f32>()?, want);
            let factors = Tensor::randn(0f32, 1., (c, b), cpu)?.t()?;
            let want = x.broadcast_mul(&factors.unsqueeze(1)?)?.to_vec3::<f32>()?;
            assert_eq!(gate(&x, &factors)?.to_vec3::<f32>()?, want);
        }
        Ok(())
    }

    #[test]
    fn gradients_go_through_and_shapes_must_fit() -> Result<()> {
        let cpu = &Device::Cpu;
        let x = Var::ones((1, 2, 3), DType::F32, cpu)?;
        let factors = Tensor::new(&[1f32, 2., 3.], cpu)?;
        for y in [scale(&x, &factors)?, gate(&x, &factors.unsqueeze(0)?)?] {
            let gradients = y.sum_all()?.backward()?;
            let gradient = gradients.get(&x).expect("a gradient").to_vec3::<f32>()?;
            assert_eq!(gradient, [[[1., 2., 3.], [1., 2., 3.]]]);
        }
        assert!(scale(&x, &Tensor::zeros(2, DType::F32, cpu)?).is_err());
        assert!(gate(&x, &factors).is_err());
        Ok(())
    }
}
