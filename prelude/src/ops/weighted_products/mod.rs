//! How much each source token of an attention head gives along directions, on all cores.

mod products_first;
mod rows_first;

use super::kernel::computed;
use super::raw::filled_in_chunks;
use super::{Path, path, widened};
use candle_core::{D, Result, Tensor, bail};

/// Rows of a direction from which on it is faster to add them up before they are multiplied.
const MANY_ROWS: usize = 8;

/// Groups, heads, tokens, channels of a head, directions, their rows, and images.
#[derive(Clone, Copy)]
struct Sizes {
    g: usize,
    h: usize,
    n: usize,
    c: usize,
    count: usize,
    k: usize,
    images: usize,
}

/// What a head has in one group: N x c values, K x N weights, and the constants of the group's image.
struct Part<'a> {
    v: &'a [f32],
    weights: &'a [f32],
    constants: &'a [f32],
}

impl Sizes {
    /// The sums of all groups, of which `fill` writes one group's, N x k, at a time.
    fn each_group(
        self,
        [v, weights, constants]: [&[f32]; 3],
        head: usize,
        fill: impl Fn(Part, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let (values, rows) = (self.n * self.c, self.k * self.n);
        filled_in_chunks(
            self.g * self.n * self.count,
            self.n * self.count,
            |group, out| {
                let place = group * self.h + head;
                let image = group / (self.g / self.images);
                let part = Part {
                    v: &v[place * values..][..values],
                    weights: &weights[place * rows..][..rows],
                    constants: &constants[image * self.count..][..self.count],
                };
                fill(part, out)
            },
        )
    }
}

/// Products that are held at once where there is no kernel of ours.
const COMPOSED_PRODUCTS: usize = 1 << 26;

/// For head `head` of H, the products of each value vector with directions of K rows each, weighted and summed over the
/// rows: `v` G x H x N x c, `weights` G x H x K x N, `directions` k x K x Hc with the heads side by side; gives G x N x k. To
/// each sum of the groups of an image, of which there are as many for each of B, `constants` adds the image's, B x k.
/// Differentiable wherever one of them is tracked.
///
/// # Errors
/// When the shapes or types do not fit.
pub fn weighted_products(
    v: &Tensor,
    weights: &Tensor,
    directions: &Tensor,
    head: usize,
    constants: Option<&Tensor>,
) -> Result<Tensor> {
    let (g, h, n, c) = v.dims4()?;
    let (count, k, channels) = directions.dims3()?;
    let constants = match constants {
        Some(constants) => constants.clone(),
        None => Tensor::zeros((1, count), v.dtype(), v.device())?,
    };
    let images = constants.dims2()?.0.max(1);
    let inputs = [v, weights, directions, &constants];
    if weights.dims() != [g, h, k, n]
        || channels != h * c
        || head >= h
        || constants.dims() != [images, count]
        || g % images != 0
        || inputs.iter().any(|x| x.dtype() != v.dtype())
    {
        bail!(
            "weighted products: head {head} of values {:?} of {:?}, weights {:?} of {:?}, directions {:?} of {:?}, constants {:?} of {:?}",
            v.dims(),
            v.dtype(),
            weights.dims(),
            weights.dtype(),
            directions.dims(),
            directions.dtype(),
            constants.dims(),
            constants.dtype()
        )
    }
    let tracked = inputs.iter().any(|x| x.track_op());
    match path(v, &inputs) {
        Path::Kernel if !tracked && n * c * k * count > 0 => {
            let sizes = Sizes {
                g,
                h,
                n,
                c,
                count,
                k,
                images,
            };
            computed(
                "weighted products",
                inputs,
                (g, n, count),
                |values| match k < MANY_ROWS {
                    true => products_first::summed(values, sizes, head),
                    false => rows_first::summed(values, sizes, head),
                },
            )
        }
        Path::Widened => {
            let [v, weights, directions, constants] = inputs.map(widened);
            let (v, weights, directions) = (v?, weights?, directions?);
            let sums = weighted_products(&v, &weights, &directions, head, Some(&constants?))?;
            sums.to_dtype(inputs[0].dtype())
        }
        _ => composed(v, weights, directions, head)?
            .reshape((images, g / images * n, count))?
            .broadcast_add(&constants.unsqueeze(1)?)?
            .reshape((g, n, count)),
    }
}

/// The same result without constants, composed of candle's differentiable operations.
fn composed(v: &Tensor, weights: &Tensor, directions: &Tensor, head: usize) -> Result<Tensor> {
    let (g, _, n, c) = v.dims4()?;
    let (count, k, _) = directions.dims3()?;
    let v = v.narrow(1, head, 1)?.contiguous()?.reshape((g * n, c))?;
    let weights = weights.narrow(1, head, 1)?.squeeze(1)?.transpose(1, 2)?;
    let weights = weights.reshape((g * n, 1, k))?;
    let each = (COMPOSED_PRODUCTS / (g * n * k).max(1)).clamp(1, count.max(1));
    let some = |start: usize| -> Result<Tensor> {
        let some = each.min(count - start);
        let aimed = directions
            .narrow(0, start, some)?
            .narrow(2, head * c, c)?
            .contiguous()?
            .reshape((some * k, c))?;
        let products = v.matmul(&aimed.t()?.contiguous()?)?;
        let products = products.reshape((g * n, some, k))?;
        products.broadcast_mul(&weights)?.sum(D::Minus1)
    };
    let parts = (0..count).step_by(each).map(some);
    let values = Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 1)?;
    values.reshape((g, n, count))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{gap, random};
    use super::*;
    use candle_core::{DType, Var};

