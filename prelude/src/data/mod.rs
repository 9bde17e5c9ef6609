//! Images and what is known of them: the generated set, folders of image files, captions, prompts
//! and the tokenizer of the embedded CLIP.

pub mod folder;
pub mod generated;
pub mod preprocess;
pub mod templates;
pub mod tokenizer;

pub use folder::{FolderSet, OnUnreadable};
pub use generated::{Correlation, Factor, GeneratedSet, GeneratedSpec};
pub use preprocess::{Interpolation, Preprocess};
pub use tokenizer::Tokenizer;

use crate::{Error, Result};
use candle_core::Tensor;

/// A fixed, ordered collection of images that can be had at any square size.
pub trait DataSet: Send + Sync {
    /// What a person calls it, for messages and chart titles.
    fn name(&self) -> &str;

    /// A string that changes whenever the images or their order change: the key of every cache.
    fn key(&self) -> String;

    /// Number of images.
    fn len(&self) -> usize;

    /// Whether there are no images at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The images at `indices`, `B x 3 x size x size`, f32 in [0, 1], on the CPU, before any
    /// normalisation by a model's mean and deviation. Fails on an index past the end or an image
    /// that cannot be decoded.
    fn pixels(&self, indices: &[usize], size: usize) -> Result<Tensor>;

    /// The names of the label columns ("shape", "class", ...); empty where nothing is labelled.
    fn label_columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// The label column called `column`: one value for each image, and the names of the values.
    fn labels(&self, column: &str) -> Result<Labels> {
        Err(no_column(self.name(), column, &self.label_columns()))
    }
}

/// One label for each image of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Index into `names`, one for each image.
    pub values: Vec<u32>,
    /// What each value is called.
    pub names: Vec<String>,
}

fn no_column(set: &str, column: &str, known: &[String]) -> Error {
    let known = if known.is_empty() {
        "it has none".to_string()
    } else {
        format!("it has {}", known.join(", "))
    };
    Error::data(set, format!("there is no label \"{column}\"; {known}"))
}

fn check_indices(set: &str, indices: &[usize], len: usize) -> Result<()> {
    if indices.is_empty() {
        return Err(Error::data(
            set,
            "an empty list of indices was asked for; name at least one image",
        ));
    }
    match indices.iter().find(|&&i| i >= len) {
        Some(i) => Err(Error::data(
            set,
            format!("image {i} does not exist; the set has {len}, numbered from 0"),
        )),
        None => Ok(()),
    }
}

fn check_size(size: usize) -> Result<()> {
    if (8..=4096).contains(&size) {
        Ok(())
    } else {
        Err(Error::argument(
            "size",
            size,
            "an image side between 8 and 4096 pixels",
        ))
    }
}
