//! What tests of several kernels have in common.

use candle_core::{Device, Result, Tensor};

/// Normally distributed f32 values.
pub fn random(shape: &[usize]) -> Result<Tensor> {
    Tensor::randn(0f32, 1., shape, &Device::Cpu)
}

/// The largest difference of two tensors of one shape.
pub fn gap(a: &Tensor, b: &Tensor) -> Result<f32> {
    assert_eq!(a.dims(), b.dims());
    (a - b)?.abs()?.max_all()?.to_scalar()
}
