//! ImageNet's validation images: 1000 classes, numbered by the order of their WordNet ids as everywhere but in the
//! challenge's own development kit.

mod classes;
mod labels_file;

use self::classes::{CLASSES, class};
use super::Labels;
use super::folder::{FolderSet, OnUnreadable};
use super::listing::{Layout, folder_name, layout, list};
use crate::facts::{self, Facts};
use crate::files::expand;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Names of labels files that are looked for in the folder and in the one above it.
const LABEL_FILES: [&str; 7] = [
    "LOC_val_solution.csv",
    "ILSVRC2012_validation_ground_truth.txt",
    "imagenet_2012_validation_synset_labels.txt",
    "val.txt",
    "val_labels.txt",
    "labels.txt",
    "labels.csv",
];

/// Opens ImageNet's validation set. See [`ImageNet::open`].
///
/// ```
/// use vitrepl_prelude::data::ImageNet;
/// assert_eq!(ImageNet::names()[0], "tench");
/// assert_eq!(ImageNet::wnids()[999], "n15075141");
/// ```
pub struct ImageNet;

facts::shows!(ImageNet, |it| {
    let _ = it;
    Facts::new("ImageNet-1k: 1000 classes in open_clip's order")
        .row("classes", facts::list(Self::names(), 110))
        .row("opened by", "ImageNet::open(root, OnUnreadable::Fail)?")
});

impl ImageNet {
    /// The names of the 1000 classes in order, as open_clip's prompts have them.
    pub fn names() -> Vec<&'static str> {
        CLASSES.iter().map(|class| class.name).collect()
    }

    /// The WordNet ids of the 1000 classes in order.
    pub fn wnids() -> Vec<&'static str> {
        CLASSES.iter().map(|class| class.wnid).collect()
    }

    /// The images of `root` with the columns `class` (the names) and `wnid`:
    ///
    /// - in one sub-folder for each class, called by its WordNet id, name or number, or
    /// - flat, beside or below a labels file of one of the usual forms ([`Self::with_labels`]).
    ///
    /// # Errors
    /// When there is no image, no labels file, or a folder that is no class.
    pub fn open(root: impl AsRef<Path>, unreadable: OnUnreadable) -> Result<FolderSet> {
        let root = &expand(root)?;
        if let (Layout::Classes(classes), left_out) = layout(root)? {
            return by_folder(root, classes, left_out, unreadable);
        }
        let above = root.parent().unwrap_or(root);
        let mut places = [root, above]
            .into_iter()
            .flat_map(|folder| LABEL_FILES.map(|name| folder.join(name)));
        match places.find(|path| path.is_file()) {
            Some(labels) => Self::with_labels(root, labels, unreadable),
            None => {
                let reason = format!(
                    "{} has no sub-folder for each class, and there is no labels file in it or above it; put one of {} there, or name one with ImageNet::with_labels",
                    root.display(),
                    LABEL_FILES.join(", ")
                );
                Err(Error::data(folder_name(root), reason))
            }
        }
    }

    /// The images of the flat folder `root` with the labels of `labels`, which is one of
    ///
    /// - `LOC_val_solution.csv`: a header with `ImageId` and `PredictionString`, which begins with the WordNet id;
    /// - lines of a file name and a class, apart by a blank, tab or comma: the class is its number (0 to 999), WordNet id
    ///   or name; every image named must be there;
    /// - lines of one class each, line i for `ILSVRC2012_val_0000000i.JPEG`, or for the i-th of as many images: WordNet
    ///   ids, or the development kit's own numbers from 1 to 1000 (`ILSVRC2012_validation_ground_truth.txt`).
    ///
    /// # Errors
    /// When a line is malformed or names an image that is not there, or an image has no label.
    pub fn with_labels(
        root: impl AsRef<Path>,
        labels: impl AsRef<Path>,
        unreadable: OnUnreadable,
    ) -> Result<FolderSet> {
        let (root, labels) = (&expand(root)?, &expand(labels)?);
        let found = list(root)?;
        if found.images.is_empty() {
            let reason = format!("there is no image directly in {}", root.display());
            return Err(Error::data(folder_name(root), reason));
        }
        let values = labels_file::read(&found.images, labels)?;
        FolderSet::new(
            root,
            found.images,
            columns(values),
            found.left_out,
            unreadable,
        )
    }
}

fn columns(values: Vec<usize>) -> Vec<(String, Labels)> {
    let column = |column: &str, names: Vec<&str>| {
        let names = names.into_iter().map(str::to_string).collect();
        let values = values.clone();
        (column.to_string(), Labels { values, names })
    };
    vec![
        column("class", ImageNet::names()),
        column("wnid", ImageNet::wnids()),
    ]
}

fn by_folder(
    root: &Path,
    classes: Vec<(PathBuf, Vec<PathBuf>)>,
    left_out: Vec<Error>,
    unreadable: OnUnreadable,
) -> Result<FolderSet> {
    let (mut files, mut values) = (Vec::new(), Vec::new());
    for (folder, images) in classes {
        let wrong = |reason| Error::data(folder.display().to_string(), reason);
        let value = class(&folder_name(&folder)).map_err(wrong)?;
        values.extend(std::iter::repeat_n(value, images.len()));
        files.extend(images);
    }
    FolderSet::new(root, files, columns(values), left_out, unreadable)
}
