//! Which images a result is of.

use crate::data::{DataSet, part_key, part_name};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Images in an order: what their data set is called, its key, and the name of each image.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagesId {
    /// The data set's name, for messages.
    pub set: String,
    /// The data set's key ([`DataSet::key`]): equal for the same images in the same order, and only for these.
    pub key: String,
    /// The name of each image ([`DataSet::image_name`]), in order. A file holds these beside the description, so they
    /// are put back by the reader.
    #[serde(skip, default = "nothing")]
    pub names: Arc<[String]>,
}

fn nothing() -> Arc<[String]> {
    Arc::from([])
}

impl ImagesId {
    /// The identity of all images of `set`.
    pub fn of(set: &dyn DataSet) -> Self {
        Self {
            set: set.name().to_string(),
            key: set.key(),
            names: (0..set.len()).map(|i| set.image_name(i)).collect(),
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Why the two are not the same images in the same order; none when they are.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.key == other.key && self.len() == other.len() {
            return None;
        }
        let of = |images: &Self| format!("{} ({} images)", images.set, images.len());
        Some(match self.set == other.set && self.len() == other.len() {
            true => format!(
                "{} has changed between the two: its key is {} and {}",
                of(self),
                self.key,
                other.key
            ),
            false => format!("one is on {}, the other on {}", of(self), of(other)),
        })
    }

    /// The images at `indices`, which exist: the identity of [`DataSet::subset`] of them.
    pub(crate) fn at(&self, indices: &[usize]) -> Self {
        Self {
            set: part_name(&self.set, indices),
            key: part_key(&self.key, indices),
            names: indices.iter().map(|&i| self.names[i].clone()).collect(),
        }
    }

    /// The images of `parts`, one after the other.
    pub fn concat<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let parts: Vec<&Self> = parts.into_iter().collect();
        if let [one] = parts[..] {
            return one.clone();
        }
        let mut hash = blake3::Hasher::new();
        for part in &parts {
            hash.update(&(part.key.len() as u64).to_le_bytes());
            hash.update(part.key.as_bytes());
        }
        let sets: Vec<&str> = parts.iter().map(|part| part.set.as_str()).collect();
        let names = parts.iter().flat_map(|part| part.names.iter().cloned());
        Self {
            set: sets.join(" and "),
            key: format!("joined-{}", &hash.finalize().to_hex()[..16]),
            names: names.collect(),
        }
    }
}

impl fmt::Display for ImagesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name of a part ends with its number of images already.
        let count = crate::facts::count(self.len(), "image");
        match self.set.ends_with(&count) {
            true => f.write_str(&self.set),
            false => write!(f, "{}, {count}", self.set),
        }
    }
}

super::debug_as_display!(ImagesId);
