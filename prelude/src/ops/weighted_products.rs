//! How much each source token of an attention head gives along directions, on all cores.

use super::kernel::computed;
use super::raw::{Matrix, MatrixMut, filled_in_chunks, product};
use super::rows::vectorised;
use super::{Path, path, widened};
use candle_core::{D, Result, Tensor, bail};
use std::cell::RefCell;

/// Products that a task holds at once: what stays in a core's own cache.
const PRODUCTS: usize = 1 << 15;

/// Products that are held at once where there is no kernel of ours.
const COMPOSED_PRODUCTS: usize = 1 << 26;

/// For head `head` of H, the products of each value vector with directions of K rows each, weighted and summed over the
/// rows: `v` G x H x N x c, `weights` G x H x K x N, `directions` k x K x Hc with the heads side by side; gives G x N x k.
/// Differentiable wherever one of them is tracked.
///
/// # Errors
/// When the shapes or types do not fit.
pub fn weighted_products(
    v: &Tensor,
    weights: &Tensor,
    directions: &Tensor,
    head: usize,
) -> Result<Tensor> {
    let (g, h, n, c) = v.dims4()?;
    let (count, k, channels) = directions.dims3()?;
    let inputs = [v, weights, directions];
    if weights.dims() != [g, h, k, n]
        || channels != h * c
        || head >= h
        || inputs.iter().any(|x| x.dtype() != v.dtype())
    {
        bail!(
            "weighted products: head {head} of values {:?} of {:?}, weights {:?} of {:?}, directions {:?} of {:?}",
            v.dims(),
            v.dtype(),
            weights.dims(),
            weights.dtype(),
            directions.dims(),
            directions.dtype()
        )
    }
    let tracked = inputs.iter().any(|x| x.track_op());
    match path(v, &inputs) {
        Path::Kernel if !tracked && n * count > 0 => {
            computed("weighted products", inputs, (g, n, count), |values| {
                summed(values, (g, h, n, c), (count, k), head)
            })
        }
        Path::Widened => {
            let [v, weights, directions] = inputs.map(widened);
            weighted_products(&v?, &weights?, &directions?, head)?.to_dtype(inputs[0].dtype())
        }
        _ => composed(v, weights, directions, head),
    }
}

/// The same result, composed of candle's differentiable operations.
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

thread_local! {
    /// Products of one group, and their sums: buffers that stay with a thread.
    static SCRATCH: RefCell<(Vec<f32>, Vec<f32>)> = RefCell::default();
}

/// The values of [`weighted_products`] for `count` directions.
fn summed(
    [v, weights, directions]: [&[f32]; 3],
    (g, h, n, c): (usize, usize, usize, usize),
    (count, k): (usize, usize),
    head: usize,
) -> Vec<f32> {
    let channels = h * c;
    let each = (PRODUCTS / (k * n).max(1)).clamp(1, count);
    filled_in_chunks(g * n * count, n * count, |group, out| {
        let part = group * h + head;
        let v = Matrix::new(&v[part * n * c..], (n, c), (c, 1));
        let weights = &weights[part * k * n..][..k * n];
        SCRATCH.with_borrow_mut(|(products, sums)| {
            products.resize((each * k * n).max(products.len()), 0.0);
            sums.resize(n.max(sums.len()), 0.0);
            for start in (0..count).step_by(each) {
                let some = each.min(count - start);
                let aimed = &directions[start * k * channels + head * c..];
                let products = &mut products[..some * k * n];
                product(
                    Matrix::new(aimed, (some * k, c), (channels, 1)),
                    v.transposed(),
                    1.0,
                    MatrixMut::new(products, (some * k, n), n),
                );
                vectorised(
                    #[inline(always)]
                    || {
                        for (i, products) in products.chunks_exact(k * n).enumerate() {
                            let sums = &mut sums[..n];
                            weighted(products, weights, sums);
                            for (out, sum) in out.chunks_exact_mut(count).zip(sums) {
                                out[start + i] = *sum
                            }
                        }
                    },
                )
            }
        })
    })
}

/// Column by column, the sum of products times weights.
#[inline(always)]
fn weighted(products: &[f32], weights: &[f32], sums: &mut [f32]) {
    let n = sums.len();
    sums.fill(0.0);
    for (products, weights) in products.chunks_exact(n).zip(weights.chunks_exact(n)) {
        for ((sum, product), weight) in sums.iter_mut().zip(products).zip(weights) {
            *sum += product * weight
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    fn random(shape: &[usize]) -> Result<Tensor> {
        Tensor::randn(0f64, 1., shape, &Device::Cpu)
    }

    #[test]
    fn products_are_those_of_candle() -> Result<()> {
        // One row a direction and many; directions that do not fit into one block of products.
        let sizes = [
            (1, 1, 1, 1, 1, 1),
            (3, 2, 5, 4, 1, 7),
            (2, 3, 49, 8, 16, 60),
            (1, 1, 700, 3, 2, 41),
        ];
        for (g, h, n, c, k, count) in sizes {
            let v = random(&[g, h, n, c])?;
            let (weights, aimed) = (random(&[g, h, k, n])?, random(&[count, k, h * c])?);
            for head in 0..h {
                let want = weighted_products(&v, &weights, &aimed, head)?;
                let [v, weights, aimed] = [&v, &weights, &aimed].map(|t| t.to_dtype(DType::F32));
                let got = weighted_products(&v?, &weights?, &aimed?, head)?;
                assert_eq!(got.dims(), [g, n, count]);
                let apart = (got.to_dtype(DType::F64)? - want)?.abs()?.max_all()?;
                assert!(apart.to_scalar::<f64>()? < 1e-4, "{g} {h} {n} {c} {k}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_gradient_is_not_lost_and_shapes_must_fit() -> Result<()> {
        let half = |t: Tensor| t.to_dtype(DType::F32);
        let v = Var::from_tensor(&half(random(&[1, 2, 3, 4])?)?)?;
        let weights = half(random(&[1, 2, 5, 3])?)?;
        let aimed = half(random(&[6, 5, 8])?)?;
        let slopes = weighted_products(&v, &weights, &aimed, 1)?
            .sum_all()?
            .backward()?;
        let slope = slopes.get(&v).expect("a gradient").get(0)?;
        // Each row's weight times the directions' sum, which lies in the second head's channels.
        let sums = aimed.sum(0)?.narrow(1, 4, 4)?;
        let want = weights.get(0)?.get(1)?.t()?.matmul(&sums)?;
        let gap = (slope.get(1)? - want)?.abs()?.max_all()?;
        assert!(gap.to_scalar::<f32>()? < 1e-5);
        assert_eq!(slope.get(0)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.0);
        assert!(weighted_products(&v, &weights, &aimed, 2).is_err());
        assert!(weighted_products(&v, &weights, &weights.get(0)?, 0).is_err());
        assert!(weighted_products(&weights, &weights, &aimed, 0).is_err());
        Ok(())
    }
}
