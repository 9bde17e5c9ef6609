//! Images and what is known of them: the generated set, files in folders and shards, subsets of any set, captions,
//! prompts and the tokenizer of the embedded CLIP.
//!
//! | data | opened by |
//! | --- | --- |
//! | generated images | [`GeneratedSet::new`] |
//! | a folder of images, or one sub-folder a class | [`FolderSet::open`] |
//! | ImageNet's validation images | [`ImageNet::open`] |
//! | Waterbirds | [`Waterbirds::open`] |
//! | images with masks | [`SegmentationSet::open`] |
//! | tar shards (WebDataset) | [`TarSet::open`] |
//! | parquet shards (Hugging Face hub) | [`ParquetSet::open`] |
//! | parts of a set | [`DataSet::first`], [`DataSet::subset`], [`DataSet::shuffled`], [`DataSet::split`], [`DataSet::only`] |

mod adaptors;
pub mod ahead;
mod decode;
pub mod folder;
pub mod generated;
pub mod imagenet;
mod labels;
mod listing;
mod mask;
pub mod parquet;
pub mod preprocess;
mod resample;
mod segmentation;
mod shard;
mod stamp;
mod subset;
mod table;
pub mod tar;
pub mod templates;
mod text;
pub mod tokenizer;
mod waterbirds;
mod words;

pub use adaptors::{Preprocessed, Relabelled};
pub use folder::{FolderSet, OnUnreadable};
pub use generated::{Correlation, Factor, GeneratedSet, GeneratedSpec};
pub use imagenet::ImageNet;
pub use labels::Labels;
pub use parquet::ParquetSet;
pub use preprocess::{CropMode, Input, Interpolation, Preprocess, resize};
pub use segmentation::{MaskGeometry, SegmentationSet};
pub use subset::Subset;
pub use tar::TarSet;
pub use tokenizer::Tokenizer;
pub use waterbirds::Waterbirds;

use crate::{Error, Result};
use candle_core::Tensor;
use labels::no_column;
use std::sync::Arc;

/// A fixed, ordered collection of images that can be had at any square size.
pub trait DataSet: Send + Sync {
    /// What a person calls it, for messages and chart titles.
    fn name(&self) -> &str;

    /// A string that changes whenever the images or their order change: the key of every cache. For files it is made of
    /// names, order, lengths and times of change; labels and masks are no part of it.
    fn key(&self) -> String;

    /// Number of images.
    fn len(&self) -> usize;

    /// Whether there are no images at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of image `index`, which results made of it carry: a path below the folder, a place in a shard.
    fn image_name(&self, index: usize) -> String {
        format!("image {index}")
    }

    /// The images at `indices` as a model takes them ([`crate::models::Model::input`]; `48.into()` for 48 pixels and
    /// the usual preprocessing): `B x 3 x size x size`, f32 in [0, 1], on the CPU, before any normalisation by a
    /// model's mean and deviation. A set that draws its images does so at that size and has nothing to crop.
    ///
    /// # Errors
    /// On an index past the end, or an image that cannot be decoded.
    fn pixels(&self, indices: &[usize], input: Input) -> Result<Tensor>;

    /// The masks of the images at `indices` in the same geometry, `B x size x size`, u8 labels (0: background).
    ///
    /// # Errors
    /// As [`Self::pixels`], and where the set has no masks.
    fn masks(&self, indices: &[usize], input: Input) -> Result<Tensor> {
        let _ = (indices, input);
        Err(Error::data(
            self.name(),
            "it has no masks; SegmentationSet::open takes a folder of images and one of masks",
        ))
    }

    /// What was left out and why: each image that could not be read, and files and folders that are no part of the set.
    fn skipped(&self) -> &[Error] {
        &[]
    }

    /// The names of the label columns ("shape", "class", ...); empty where nothing is labelled.
    fn label_columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// The label column called `column`: one value for each image, and the names of the values.
    ///
    /// # Errors
    /// When there is no such column.
    fn labels(&self, column: &str) -> Result<Labels> {
        Err(no_column(self.name(), column, &self.label_columns()))
    }

