//! How alike two components are in one space: the correlation of what they contribute, over images and channels together.

use candle_core::{DType, Device, Tensor};

use super::Basis;
use crate::check;
use crate::{Error, Result};

/// Numbers of one stack that are held in f64 at a time.
const CHUNK: usize = 1 << 24;

/// For components i of `a` (n x B x D) and j of `b` (m x B x D), contributions to the same space for the same images, the
/// correlation over images and channels: with x and y the contributions less their means over images,
/// `sum x y / sqrt(sum x^2 sum y^2)`; n x m, each from -1 to 1. It is 1 where both move every image in the same direction
/// to the same degree, whatever their sizes, and no rotation of the space changes it. 0 where one of them does not vary.
/// With `directions` (k x D, texts say) only their span counts: whether both tell the same of *this* feature.
///
/// # Errors
/// Shapes that do not fit, one image, NaN or infinity, directions that are all zero.
pub fn component_similarity(
    a: &Tensor,
    b: &Tensor,
    directions: Option<&Tensor>,
) -> Result<Vec<Vec<f64>>> {
    let (n, images, width) = check::stack("a", a)?;
    let (m, other, channels) = check::stack("b", b)?;
    check::same("b", other, images, "images")?;
    check::same("b", channels, width, "channels")?;
    check::finite("a", a)?;
    check::finite("b", b)?;
    if images < 2 {
        let expected = "two images or more: one has no variance";
        return Err(Error::argument("a", "1 image", expected));
    }
    let basis = match directions {
        Some(directions) => {
            let (_, own) = check::matrix("directions", directions)?;
            check::same("directions", own, width, "channels")?;
            Some(Basis::of(directions)?.tensor(&Device::Cpu)?)
        }
        None => None,
    };
    let project = |stack: &Tensor| -> Result<Tensor> {
        let stack = stack.to_device(&Device::Cpu)?;
        Ok(match &basis {
            Some(basis) => {
                let (n, b, d) = stack.dims3()?;
                let rows = stack.to_dtype(DType::F32)?.contiguous()?;
                rows.reshape((n * b, d))?
                    .matmul(basis)?
                    .reshape((n, b, ()))?
            }
            None => stack,
        })
    };
    let (a, b) = (project(a)?, project(b)?);
    let means = |stack: &Tensor| stack.to_dtype(DType::F64)?.mean_keepdim(1);
    let (mean_a, mean_b) = (means(&a)?, means(&b)?);
    let mut products = vec![0.0; n * m];
    let (mut of_a, mut of_b) = (vec![0.0; n], vec![0.0; m]);
    let (mut raw_a, mut raw_b) = (vec![0.0; n], vec![0.0; m]);
    let step = (CHUNK / (n.max(m) * a.dim(2)?).max(1)).max(1);
    for start in (0..images).step_by(step) {
        let count = step.min(images - start);
        let part = |stack: &Tensor, mean: &Tensor, raw: &mut [f64]| -> Result<Tensor> {
            let part = stack.narrow(1, start, count)?.to_dtype(DType::F64)?;
            add(raw, &part.sqr()?.flatten_from(1)?.sum(1)?)?;
            Ok(part.broadcast_sub(mean)?.flatten_from(1)?.contiguous()?)
        };
        let (x, y) = (
            part(&a, &mean_a, &mut raw_a)?,
            part(&b, &mean_b, &mut raw_b)?,
        );
        add(&mut products, &x.matmul(&y.t()?)?.flatten_all()?)?;
        add(&mut of_a, &x.sqr()?.sum(1)?)?;
        add(&mut of_b, &y.sqr()?.sum(1)?)?;
    }
    // Deviations that are rounding of the values themselves count as none.
    let varies = |deviation: f64, raw: f64| deviation > 1e-12 * raw;
    let similarity =
        |i: usize, j: usize| match varies(of_a[i], raw_a[i]) && varies(of_b[j], raw_b[j]) {
            true => (products[i * m + j] / (of_a[i] * of_b[j]).sqrt()).clamp(-1.0, 1.0),
            false => 0.0,
        };
    Ok((0..n)
        .map(|i| (0..m).map(|j| similarity(i, j)).collect())
        .collect())
}

/// Adds the values of `part` to `sums`.
fn add(sums: &mut [f64], part: &Tensor) -> Result<()> {
    let part: Vec<f64> = part.to_vec1()?;
    sums.iter_mut().zip(part).for_each(|(sum, v)| *sum += v);
    Ok(())
}
