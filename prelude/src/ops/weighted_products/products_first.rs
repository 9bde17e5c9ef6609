//! The products of value vectors with each row of the directions first, a block of them at a time, and their weighted sums
//! while the block is in a core's own cache.

use super::Sizes;
use crate::ops::raw::{Matrix, MatrixMut, product};
use crate::ops::rows::vectorised;
use std::cell::RefCell;

/// Products that a task holds at once: what stays in a core's own cache.
const PRODUCTS: usize = 1 << 15;

thread_local! {
    /// Products of one group, and their sums: buffers that stay with a thread.
    static SCRATCH: RefCell<(Vec<f32>, Vec<f32>)> = RefCell::default();
}

/// The values of [`super::weighted_products`].
pub(super) fn summed(
    [v, weights, directions, constants]: [&[f32]; 4],
    sizes: Sizes,
    head: usize,
) -> Vec<f32> {
    let Sizes {
        h, n, c, count, k, ..
    } = sizes;
    let channels = h * c;
    let each = (PRODUCTS / (k * n).max(1)).clamp(1, count);
    sizes.each_group([v, weights, constants], head, |part, out| {
        let v = Matrix::new(part.v, (n, c), (c, 1));
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
                            sums.fill(part.constants[start + i]);
                            add_weighted(products, part.weights, sums);
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

/// Adds the sum of products times weights, column by column.
#[inline(always)]
fn add_weighted(products: &[f32], weights: &[f32], sums: &mut [f32]) {
    let n = sums.len();
    for (products, weights) in products.chunks_exact(n).zip(weights.chunks_exact(n)) {
        for ((sum, product), weight) in sums.iter_mut().zip(products).zip(weights) {
            *sum += product * weight
        }
    }
}
