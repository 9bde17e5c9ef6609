//! Accuracy on held-out images.

use super::Accuracy;
use super::labels::labels;
use super::loss::correct;
use crate::Result;
use crate::data::{DataSet, Factor, GeneratedSet};
use candle_core::Tensor;

/// Images a forward pass takes at once.
const BATCH: usize = 100;

/// The share of the first `count` images of `set` whose factor is what `logits` says, factor by factor.
pub fn by_factor(
    set: &GeneratedSet,
    size: usize,
    count: usize,
    logits: impl Fn(&Tensor) -> Result<Vec<(Factor, Tensor)>>,
) -> Result<Accuracy> {
    let indices: Vec<_> = (0..count.min(set.len())).collect();
    let mut right = Accuracy::new();
    for indices in indices.chunks(BATCH) {
        for (factor, logits) in logits(&set.pixels(indices, size.into())?)? {
            let correct = correct(&logits, &labels(set, indices, factor)?)?;
            *right.entry(factor.name().to_string()).or_default() += correct as f64;
        }
    }
    let share = |(name, right)| (name, right / indices.len() as f64);
    Ok(right.into_iter().map(share).collect())
}
