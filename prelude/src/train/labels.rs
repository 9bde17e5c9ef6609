//! The factors of generated images as tensors of labels.

use crate::Result;
use crate::data::{Factor, GeneratedSet};
use candle_core::{Device, Tensor};

/// `factor` of the images at `indices`: B, u32.
pub(super) fn labels(set: &GeneratedSet, indices: &[usize], factor: Factor) -> Result<Tensor> {
    let values: Vec<_> = indices
        .iter()
        .map(|&i| set.factors(i).get(factor))
        .collect();
    Ok(Tensor::from_vec(values, indices.len(), &Device::Cpu)?)
}

/// Every factor of the images at `indices`, in the order of [`Factor::ALL`].
pub(super) fn all_labels(set: &GeneratedSet, indices: &[usize]) -> Result<Vec<Tensor>> {
    Factor::ALL
        .into_iter()
        .map(|factor| labels(set, indices, factor))
        .collect()
}
