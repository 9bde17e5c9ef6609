//! Starting points of the maps.

use candle_core::{DType, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::trainer::unit;
use crate::{Error, Result};

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

/// Rows of which one block is centred and multiplied at a time.
const BLOCK: usize = 2048;

/// Map (d x D) and bias (D) that minimise the squared distance between the `rows` of `z` (B x d) mapped isometrically and a
/// multiple of the same rows of the `targets` (B x D), brought to unit length.
pub(super) fn procrustes(z: &Tensor, targets: &Tensor, rows: &[u32]) -> Result<(Tensor, Tensor)> {
    let block = |rows: &[u32]| -> Result<(Tensor, Tensor)> {
        let rows = Tensor::new(rows, z.device())?;
        let (y, _) = unit(&targets.index_select(&rows, 0)?)?;
        Ok((z.index_select(&rows, 0)?, y))
    };
    let mut sums: Option<(Tensor, Tensor)> = None;
    for rows in rows.chunks(BLOCK) {
        let (z, y) = block(rows)?;
        let (z, y) = (z.sum_keepdim(0)?, y.sum_keepdim(0)?);
        sums = Some(match sums {
            Some((of_z, of_y)) => ((of_z + z)?, (of_y + y)?),
            None => (z, y),
        });
    }
    let none = || Error::argument("images", 0, "one or more to fit on");
    let (z_sum, y_sum) = sums.ok_or_else(none)?;
    let count = rows.len() as f64;
    let (z_mean, y_mean) = ((z_sum / count)?, (y_sum / count)?);
    let mut products: Option<Tensor> = None;
    let mut own = 0.0;
    for rows in rows.chunks(BLOCK) {
        let (z, y) = block(rows)?;
        let (z, y) = (z.broadcast_sub(&z_mean)?, y.broadcast_sub(&y_mean)?);
        let product = z.t()?.matmul(&y)?;
        own += f64::from(y.sqr()?.sum_all()?.to_scalar::<f32>()?);
        products = Some(match products {
            Some(products) => (products + product)?,
            None => product,
        });
    }
    let products = products.ok_or_else(none)?;
    let map = polar(&products)?;
    // The length of the contributions is kept, so the mean target is brought to their scale. The sum of the products of
    // mapped rows with targets is that of the map with the products above.
    let shared = f64::from((products * &map)?.sum_all()?.to_scalar::<f32>()?);
    let scale = if own > 0.0 {
        (shared / own).max(0.0)
    } else {
        1.0
    };
    let bias = ((y_mean * scale)? - z_mean.matmul(&map)?)?;
    Ok((map, bias.flatten_all()?.to_dtype(DType::F32)?))
}
