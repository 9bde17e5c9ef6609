//! Images with masks, such as ImageNet-Segmentation: a folder of each.

use super::decode::{Header, header};
use super::folder::{FolderSet, OnUnreadable};
use super::listing::{folder_name, list};
use super::mask::{inverse, turned};
use super::{DataSet, Labels, ModelInput, check_batch, check_indices, mask};
use crate::files::expand;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use image::metadata::Orientation;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Images and label pictures of the same names. Masks are brought to a model's size in the geometry of their image, by
/// nearest neighbour, and turned with it where EXIF says that it is to be turned.
#[derive(Clone)]
pub struct SegmentationSet {
    images: FolderSet,
    masks: Arc<[Mask]>,
}

/// How the masks of pictures that EXIF turns lie in their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskGeometry {
    /// Pixel by pixel on the picture as it is stored, as programs have it that do not look at EXIF (PIL, MATLAB).
    Stored,
    /// On the picture as it is shown upright, as programs have it in which people draw.
    Shown,
}

/// A mask and how it lies to its image.
struct Mask {
    path: PathBuf,
    /// Of the image.
    orientation: Orientation,
    geometry: MaskGeometry,
}

impl SegmentationSet {
    /// The images of the folder `images` with the masks of the folder `masks`: PNG files of the same name and sub-folder,
    /// grey or with a palette, whose values are the labels (0: background).
    ///
    /// Where EXIF turns an image, the size of its mask tells whether that lies on the image as it is stored or as it is
    /// shown. Where the size cannot tell (squares, half turns, mirrors), the mask is taken to lie as those of the set do
    /// whose size tells, and as [`MaskGeometry::Stored`] where there are none; [`Self::open_drawn`] says it outright.
    ///
    /// # Errors
    /// When an image has no mask or the reverse, a mask has another size than its image, or sizes tell different things
    /// and one cannot tell.
    pub fn open(
        images: impl AsRef<Path>,
        masks: impl AsRef<Path>,
        unreadable: OnUnreadable,
    ) -> Result<Self> {
        Self::of(images.as_ref(), masks.as_ref(), None, unreadable)
    }

    /// [`Self::open`] with masks that lie as `drawn` says wherever their size cannot tell.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_drawn(
        images: impl AsRef<Path>,
        masks: impl AsRef<Path>,
        drawn: MaskGeometry,
        unreadable: OnUnreadable,
    ) -> Result<Self> {
        Self::of(images.as_ref(), masks.as_ref(), Some(drawn), unreadable)
    }

    fn of(
        images: &Path,
        masks: &Path,
        drawn: Option<MaskGeometry>,
        unreadable: OnUnreadable,
    ) -> Result<Self> {
        let masks = &expand(masks)?;
        let mut pairs = by_name(masks)?;
        if pairs.is_empty() {
            let reason = format!(
                "there is no mask in {}; PNG files are read",
                masks.display()
            );
            return Err(Error::data(folder_name(masks), reason));
        }
        let images = FolderSet::open(images, unreadable)?;
        let mut taken: BTreeMap<PathBuf, &PathBuf> = BTreeMap::new();
        let mut found = Vec::with_capacity(images.len());
        for image in images.files() {
            let name = stem(images.root(), image);
            if let Some(other) = taken.insert(name.clone(), image) {
                let (one, other) = (other.display(), image.display());
                let reason = format!("{one} and {other} would share a mask; rename one of them");
                return Err(Error::data(images.name(), reason));
            }
            found.push(pairs.remove(&name).ok_or_else(|| {
                let reason = format!("the image {} has no mask of its name", image.display());
                Error::data(folder_name(masks), reason)
            })?)
        }
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
        let pairs = images.files().par_iter().zip(&found);
        let told = pairs
            .map(|(image, mask)| told(image, mask))
            .collect::<Result<Vec<_>>>()?;
        let otherwise = match drawn {
            Some(drawn) => drawn,
            None => like_the_others(&images, &found, &told)?,
        };
        let masks = found.into_iter().zip(told);
        let masks = masks.map(|(path, (orientation, geometry))| Mask {
            path,
            orientation,
            geometry: geometry.unwrap_or(otherwise),
        });
        Ok(Self {
            masks: masks.collect(),
            images,
        })
    }

    /// The paths of the masks, in the order of the images.
    pub fn mask_files(&self) -> Vec<&Path> {
        self.masks.iter().map(|mask| mask.path.as_path()).collect()
    }
}

