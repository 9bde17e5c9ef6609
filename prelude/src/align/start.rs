//! Starting points of the maps.

use candle_core::{DType, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::trainer::unit;
use crate::Result;

/// Newton-Schulz iterations: a singular value of 1e-6 of the largest still reaches 1.
const ITERATIONS: usize = 45;

/// The orthogonal factor of `m` (d x D): the nearest matrix with orthonormal rows (d <= D) or columns. Found by
/// Newton-Schulz iterations, matrix products only.
fn polar(m: &Tensor) -> Result<Tensor> {
    let norm = f64::from(m.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt();
    let mut x = (m / norm.max(1e-30))?;
    let wide = m.dim(0)? <= m.dim(1)?;
    for _ in 0..ITERATIONS {
        let cubic = if wide {
            x.matmul(&x.t()?)?.matmul(&x)?
        } else {
            x.matmul(&x.t()?.matmul(&x)?)?
        };
        x = ((x * 1.5)? - (cubic * 0.5)?)?;
    }
    Ok(x)
}

/// A random map (d x D) with orthonormal rows or columns.
pub(super) fn random(
    d: usize,
    width: usize,
    mut rng: ChaCha8Rng,
    device: &Device,
) -> Result<Tensor> {
    let values: Vec<f32> = (0..d * width)
        .map(|_| StandardNormal.sample(&mut rng))
        .collect();
    let gauss = Tensor::from_vec(values, (d, width), &Device::Cpu)?;
    Ok(polar(&gauss)?.to_device(device)?)
}

/// Map (d x D) and bias (D) that minimise the squared distance between `z` (B x d) mapped isometrically and a
/// multiple of the unit `targets` (B x D).
pub(super) fn procrustes(z: &Tensor, targets: &Tensor) -> Result<(Tensor, Tensor)> {
    let (y, _) = unit(targets)?;
    let (z_mean, y_mean) = (z.mean_keepdim(0)?, y.mean_keepdim(0)?);
    let zc = z.broadcast_sub(&z_mean)?;
    let yc = y.broadcast_sub(&y_mean)?;
    let map = polar(&zc.t()?.matmul(&yc)?)?;
    // The length of the contributions is kept, so the mean target is brought to their scale.
    let shared = (zc.matmul(&map)? * &yc)?.sum_all()?.to_scalar::<f32>()?;
    let own = yc.sqr()?.sum_all()?.to_scalar::<f32>()?;
    let scale = if own > 0.0 {
        (shared / own).max(0.0)
    } else {
        1.0
    };
    let bias = ((y_mean * f64::from(scale))? - z_mean.matmul(&map)?)?;
    Ok((map, bias.flatten_all()?.to_dtype(DType::F32)?))
}
