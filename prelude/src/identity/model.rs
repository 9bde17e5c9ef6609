//! Which model a result is of.

use crate::models::Model;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A model, told from others by what changes its outputs: weights, configuration, and the pictures it sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelId {
    /// What it was loaded by. Two names of the same weights are the same model.
    pub name: String,
    /// The family of its architecture.
    pub family: String,
    /// blake3 of its weights, and of the configuration where that is not in the file ([`Model::hash`]).
    pub weights: String,
    /// Side of the images it sees, in pixels.
    pub size: usize,
    /// How pictures are brought to that size.
    pub preprocess: String,
}

impl ModelId {
    /// The identity of a loaded model.
    pub fn of(model: &Model) -> Self {
        let input = model.input();
        Self {
            name: model.name().to_string(),
            family: model.family().to_string(),
            weights: model.hash().to_string(),
            size: input.size,
            preprocess: format!("{:?}", input.preprocess),
        }
    }

    /// Why values of the image towers of the two models cannot be used together; none when they can.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if let Some(reason) = self.weights_differ(other) {
            return Some(reason);
        }
        if self.size != other.size {
            let (a, b) = (self.size, other.size);
            return Some(format!("they see images of {a} and of {b} pixels"));
        }
        (self.preprocess != other.preprocess).then(|| {
            let (a, b) = (&self.preprocess, &other.preprocess);
            format!("their pictures are brought to size in two ways ({a}; {b})")
        })
    }

    /// Why the two are not the same weights; none when they are. That is what decides whether two embeddings are in the
    /// same space.
    pub fn weights_differ(&self, other: &Self) -> Option<String> {
        (self.weights != other.weights).then(|| match self.name == other.name {
            true => format!(
                "{} had other weights at that time ({} and {})",
                self.name,
                short(&self.weights),
                short(&other.weights)
            ),
            false => format!(
                "{} has the weights {}, {} has {}",
                self.name,
                short(&self.weights),
                other.name,
                short(&other.weights)
            ),
        })
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The beginning of a hash, enough for a person to tell it from others.
fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}
