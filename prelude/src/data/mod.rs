//! Images and what is known of them: the generated set, files in folders and shards, subsets of any set, captions,
//! prompts and the tokenizer of the embedded CLIP.
//!
//! | data | opened by |
//! | --- | --- |
//! | generated images | [`GeneratedSet::new`] |
//! | one picture, some pictures | [`image()`], [`FolderSet::of_files`] |
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
mod picture;
pub mod preprocess;
mod resample;
mod segmentation;
mod shard;
pub(crate) mod show;
mod stamp;
mod subset;
mod table;
pub mod tar;
pub mod templates;
mod text;
pub mod tokenizer;
mod waterbirds;
mod which;
mod words;

pub use adaptors::{Preprocessed, Relabelled};
pub use folder::{FolderSet, OnUnreadable};
pub use generated::{Factor, FactorCorrelation, GeneratedSet, GeneratedSpec};
pub use imagenet::ImageNet;
pub use labels::Labels;
pub use parquet::ParquetSet;
pub use picture::image;
pub use preprocess::{CropMode, Interpolation, ModelInput, Preprocess, resize};
pub use segmentation::{MaskGeometry, SegmentationSet};
pub use subset::Subset;
pub(crate) use subset::{part_key, part_name};
pub use tar::TarSet;
pub use tokenizer::Tokenizer;
pub use waterbirds::Waterbirds;
pub use which::WhichImages;

use crate::{Error, Result};
use candle_core::Tensor;
use labels::no_column;
use std::sync::Arc;

/// A fixed, ordered collection of images that can be had at any square size.
///
/// Calls that take a set take it as it is, by reference or in an `Arc`. The parts of a set ([`Self::first`] and its like)
/// leave it where it is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no data set",
    note = "image(\"cat.jpg\")?, FolderSet::open(..)? and the other sets of the library are, and references to them"
)]
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
    fn pixels(&self, indices: &[usize], input: ModelInput) -> Result<Tensor>;

    /// The masks of the images at `indices` in the same geometry, `B x size x size`, u8 labels (0: background).
    ///
    /// # Errors
    /// As [`Self::pixels`], and where the set has no masks.
    fn masks(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
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

    /// The labels in `column` of the images at `indices` only.
    ///
    /// # Errors
    /// As [`Self::labels`], and when an image does not exist.
    fn labels_of(&self, column: &str, indices: &[usize]) -> Result<Labels> {
        check_indices(self.name(), indices, self.len())?;
        Ok(self.labels(column)?.at(indices))
    }

    /// The images at `indices` as a set of their own, labels and masks with them.
    ///
    /// # Errors
    /// When there are none, or one does not exist.
    fn subset(&self, indices: &[usize]) -> Result<Subset>
    where
        Self: Clone + Sized + 'static,
    {
        Subset::new(Arc::new(self.clone()), indices.to_vec())
    }

    /// The first `count` images.
    ///
    /// # Errors
    /// When there are fewer, or `count` is 0.
    fn first(&self, count: usize) -> Result<Subset>
    where
        Self: Clone + Sized + 'static,
    {
        Subset::first(Arc::new(self.clone()), count)
    }

    /// All images in an order that `seed` decides.
    ///
    /// # Errors
    /// When the set is empty.
    fn shuffled(&self, seed: u64) -> Result<Subset>
    where
        Self: Clone + Sized + 'static,
    {
        Subset::shuffled(Arc::new(self.clone()), seed)
    }

    /// Disjoint parts of the set shuffled by `seed`, as large as `shares` say: `set.split(1, &[0.8, 0.2])?`.
    ///
    /// # Errors
    /// When a share is not above 0, they sum to more than 1, or a part would be empty.
    fn split(&self, seed: u64, shares: &[f64]) -> Result<Vec<Subset>>
    where
        Self: Clone + Sized + 'static,
    {
        Subset::split(Arc::new(self.clone()), seed, shares)
    }

    /// The images whose label in `column` is called `name`: `set.only("split", "test")?`.
    ///
    /// # Errors
    /// When there is no such column, name or image.
    fn only(&self, column: &str, name: &str) -> Result<Subset>
    where
        Self: Clone + Sized + 'static,
    {
        Subset::only(Arc::new(self.clone()), column, name)
    }

    /// The same images brought to size by `preprocess`, whatever the model says.
    ///
    /// # Errors
    /// When the crop is no share.
    fn preprocessed(&self, preprocess: Preprocess) -> Result<Preprocessed>
    where
        Self: Clone + Sized + 'static,
    {
        Preprocessed::new(Arc::new(self.clone()), preprocess)
    }

    /// The same images with `labels` as the column `column`, in place of one of that name.
    ///
    /// # Errors
    /// When there is not one label for each image, or a value has no name.
    fn relabelled(&self, column: &str, labels: Labels) -> Result<Relabelled>
    where
        Self: Clone + Sized + 'static,
    {
        Relabelled::new(Arc::new(self.clone()), column, labels)
    }
}

/// A type that holds or refers to a set is that set: `delegate!({} TarSet, set => set.0)`.
macro_rules! delegate {
    ({$($generics:tt)*} $name:ty, $this:ident => $target:expr) => {
        impl $($generics)* $crate::data::DataSet for $name {
            fn name(&self) -> &str {
                let $this = self;
                $target.name()
            }

            fn key(&self) -> String {
                let $this = self;
                $target.key()
            }

            fn len(&self) -> usize {
                let $this = self;
                $target.len()
            }

            fn image_name(&self, index: usize) -> String {
                let $this = self;
                $target.image_name(index)
            }

            fn pixels(
                &self,
                indices: &[usize],
                input: $crate::data::ModelInput,
            ) -> $crate::Result<candle_core::Tensor> {
                let $this = self;
                $target.pixels(indices, input)
            }

            fn masks(
                &self,
                indices: &[usize],
                input: $crate::data::ModelInput,
            ) -> $crate::Result<candle_core::Tensor> {
                let $this = self;
                $target.masks(indices, input)
            }

            fn skipped(&self) -> &[$crate::Error] {
                let $this = self;
                $target.skipped()
            }

            fn label_columns(&self) -> Vec<String> {
                let $this = self;
                $target.label_columns()
            }

            fn labels(&self, column: &str) -> $crate::Result<$crate::data::Labels> {
                let $this = self;
                $target.labels(column)
            }

            fn labels_of(
                &self,
                column: &str,
                indices: &[usize],
            ) -> $crate::Result<$crate::data::Labels> {
                let $this = self;
                $target.labels_of(column, indices)
            }
        }
    };
}
use delegate;

// A shared or borrowed set is a set, so that a call takes `images`, `&images` and an `Arc` of either kind.
delegate!({<S: DataSet + ?Sized>} Arc<S>, set => (**set));
delegate!({<S: DataSet + ?Sized>} &S, set => (**set));

/// The most bytes of pixels that are made at once, 16 GiB.
const MOST_BYTES: u64 = 1 << 34;

/// Check `input`, and that `images` such images are not absurdly many to be held at once.
fn check_batch(images: usize, input: ModelInput) -> Result<()> {
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