    /// The images at `indices` as a set of their own, labels and masks with them.
    ///
    /// # Errors
    /// When there are none, or one does not exist.
    fn subset(self, indices: &[usize]) -> Result<Subset>
    where
        Self: Sized + 'static,
    {
        Subset::new(Arc::new(self), indices.to_vec())
    }

    /// The first `count` images.
    ///
    /// # Errors
    /// When there are fewer, or `count` is 0.
    fn first(self, count: usize) -> Result<Subset>
    where
        Self: Sized + 'static,
    {
        Subset::first(Arc::new(self), count)
    }

    /// All images in an order that `seed` decides.
    ///
    /// # Errors
    /// When the set is empty.
    fn shuffled(self, seed: u64) -> Result<Subset>
    where
        Self: Sized + 'static,
    {
        Subset::shuffled(Arc::new(self), seed)
    }

    /// Disjoint parts of the set shuffled by `seed`, as large as `shares` say: `set.split(1, &[0.8, 0.2])?`.
    ///
    /// # Errors
    /// When a share is not above 0, they sum to more than 1, or a part would be empty.
    fn split(self, seed: u64, shares: &[f64]) -> Result<Vec<Subset>>
    where
        Self: Sized + 'static,
    {
        Subset::split(Arc::new(self), seed, shares)
    }

    /// The images whose label in `column` is called `name`: `set.only("split", "test")?`.
    ///
    /// # Errors
    /// When there is no such column, name or image.
    fn only(self, column: &str, name: &str) -> Result<Subset>
    where
        Self: Sized + 'static,
    {
        Subset::only(Arc::new(self), column, name)
    }

    /// The same images brought to size by `preprocess`, whatever the model says.
    ///
    /// # Errors
    /// When the crop is no share.
    fn preprocessed(self, preprocess: Preprocess) -> Result<Preprocessed>
    where
        Self: Sized + 'static,
    {
        Preprocessed::new(Arc::new(self), preprocess)
    }

    /// The same images with `labels` as the column `column`, in place of one of that name.
    ///
    /// # Errors
    /// When there is not one label for each image, or a value has no name.
    fn relabelled(self, column: &str, labels: Labels) -> Result<Relabelled>
    where
        Self: Sized + 'static,
    {
        Relabelled::new(Arc::new(self), column, labels)
    }
}

/// A shared set is a set: `Arc::clone(&set).first(10)`.
impl<S: DataSet + ?Sized> DataSet for Arc<S> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn key(&self) -> String {
        (**self).key()
    }

    fn len(&self) -> usize {
        (**self).len()
    }

    fn image_name(&self, index: usize) -> String {
        (**self).image_name(index)
    }

    fn pixels(&self, indices: &[usize], input: Input) -> Result<Tensor> {
        (**self).pixels(indices, input)
    }

    fn masks(&self, indices: &[usize], input: Input) -> Result<Tensor> {
        (**self).masks(indices, input)
    }

    fn skipped(&self) -> &[Error] {
        (**self).skipped()
    }

    fn label_columns(&self) -> Vec<String> {
        (**self).label_columns()
    }

    fn labels(&self, column: &str) -> Result<Labels> {
        (**self).labels(column)
    }
}

/// The most bytes of pixels that are made at once, 16 GiB.
const MOST_BYTES: u64 = 1 << 34;

/// Check `input`, and that `images` such images are not absurdly many to be held at once.
fn check_batch(images: usize, input: Input) -> Result<()> {
    input.check()?;
    let one = 3 * 4 * (input.size as u64).pow(2);
    match (images as u64).checked_mul(one) {
        Some(bytes) if bytes <= MOST_BYTES => Ok(()),
        _ => Err(Error::argument(
            "images at once",
            images,
            format!(
                "at most {} of {} x {} pixels (16 GiB): ask for fewer at a time; `set_loading` sets batch and ahead",
                MOST_BYTES / one,
                input.size,
                input.size
            ),
        )),
    }
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
