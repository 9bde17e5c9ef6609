//! Image files with what is known of them; a folder of them, with or without one sub-folder for each class.

use super::decode::{is_image, read_rgb};
use super::labels::no_column;
use super::{DataSet, Input, Labels, Preprocess, check_indices, preprocess::planes};
use crate::session::progress::Progress;
use crate::session::stop;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What to do with a file that looks like an image and cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnreadable {
    /// The batch that needs it fails, naming the file.
    Fail,
    /// Every file is decoded once when the set is opened, and those that fail are left out and listed by
    /// [`DataSet::skipped`].
    Skip,
}

/// Image files in a fixed order with their label columns. Files are decoded when they are asked for.
///
/// [`FolderSet::open`] takes the images of any folder; [`super::ImageNet`] and [`super::Waterbirds`] give sets of this
/// kind too.
pub struct FolderSet {
    root: PathBuf,
    name: String,
    key: String,
    files: Vec<PathBuf>,
    columns: Vec<(String, Labels)>,
    skipped: Vec<Error>,
}

impl FolderSet {
    /// The png, jpeg and webp files of `root` in the order of their paths: directly in it, or one level down with the
    /// sub-folder's name as their `class`.
    ///
    /// # Errors
    /// When the folder cannot be read, or there are no images in it.
    pub fn open(root: impl AsRef<Path>, unreadable: OnUnreadable) -> Result<Self> {
        let root = root.as_ref();
        let (found, names) = list(root)?;
        let (files, values): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let class = ("class".to_string(), Labels { values, names });
        let columns = if class.1.names.is_empty() {
            vec![]
        } else {
            vec![class]
        };
        Self::new(root, files, columns, unreadable)
    }

    /// The images `files` of the folder `root` with their label columns.
    pub(super) fn new(
        root: &Path,
        files: Vec<PathBuf>,
        columns: Vec<(String, Labels)>,
        unreadable: OnUnreadable,
    ) -> Result<Self> {
        let mut set = Self {
            root: root.to_path_buf(),
            name: folder_name(root),
            key: String::new(),
            files,
            columns,
            skipped: Vec::new(),
        };
        if unreadable == OnUnreadable::Skip {
            set.leave_out_unreadable()?
        }
        if set.files.is_empty() {
            return Err(Error::data(&set.name, nothing_in(root, &set.skipped)));
        }
        set.key = key(root, &set.files);
        Ok(set)
    }

    /// The paths of the images, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The folder it was opened from.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Decode each file once.
    fn leave_out_unreadable(&mut self) -> Result<()> {
        let preprocess = Preprocess::default();
        let read = |i: usize| read_rgb(&self.files[i], &preprocess).map(drop);
        let (kept, skipped) = readable(&self.name, self.files.len(), read)?;
        self.skipped = skipped;
        retain(&mut self.files, &kept);
        for (_, labels) in &mut self.columns {
            retain(&mut labels.values, &kept);
        }
        Ok(())
    }
}

/// Which of the `len` images of the set `name` `read` can read, and why not the others. It takes as long as decoding
/// them all, so it shows how far it is and can be stopped.
pub(super) fn readable(
    name: &str,
    len: usize,
    read: impl Fn(usize) -> Result<()> + Sync,
) -> Result<(Vec<bool>, Vec<Error>)> {
    stop::begin();
    let what = format!("check {name}");
    let progress = Mutex::new((Progress::new(what.as_str(), len), 0));
    let error = |i: usize| {
        if stop::requested() {
            return Err(Error::Interrupted {
                what: what.clone(),
                kept: "nothing is kept; open it again".to_string(),
            });
        }
        let error = read(i).err();
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.1 += 1;
        let done = progress.1;
        progress.0.at(done, "");
        Ok(error)
    };
    let errors = (0..len)
        .into_par_iter()
        .map(error)
        .collect::<Result<Vec<_>>>()?;
    let kept = errors.iter().map(Option::is_none).collect();
    Ok((kept, errors.into_iter().flatten().collect()))
}

/// Keep the items where `kept` is true.
pub(super) fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| *kept.next().unwrap_or(&true))
}

/// What a person calls the folder.
pub(super) fn folder_name(root: &Path) -> String {
    let name = root.file_name().unwrap_or(root.as_os_str());
    name.to_string_lossy().into_owned()
}

fn nothing_in(root: &Path, skipped: &[Error]) -> String {
    match skipped {
        [] => format!(
            "there is no image in {}; png, jpeg and webp files are read, directly in it or in one sub-folder a class",
            root.display()
        ),
        [first, ..] => format!(
            "none of the {} images in {} can be decoded; the first: {first}",
            skipped.len(),
            root.display(),
        ),
    }
}

/// From the paths below the folder, file lengths and times of change: contents are not read.
pub(super) fn key(root: &Path, files: &[PathBuf]) -> String {
    let stamps: Vec<_> = files
        .par_iter()
        .map(|file| {
            let about = fs::metadata(file).ok();
            format!(
                "{:?}",
                about.map(|about| (about.len(), about.modified().ok()))
            )
        })
        .collect();
    let mut hash = blake3::Hasher::new();
    for (file, stamp) in files.iter().zip(stamps) {
        let path = file.strip_prefix(root).unwrap_or(file);
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update(stamp.as_bytes());
    }
    format!("files-{}", &hash.finalize().to_hex()[..16])
}

impl DataSet for FolderSet {
    fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> String {
        self.key.clone()
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn image_name(&self, index: usize) -> String {
        let file = &self.files[index];
        let below = file.strip_prefix(&self.root).unwrap_or(file);
        below.to_string_lossy().into_owned()
    }

    fn pixels(&self, indices: &[usize], input: Input) -> Result<Tensor> {
        decoded(self, indices, input, |i| {
            read_rgb(&self.files[i], &input.preprocess)
        })
    }

    fn skipped(&self) -> &[Error] {
        &self.skipped
    }

    fn label_columns(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    fn labels(&self, column: &str) -> Result<Labels> {
        match self.columns.iter().find(|(name, _)| name == column) {
            Some((_, labels)) => Ok(labels.clone()),
            None => Err(no_column(&self.name, column, &self.label_columns())),
        }
    }
}

/// The images of `set` at `indices` as a model takes them ([`DataSet::pixels`]), from the pictures that `picture` reads;
/// several in parallel.
pub(super) fn decoded(
    set: &dyn DataSet,
    indices: &[usize],
    input: Input,
    picture: impl Fn(usize) -> Result<image::RgbImage> + Sync,
) -> Result<Tensor> {
    check_indices(set.name(), indices, set.len())?;
    input.check()?;
    let one = |&i: &usize| Ok(planes(&input.preprocess.apply(&picture(i)?, input.size)));
    let images = match indices {
        // A thread that decodes ahead stays clear of the pool in which the model works.
        [i] => vec![one(i)?],
        _ => indices.par_iter().map(one).collect::<Result<Vec<_>>>()?,
    };
    let shape = (indices.len(), 3, input.size, input.size);
    Ok(Tensor::from_vec(images.concat(), shape, &Device::Cpu)?)
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
            names.push(folder_name(&folder));
            found.extend(files.into_iter().map(|file| (file, class)));
        }
    }
    Ok((found, names))
}

/// The sub-folders and image files of `folder`, sorted.
pub(super) fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let listing = |source| Error::io("reading the folder", folder, source);
    let mut folders = Vec::new();
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(listing)? {
        let path = entry.map_err(listing)?.path();
        if path.is_dir() {
            folders.push(path);
        } else if is_image(&path) {
            files.push(path);
        }
    }
    folders.sort();
    files.sort();
    Ok((folders, files))
}
