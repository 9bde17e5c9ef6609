//! The operations whose candle kernels are slow on a CPU, fused and parallel, each with its backward pass.
//!
//! The kernels take f32 on the CPU. Half precision on the CPU is widened to f32 for them and brought back. f64 on the
//! CPU, and every type on another device as soon as a gradient may be asked for, is written out in candle's
//! differentiable operations, because candle's own fused softmax and layer norm have no backward pass: a gradient would
//! be lost without a word. Only a tensor that no variable leads to takes candle's fused kernels on a device.

pub mod activation;
pub mod add;
pub mod attention;
pub mod batch_norm;
pub mod batched_linear;
pub mod bias;
pub mod depthwise;
mod kernel;
pub mod layer_norm;
pub mod linear;
mod panels;
mod raw;
mod rows;
pub mod scale;
pub mod slot_sums;
pub mod softmax;
pub mod stacked_sums;
#[cfg(test)]
pub(crate) mod testing;
mod transfer;
pub mod unfold;
pub mod weighted_products;
pub mod window_sums;

pub use activation::{gelu, gelu_tanh, quick_gelu};
pub use add::add;
pub use batch_norm::batch_norm;
pub use batched_linear::batched_linear;
pub use bias::{add_bias, mean_over_tokens};
pub use depthwise::depthwise_conv;
pub use layer_norm::{layer_norm, layer_norm_statistics};
pub use linear::linear;
pub(crate) use rows::vectorised;
pub use scale::{gate, scale};
pub use slot_sums::{Slots, slot_sums};
pub use softmax::softmax_last_dim;
pub use stacked_sums::stacked_sums;
pub(crate) use transfer::{Upload, moved};
pub use unfold::conv;
pub use weighted_products::weighted_products;
pub use window_sums::window_sums;

use candle_core::{D, DType, Result, Tensor, bail};

/// How an operation is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    /// By the f32 kernel of this module.
    Kernel,
    /// By that kernel, on values widened to f32.
    Widened,
    /// In candle's differentiable operations.
    Composed,
    /// By candle's fused kernel, which has no backward pass.
    Fused,
}

/// The path for `x`, which all of `inputs` (`x` among them) take part in.
fn path(x: &Tensor, inputs: &[&Tensor]) -> Path {
    let tracked = inputs.iter().any(|t| t.track_op());
    choose(x.device().is_cpu(), x.dtype(), tracked)
}

fn choose(cpu: bool, dtype: DType, tracked: bool) -> Path {
    match (cpu, dtype) {
        (true, DType::F32) => Path::Kernel,
        (true, DType::F16 | DType::BF16) => Path::Widened,
        (true, _) => Path::Composed,
        (false, _) if tracked => Path::Composed,
        (false, _) => Path::Fused,
    }
}

/// Half precision as f32, in which sums and exponentials are taken; other types as they are.
fn widened(x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::F16 | DType::BF16 => x.to_dtype(DType::F32),
        _ => Ok(x.clone()),
    }
}

/// The product of matrices of one type. Sums of half precision are taken in f32: by candle's on a GPU, and on the CPU, where
/// candle multiplies no bf16, of widened values.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match path(a, &[a, b]) {
        Path::Widened => widened(a)?.matmul(&widened(b)?)?.to_dtype(a.dtype()),
        _ => a.matmul(b),
    }
}

/// Refuses a vector that does not have one value for each channel of `x`: a kernel would pair values and channels
/// wrongly.
fn check_channels(op: &str, name: &str, x: &Tensor, vector: &Tensor) -> Result<()> {
    let channels = x.dim(D::Minus1)?;
    if vector.dims() != [channels] {
        bail!(
            "{op}: {name} has the shape {:?}, the input {channels} channels (its shape is {:?})",
            vector.dims(),
            x.dims()
        )
    }
    if vector.dtype() != x.dtype() {
        bail!(
            "{op}: {name} is {:?}, the input {:?}",
            vector.dtype(),
            x.dtype()
        )
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::testing::gap;
    use super::*;
    use candle_core::{Device, Var};

    type Op = fn(&Tensor) -> Result<Tensor>;

    /// A tracked tensor on a GPU takes the composed path, which must be the kernel's function and gradient.
    #[test]
    fn what_a_tracked_tensor_takes_on_a_device_is_what_the_kernel_computes() -> Result<()> {
        let x = Var::randn(0f32, 3., (6, 33), &Device::Cpu)?;
        let probe = Tensor::randn(0f32, 1., (6, 33), &Device::Cpu)?;
        let gamma = Tensor::randn(1f32, 0.3, 33, &Device::Cpu)?;
        let gradient = |y: &Tensor| -> Result<Tensor> {
            let grads = (y * &probe)?.sum_all()?.backward()?;
            Ok(grads.get(&x).expect("a gradient").clone())
        };
        let norm = |x: &Tensor| layer_norm::composed(x, &gamma, &gamma, 1e-5);
        let kernel = layer_norm(&x, &gamma, &gamma, 1e-5)?;
        assert!(gap(&kernel, &norm(&x)?)? < 2e-6);
        assert!(gap(&gradient(&kernel)?, &gradient(&norm(&x)?)?)? < 2e-5);
        let pairs: [(Op, Op); 4] = [
            (softmax_last_dim, softmax::composed),
            (gelu, activation::composed_gelu),
            (gelu_tanh, activation::composed_gelu_tanh),
            (quick_gelu, activation::composed_quick_gelu),
        ];
        for (kernel, composed) in pairs {
            let (kernel, composed) = (kernel(&x)?, composed(&x)?);
            assert!(gap(&kernel, &composed)? < 2e-6);
            assert!(gap(&gradient(&kernel)?, &gradient(&composed)?)? < 5e-6);
        }
        Ok(())
    }

    #[test]
    fn a_tracked_tensor_takes_no_path_without_a_gradient() -> Result<()> {
        let plain = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
        let var = Var::from_tensor(&plain)?;
        let later = (var.as_tensor() * 2.0)?;
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            assert_eq!(choose(false, dtype, true), Path::Composed);
            assert_eq!(choose(false, dtype, false), Path::Fused);
            assert_ne!(choose(true, dtype, false), Path::Fused);
        }
        // A variable, what is computed from one, and a norm whose weight alone is one.
        for (x, inputs) in [
            (var.as_tensor(), vec![var.as_tensor()]),
            (&later, vec![&later]),
            (&plain, vec![&plain, var.as_tensor()]),
        ] {
            assert!(inputs.iter().any(|t| t.track_op()), "{x}");
        }
        assert!(!plain.track_op());
        Ok(())
    }
}