    /// One row of a direction and many, an image of several groups and of one, directions that do not fit into one block of
    /// products, rows that a group has no weights for.
    #[test]
    fn products_are_those_of_candle() -> Result<()> {
        let sizes = [
            (1, 1, 1, 1, 1, 1),
            (3, 2, 5, 4, 1, 7),
            (2, 3, 49, 8, 16, 60),
            (4, 2, 49, 33, 8, 3),
            (2, 1, 13, 64, 64, 2),
            (1, 1, 700, 3, 2, 41),
        ];
        for (g, h, n, c, k, count) in sizes {
            let v = random(&[g, h, n, c])?;
            let (weights, aimed) = (random(&[g, h, k, n])?, random(&[count, k, h * c])?);
            let kept = random(&[g, 1, k, 1])?.ge(0f32)?.to_dtype(DType::F32)?;
            let weights = weights.broadcast_mul(&kept)?;
            let mut images = vec![None, Some(random(&[1, count])?), Some(random(&[g, count])?)];
            images.extend(
                (g % 2 == 0)
                    .then(|| random(&[g / 2, count]))
                    .transpose()?
                    .map(Some),
            );
            for constants in images {
                for head in 0..h {
                    let double = |t: &Tensor| t.to_dtype(DType::F64);
                    let constants = constants.as_ref();
                    let wide = constants.map(double).transpose()?;
                    let [a, b, c] = [double(&v)?, double(&weights)?, double(&aimed)?];
                    let want = weighted_products(&a, &b, &c, head, wide.as_ref())?;
                    let got = weighted_products(&v, &weights, &aimed, head, constants)?;
                    assert_eq!(got.dims(), [g, n, count]);
                    let apart = gap(&got, &want.to_dtype(DType::F32)?)?;
                    assert!(apart < 1e-4, "{g} {h} {n} {k}: {apart}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn constants_are_added_to_the_groups_of_their_image() -> Result<()> {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &candle_core::Device::Cpu);
        let constants = random(&[2, 3])?;
        for k in [1, MANY_ROWS] {
            let (v, weights) = (zeros(&[4, 1, 5, 2])?, zeros(&[4, 1, k, 5])?);
            let aimed = random(&[3, k, 2])?;
            let got = weighted_products(&v, &weights, &aimed, 0, Some(&constants))?;
            for group in 0..4 {
                let want = constants.narrow(0, group / 2, 1)?.broadcast_as((5, 3))?;
                assert_eq!(got.get(group)?.to_vec2::<f32>()?, want.to_vec2::<f32>()?);
            }
        }
        Ok(())
    }

    #[test]
    fn a_gradient_is_not_lost_and_shapes_must_fit() -> Result<()> {
        let v = Var::from_tensor(&random(&[1, 2, 3, 4])?)?;
        let weights = random(&[1, 2, 5, 3])?;
        let aimed = random(&[6, 5, 8])?;
        let slopes = weighted_products(&v, &weights, &aimed, 1, None)?
            .sum_all()?
            .backward()?;
        let slope = slopes.get(&v).expect("a gradient").get(0)?;
        // Each row's weight times the directions' sum, which lies in the second head's channels.
        let sums = aimed.sum(0)?.narrow(1, 4, 4)?;
        let want = weights.get(0)?.get(1)?.t()?.matmul(&sums)?;
        assert!(gap(&slope.get(1)?, &want)? < 1e-5);
        assert_eq!(slope.get(0)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.0);
        assert!(weighted_products(&v, &weights, &aimed, 2, None).is_err());
        assert!(weighted_products(&v, &weights, &weights.get(0)?, 0, None).is_err());
        assert!(weighted_products(&weights, &weights, &aimed, 0, None).is_err());
        for constants in [random(&[2, 6])?, random(&[1, 5])?, random(&[6])?] {
            assert!(weighted_products(&v, &weights, &aimed, 0, Some(&constants)).is_err());
        }
        Ok(())
    }
}
