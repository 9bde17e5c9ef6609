//! Images with masks, such as ImageNet-Segmentation: a folder of each.

use super::decode::dimensions;
use super::folder::{FolderSet, OnUnreadable, entries, folder_name};
use super::{DataSet, Input, Labels, check_indices, mask};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Images and label pictures of the same names. Masks are brought to a model's size in the geometry of their image, by
/// nearest neighbour.
pub struct SegmentationSet {
    images: FolderSet,
    masks: Vec<PathBuf>,
}

impl SegmentationSet {
    /// The images of the folder `images` with the masks of the folder `masks`: PNG files of the same name and sub-folder,
    /// grey or with a palette, whose values are the labels (0: background).
    ///
    /// # Errors
    /// When an image has no mask or the reverse, or a mask has another size than its image.
    pub fn open(
        images: impl AsRef<Path>,
        masks: impl AsRef<Path>,
        unreadable: OnUnreadable,
    ) -> Result<Self> {
        let (images, masks) = (images.as_ref(), masks.as_ref());
        let mut pairs = by_name(masks)?;
        if pairs.is_empty() {
            let reason = format!(
                "there is no mask in {}; PNG files are read",
                masks.display()
            );
            return Err(Error::data(folder_name(masks), reason));
        }
        let images = FolderSet::open(images, unreadable)?;
        let mask_of = |image: &PathBuf| {
            pairs.remove(&stem(images.root(), image)).ok_or_else(|| {
                let reason = format!("the image {} has no mask of its name", image.display());
                Error::data(folder_name(masks), reason)
            })
        };
        let found = images
            .files()
            .iter()
            .map(mask_of)
            .collect::<Result<Vec<_>>>()?;
        // Masks of images that were left out are left out too.
        for skipped in images.skipped() {
            if let Error::Image { path, .. } = skipped {
                pairs.remove(&stem(images.root(), path));
            }
        }
        if let Some(mask) = pairs.values().next() {
            let reason = format!("the mask {} has no image of its name", mask.display());
            return Err(Error::data(images.name(), reason));
        }
        let sizes = images.files().par_iter().zip(&found);
        sizes
            .map(|(image, mask)| same_size(image, mask))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            images,
            masks: found,
        })
    }

    /// The paths of the masks, in the order of the images.
    pub fn mask_files(&self) -> &[PathBuf] {
        &self.masks
    }
}

/// The PNG files of `root` and its sub-folders by [`stem`].
fn by_name(root: &Path) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let (folders, mut files) = entries(root)?;
    for folder in folders {
        files.extend(entries(&folder)?.1)
    }
    files.retain(|file| {
        file.extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("png"))
    });
    Ok(files
        .into_iter()
        .map(|file| (stem(root, &file), file))
        .collect())
}

/// The path below `root` without its ending.
fn stem(root: &Path, file: &Path) -> PathBuf {
    file.strip_prefix(root).unwrap_or(file).with_extension("")
}

/// A mask is as large as its image, as that is stored or as it is shown.
fn same_size(image: &Path, mask: &Path) -> Result<()> {
    let (wm, hm) = mask::dimensions(mask)?;
    let (stored, shown) = (dimensions(image, false)?, dimensions(image, true)?);
    if (wm, hm) == stored || (wm, hm) == shown {
        return Ok(());
    }
    let reason = format!(
        "the mask is {wm} x {hm} pixels, its image {} is {} x {}",
        image.display(),
        stored.0,
        stored.1
    );
    Err(Error::data(mask.display().to_string(), reason))
}

impl DataSet for SegmentationSet {
    fn name(&self) -> &str {
        self.images.name()
    }

    fn key(&self) -> String {
        self.images.key()
    }

    fn len(&self) -> usize {
        self.images.len()
    }

    fn image_name(&self, index: usize) -> String {
        self.images.image_name(index)
    }

    fn pixels(&self, indices: &[usize], input: Input) -> Result<Tensor> {
        self.images.pixels(indices, input)
    }

    fn masks(&self, indices: &[usize], input: Input) -> Result<Tensor> {
        check_indices(self.name(), indices, self.len())?;
        input.check()?;
        let mask = |&i: &usize| {
            let mask = mask::read(&self.masks[i])?;
            Ok(input.preprocess.apply_mask(&mask, input.size).into_raw())
        };
        let masks = indices.par_iter().map(mask).collect::<Result<Vec<_>>>()?;
        let shape = (indices.len(), input.size, input.size);
        Ok(Tensor::from_vec(masks.concat(), shape, &Device::Cpu)?)
    }

    fn skipped(&self) -> &[Error] {
        self.images.skipped()
    }

    fn label_columns(&self) -> Vec<String> {
        self.images.label_columns()
    }

    fn labels(&self, column: &str) -> Result<Labels> {
        self.images.labels(column)
    }
}
