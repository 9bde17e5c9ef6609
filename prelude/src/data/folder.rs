//! A folder of image files, with or without one sub-folder for each class.

use super::{
    DataSet, Labels, Preprocess, check_indices, check_size, no_column, preprocess::planes,
};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use image::{ImageReader, RgbImage};
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// What to do with a file that looks like an image and cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnreadable {
    /// The batch that needs it fails, naming the file.
    Fail,
    /// Every file is decoded once when the folder is opened, and those that fail are left out and
    /// listed by [`FolderSet::skipped`].
    Skip,
}

/// The images of a folder in the order of their paths. Sub-folders, where there are any, are the
/// classes.
pub struct FolderSet {
    root: PathBuf,
    name: String,
    files: Vec<PathBuf>,
    classes: Option<Labels>,
    skipped: Vec<Error>,
    preprocess: Preprocess,
}

impl FolderSet {
    /// The png, jpeg and webp files of `root`: directly in it, or one level down with the
    /// sub-folder's name as their class. Fails when there are none.
    pub fn open(
        root: impl AsRef<Path>,
        preprocess: Preprocess,
        unreadable: OnUnreadable,
    ) -> Result<Self> {
        let root = root.as_ref().to_path_buf();
        if !(preprocess.crop > 0. && preprocess.crop <= 1.) {
            return Err(Error::argument(
                "crop",
                preprocess.crop,
                "a share above 0 and at most 1",
            ));
        }
        let name = root
            .file_name()
            .unwrap_or(root.as_os_str())
            .to_string_lossy()
            .into_owned();
        let (mut found, names) = list(&root)?;
        let mut skipped = Vec::new();
        if unreadable == OnUnreadable::Skip {
            let failures: Vec<_> = found
                .par_iter()
                .map(|(file, _)| decode(file).err())
                .collect();
            let mut failures = failures.into_iter();
            found.retain(|_| match failures.next().flatten() {
                Some(error) => {
                    skipped.push(error);
                    false
                }
                None => true,
            });
        }
        if found.is_empty() {
            let reason = match skipped.len() {
                0 => format!(
                    "there is no image in {}; png, jpeg and webp files are read, directly in it or in one sub-folder a class",
                    root.display()
                ),
                n => format!(
                    "none of the {n} images in {} can be decoded; the first: {}",
                    root.display(),
                    skipped[0]
                ),
            };
            return Err(Error::data(name, reason));
        }
        let (files, values): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let classes = (!names.is_empty()).then_some(Labels { values, names });
        Ok(Self {
            root,
            name,
            files,
            classes,
            skipped,
            preprocess,
        })
    }

    /// The paths of the images, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Why each image that was left out could not be read.
    pub fn skipped(&self) -> &[Error] {
        &self.skipped
    }
}

impl DataSet for FolderSet {
    fn name(&self) -> &str {
        &self.name
    }

    /// From the paths below the folder, file lengths and times of change: contents are not read.
    fn key(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for file in &self.files {
            hash.update(
                file.strip_prefix(&self.root)
                    .unwrap_or(file)
                    .as_os_str()
                    .as_encoded_bytes(),
            );
            let stamp = fs::metadata(file)
                .ok()
                .map(|meta| (meta.len(), meta.modified().ok()));
            hash.update(format!("{stamp:?}").as_bytes());
        }
        hash.update(format!("{:?}", self.preprocess).as_bytes());
        format!("folder-{}", &hash.finalize().to_hex()[..16])
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn pixels(&self, indices: &[usize], size: usize) -> Result<Tensor> {
        check_indices(&self.name, indices, self.len())?;
        check_size(size)?;
        let images = indices
            .par_iter()
            .map(|&i| {
                Ok(planes(
                    &self.preprocess.apply(&decode(&self.files[i])?, size),
                ))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::from_vec(
            images.concat(),
            (indices.len(), 3, size, size),
            &Device::Cpu,
        )?)
    }

    fn label_columns(&self) -> Vec<String> {
        self.classes.iter().map(|_| "class".to_string()).collect()
    }

    fn labels(&self, column: &str) -> Result<Labels> {
        match &self.classes {
            Some(labels) if column == "class" => Ok(labels.clone()),
            _ => Err(no_column(&self.name, column, &self.label_columns())),
        }
    }
}

type Found = (Vec<(PathBuf, u32)>, Vec<String>);

/// Image files with the index of their class, and the classes' names (none: no sub-folders).
fn list(root: &Path) -> Result<Found> {
    let (folders, files) = entries(root)?;
    if !files.is_empty() {
        return Ok((
            files.into_iter().map(|file| (file, 0)).collect(),
            Vec::new(),
        ));
    }
    let mut found = Vec::new();
    let mut names = Vec::new();
    for folder in folders {
        let (_, files) = entries(&folder)?;
        if !files.is_empty() {
            let class = names.len() as u32;
            names.push(
                folder
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
            );
            found.extend(files.into_iter().map(|file| (file, class)));
        }
    }
    Ok((found, names))
}

/// The sub-folders and image files of `folder`, sorted.
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let listing = |source| Error::io("reading the folder", folder, source);
    let mut folders = Vec::new();
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(listing)? {
        let path = entry.map_err(listing)?.path();
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if path.is_dir() {
            folders.push(path);
        } else if EXTENSIONS.contains(&extension.as_str()) {
            files.push(path);
        }
    }
    folders.sort();
    files.sort();
    Ok((folders, files))
}

fn decode(file: &Path) -> Result<RgbImage> {
    let unreadable = |reason: String| Error::Image {
        path: file.to_path_buf(),
        reason: format!("cannot be read as an image ({reason}); replace or remove it"),
    };
    ImageReader::open(file)
        .and_then(ImageReader::with_guessed_format)
        .map_err(|error| unreadable(error.to_string()))?
        .decode()
        .map(|picture| picture.to_rgb8())
        .map_err(|error| unreadable(error.to_string()))
}
