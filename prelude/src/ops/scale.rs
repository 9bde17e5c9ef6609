//! Products with one factor for each channel, on all cores.

use super::kernel::computed;
use super::raw::filled_in_chunks;
use super::rows::{map_rows, vectorised};
use super::{Path, check_channels, path};
use candle_core::{Result, Tensor, bail};

/// `x * gamma`, channel by channel, in the type of `gamma`; differentiable wherever one of them is tracked.
///
/// # Errors
/// When `gamma` does not have one value a channel.
pub fn scale(x: &Tensor, gamma: &Tensor) -> Result<Tensor> {
    let x = &x.to_dtype(gamma.dtype())?;
    check_channels("scale", "gamma", x, gamma)?;
    let tracked = x.track_op() || gamma.track_op();
    match path(x, &[x, gamma]) {
        Path::Kernel if !tracked => computed("scale", [x, gamma], x.shape(), |[x, gamma]| {
            map_rows(
                x,
                gamma.len(),
                #[inline(always)]
                |x, out| {
                    for ((o, x), gamma) in out.iter_mut().zip(x).zip(gamma) {
                        *o = x * gamma
                    }
                },
            )
        }),
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
            computed("gate", [x, gate], (b, t, c), |[x, gate]| {
                filled_in_chunks(x.len(), c, |row, out| {
                    let (x, gate) = (&x[row * c..][..c], &gate[row / t * c..][..c]);
                    vectorised(
                        #[inline(always)]
                        || {
                            for ((o, x), gate) in out.iter_mut().zip(x).zip(gate) {
                                *o = x * gate
                            }
                        },
                    )
                })
            })
        }
        _ => x.broadcast_mul(&gate.unsqueeze(1)?),
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