/// The PNG files of `root` and its sub-folders by [`stem`].
fn by_name(root: &Path) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let found = list(root)?;
    let mut files = found.images;
    for folder in found.folders {
        files.extend(list(&folder)?.images)
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

/// How an image is to be turned, and on which picture its mask lies, where that can be told.
type Told = (Orientation, Option<MaskGeometry>);

/// What the headers of an image and its mask tell.
fn told(image: &Path, mask: &Path) -> Result<Told> {
    let (of_image, of_mask) = (header(image)?, mask::header(mask)?);
    let Header {
        stored,
        orientation,
    } = of_image;
    let wrong = |reason| Err(Error::data(mask.display().to_string(), reason));
    let (w, h) = of_mask.stored;
    if (w, h) != stored && (w, h) != of_image.shown() {
        return wrong(format!(
            "the mask is {w} x {h} pixels, its image {} is {} x {}",
            image.display(),
            stored.0,
            stored.1
        ));
    }
    if of_mask.orientation != Orientation::NoTransforms {
        // The mask is to be turned itself: it lies as its image is stored.
        return match of_mask.orientation == orientation {
            true => Ok((orientation, Some(MaskGeometry::Stored))),
            false => wrong(format!(
                "EXIF turns the mask otherwise than its image {}; save the mask without EXIF",
                image.display()
            )),
        };
    }
    let geometry = match ((w, h) == stored, (w, h) == of_image.shown()) {
        (true, false) => Some(MaskGeometry::Stored),
        (false, true) => Some(MaskGeometry::Shown),
        _ => None,
    };
    Ok((orientation, geometry))
}

/// How masks lie that cannot tell: as those that can, and on the picture as it is stored where there are none.
fn like_the_others(images: &FolderSet, masks: &[PathBuf], told: &[Told]) -> Result<MaskGeometry> {
    let turned = |told: &Told| told.0 != Orientation::NoTransforms;
    let first = |geometry| {
        told.iter()
            .position(|told| turned(told) && told.1 == geometry)
    };
    let stored = first(Some(MaskGeometry::Stored));
    let shown = first(Some(MaskGeometry::Shown));
    let Some(unclear) = first(None) else {
        return Ok(MaskGeometry::Stored);
    };
    match (stored, shown) {
        (Some(stored), Some(shown)) => Err(Error::data(
            images.name(),
            format!(
                "EXIF turns the image {}, and the size of its mask does not tell whether that is to be turned too; those of others tell different things ({} is to be turned, {} is not): say it by SegmentationSet::open_drawn",
                images.files()[unclear].display(),
                masks[stored].display(),
                masks[shown].display()
            ),
        )),
        (None, Some(_)) => Ok(MaskGeometry::Shown),
        (Some(_), None) => Ok(MaskGeometry::Stored),
        (None, None) => {
            let count = told.iter().filter(|told| turned(told) && told.1.is_none());
            eprintln!(
                "{}: EXIF turns {} images whose masks do not tell by their size whether they are to be turned too, {} first; it is assumed that they are (SegmentationSet::open_drawn says otherwise)",
                images.name(),
                count.count(),
                images.files()[unclear].display()
            );
            Ok(MaskGeometry::Stored)
        }
    }
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

    fn pixels(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        self.images.pixels(indices, input)
    }

    fn masks(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        check_indices(self.name(), indices, self.len())?;
        check_batch(indices.len(), input)?;
        let mask = |&i: &usize| {
            let Mask {
                path,
                orientation,
                geometry,
            } = &self.masks[i];
            let orientation = match (geometry, input.preprocess.upright) {
                (MaskGeometry::Stored, true) => *orientation,
                (MaskGeometry::Shown, false) => inverse(*orientation),
                _ => Orientation::NoTransforms,
            };
            let mask = turned(mask::read(path)?, orientation);
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
