//! Parts of a set, in any order.

use super::{DataSet, Labels, ModelInput, check_indices};
use crate::{Error, Result};
use candle_core::Tensor;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Some images of another set, by their indices there. Made by [`DataSet::subset`] and its like.
#[derive(Clone)]
pub struct Subset {
    whole: Arc<dyn DataSet>,
    indices: Arc<[usize]>,
    name: String,
}

/// What the images at `indices` of the set called `whole` are called.
pub(crate) fn part_name(whole: &str, indices: &[usize]) -> String {
    match indices {
        [one] => format!("{whole}, image {one}"),
        _ => format!("{whole}, {} images", indices.len()),
    }
}

impl Subset {
    /// The images of `whole` at `indices`, which may repeat.
    ///
    /// # Errors
    /// When there are none, or one does not exist.
    pub fn new(whole: Arc<dyn DataSet>, indices: Vec<usize>) -> Result<Self> {
        let name = part_name(whole.name(), &indices);
        Self::called(name, whole, indices)
    }

    fn called(name: String, whole: Arc<dyn DataSet>, indices: Vec<usize>) -> Result<Self> {
        check_indices(whole.name(), &indices, whole.len())?;
        Ok(Self {
            whole,
            indices: indices.into(),
            name,
        })
    }

    pub(super) fn first(whole: Arc<dyn DataSet>, count: usize) -> Result<Self> {
        if count == 0 || count > whole.len() {
            let expected = format!(
                "between 1 and the {} images of {}",
                whole.len(),
                whole.name()
            );
            return Err(Error::argument("count", count, expected));
        }
        let name = format!("{}, first {count}", whole.name());
        Self::called(name, whole, (0..count).collect())
    }

    pub(super) fn shuffled(whole: Arc<dyn DataSet>, seed: u64) -> Result<Self> {
        let name = format!("{}, shuffled by {seed}", whole.name());
        let indices = order(whole.len(), seed);
        Self::called(name, whole, indices)
    }

    pub(super) fn split(whole: Arc<dyn DataSet>, seed: u64, shares: &[f64]) -> Result<Vec<Self>> {
        let sum: f64 = shares.iter().sum();
        let sound = !shares.is_empty() && shares.iter().all(|&share| share > 0.);
        if !sound || sum > 1. + 1e-9 {
            let expected = "shares above 0 that sum to at most 1, such as [0.8, 0.2]";
            return Err(Error::argument("shares", format!("{shares:?}"), expected));
        }
        let indices = order(whole.len(), seed);
        // Part ends are rounded, not part sizes: nothing is lost or taken twice.
        let end = |share: f64| ((share * whole.len() as f64).round() as usize).min(whole.len());
        let (mut parts, mut from, mut share) = (Vec::new(), 0, 0.);
        for (part, size) in shares.iter().enumerate() {
            share += size;
            let to = end(share);
            if to <= from {
                let expected = format!(
                    "part {part} would be empty: {} has {} images",
                    whole.name(),
                    whole.len()
                );
                return Err(Error::argument("shares", format!("{shares:?}"), expected));
            }
            let name = format!(
                "{}, part {part} of {}, seed {seed}",
                whole.name(),
                shares.len()
            );
            parts.push(Self::called(
                name,
                whole.clone(),
                indices[from..to].to_vec(),
            )?);
            from = to;
        }
        Ok(parts)
    }

    pub(super) fn only(whole: Arc<dyn DataSet>, column: &str, name: &str) -> Result<Self> {
        let labels = whole.labels(column)?;
        let Some(value) = labels.value(name) else {
            let some: Vec<_> = labels.names.iter().take(20).map(String::as_str).collect();
            let reason = format!(
                "no {column} is called \"{name}\"; there are {}",
                some.join(", ")
            );
            return Err(Error::data(whole.name(), reason));
        };
        let indices: Vec<_> = (0..whole.len())
            .filter(|&i| labels.values[i] == value)
            .collect();
        if indices.is_empty() {
            let reason = format!("no image has the {column} \"{name}\"");
            return Err(Error::data(whole.name(), reason));
        }
        Self::called(format!("{}, {column} {name}", whole.name()), whole, indices)
    }

    /// Where each image is in the set this is a part of.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// `indices` of this set as indices of the whole.
    fn within(&self, indices: &[usize]) -> Result<Vec<usize>> {
        check_indices(&self.name, indices, self.len())?;
        Ok(indices.iter().map(|&i| self.indices[i]).collect())
    }
}

/// The key of the images at `indices` of the set whose key is `whole`.
pub(crate) fn part_key(whole: &str, indices: &[usize]) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(whole.as_bytes());
    for &index in indices {
        hash.update(&(index as u64).to_le_bytes());
    }
    format!("subset-{}", &hash.finalize().to_hex()[..16])
}

/// The numbers below `len` in the order of `seed`.
fn order(len: usize, seed: u64) -> Vec<usize> {
    let mut indices: Vec<_> = (0..len).collect();
    indices.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    indices
}

impl DataSet for Subset {
    fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> String {
        part_key(&self.whole.key(), &self.indices)
    }

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn image_name(&self, index: usize) -> String {
        self.whole.image_name(self.indices[index])
    }

    fn pixels(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        self.whole.pixels(&self.within(indices)?, input)
    }

    fn masks(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        self.whole.masks(&self.within(indices)?, input)
    }

    fn skipped(&self) -> &[Error] {
        self.whole.skipped()
    }

    fn label_columns(&self) -> Vec<String> {
        self.whole.label_columns()
    }

    fn labels(&self, column: &str) -> Result<Labels> {
        self.whole.labels_of(column, &self.indices)
    }

    fn labels_of(&self, column: &str, indices: &[usize]) -> Result<Labels> {
        self.whole.labels_of(column, &self.within(indices)?)
    }
}
