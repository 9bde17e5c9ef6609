//! Sums of tensors, on all cores.

use super::kernel::computed;
use super::rows::zip_rows;
use super::{Path, path};
use candle_core::{Result, Tensor};

/// Values that a row of a sum takes at once.
const WIDTH: usize = 1024;

/// `a + b`, of the same shape, in the type of `a`; differentiable wherever one of them is tracked.
///
/// # Errors
/// When the shapes differ.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let b = &b.to_dtype(a.dtype())?;
    let tracked = a.track_op() || b.track_op();
    let alike = a.shape() == b.shape();
    match path(a, &[a, b]) {
        Path::Kernel if alike && !tracked => computed("add", [a, b], a.shape(), |[a, b]| {
            zip_rows(
                a,
                b,
                WIDTH,
                #[inline(always)]
                |a, b, out| {
                    for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
                        *o = a + b
                    }
                },
            )
        }),
        _ => a + b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    /// Short rows and long, one of the two a transpose.
    #[test]
    fn sums_are_candles() -> Result<()> {
        let cpu = &Device::Cpu;
        for shape in [(1, 1), (3, 7), (65, 1030)] {
            let a = Tensor::randn(0f32, 1., shape, cpu)?;
            let b = Tensor::randn(0f32, 1., (shape.1, shape.0), cpu)?.t()?;
            let want = (&a + &b)?.to_vec2::<f32>()?;
            assert_eq!(add(&a, &b)?.to_vec2::<f32>()?, want);
        }
        Ok(())
    }

    #[test]
    fn a_gradient_goes_through_and_shapes_must_be_alike() -> Result<()> {
        let x = Var::ones((2, 3), DType::F32, &Device::Cpu)?;
        let gradients = add(&x, &x)?.sum_all()?.backward()?;
        let gradient = gradients.get(&x).expect("a gradient").to_vec2::<f32>()?;
        assert_eq!(gradient, [[2.0; 3]; 2]);
        let other = Tensor::ones((3, 2), DType::F32, &Device::Cpu)?;
        assert!(add(&x.detach(), &other).is_err());
        Ok(())
    }
}
