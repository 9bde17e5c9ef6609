//! Image files with what is known of them; a folder of them, with or without one sub-folder for each class.

use super::decode::{read_rgb, unreadable};
use super::labels::no_column;
use super::listing::{Layout, folder_name, layout};
use super::stamp::{Stamp, key, stamps};
use super::{
    DataSet, Labels, ModelInput, Preprocess, check_batch, check_indices, preprocess::planes,
};
use crate::files::expand;
use crate::process::{progress::Progress, stop};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use image::RgbImage;
use rayon::prelude::*;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

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
#[derive(Clone)]
pub struct FolderSet {
    root: PathBuf,
    name: String,
    key: String,
    files: Arc<Vec<PathBuf>>,
    /// Of each file when the set was opened.
    stamps: Arc<Vec<Option<Stamp>>>,
    columns: Arc<Vec<(String, Labels)>>,
    skipped: Arc<Vec<Error>>,
}

impl FolderSet {
    /// The png, jpeg and webp files of `root` in the order of their paths: directly in it, or one level down with the
    /// sub-folder's name as their `class`. Names that begin with a dot, `__MACOSX` and `Thumbs.db` are no data.
    ///
    /// [`DataSet::skipped`] lists what else is left out: pictures of other formats, sub-folders without images or with
    /// deeper ones, and images beside class folders that hold more.
    ///
    /// # Errors
    /// When the folder cannot be read, there are no images in it, they lie deeper, or as many lie beside its sub-folders
    /// as in them.
    pub fn open(root: impl AsRef<Path>, unreadable: OnUnreadable) -> Result<Self> {
        let root = &expand(root)?;
        let (found, left_out) = layout(root)?;
        let (files, columns) = match found {
            Layout::Flat(files) => (files, Vec::new()),
            Layout::Classes(classes) => {
                let names = classes.iter().map(|(folder, _)| folder_name(folder));
                let names: Vec<_> = names.collect();
                let (mut files, mut values) = (Vec::new(), Vec::new());
                for (class, (_, images)) in (0..).zip(classes) {
                    values.extend(std::iter::repeat_n(class, images.len()));
                    files.extend(images);
                }
                (files, vec![("class".to_string(), Labels { values, names })])
            }
        };
        Self::new(root, files, columns, left_out, unreadable)
    }

    /// The images `files` of the folder `root` with their label columns, beside which `left_out` is left out.
    pub(super) fn new(
        root: &Path,
        files: Vec<PathBuf>,
        columns: Vec<(String, Labels)>,
        left_out: Vec<Error>,
        unreadable: OnUnreadable,
    ) -> Result<Self> {
        let mut set = Self {
            root: root.to_path_buf(),
            name: folder_name(root),
            key: String::new(),
            stamps: stamps(&files).into(),
            files: files.into(),
            columns: columns.into(),
            skipped: Arc::default(),
        };
        let mut skipped = left_out;
        if unreadable == OnUnreadable::Skip {
            skipped.splice(0..0, set.leave_out_unreadable()?);
        }
        set.skipped = skipped.into();
        set.key = key(root, &set.files, &set.stamps);
        Ok(set)
    }

    /// This set under another name.
    pub(super) fn called(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// The paths of the images, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The folder it was opened from.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Decodes each file once, and says what is left out.
    fn leave_out_unreadable(&mut self) -> Result<Vec<Error>> {
        let preprocess = Preprocess::default();
        let read = |i: usize| self.picture(i, &preprocess).map(drop);
        let (kept, unreadable) = readable(&self.name, self.files.len(), read)?;
        retain(Arc::make_mut(&mut self.files), &kept);
        retain(Arc::make_mut(&mut self.stamps), &kept);
        for (_, labels) in Arc::make_mut(&mut self.columns) {
            retain(&mut labels.values, &kept);
        }
        if let ([], [first, ..]) = (self.files.as_slice(), unreadable.as_slice()) {
            let reason = format!(
                "none of the {} images in {} can be decoded; the first: {first}",
                unreadable.len(),
                self.root.display(),
            );
            return Err(Error::data(&self.name, reason));
        }
        Ok(unreadable)
    }

    /// Image `i` as it is decoded, if it is still what it was.
    fn picture(&self, i: usize, preprocess: &Preprocess) -> Result<RgbImage> {
        let path = &self.files[i];
        let file = File::open(path).map_err(|error| unreadable(path, error))?;
        if let Some(stamp) = self.stamps[i] {
            stamp.check(path, file.metadata())?
        }
        read_rgb(&file, path, preprocess)
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

    fn pixels(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        decoded(self, indices, input, |i| self.picture(i, &input.preprocess))
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
    input: ModelInput,
    picture: impl Fn(usize) -> Result<RgbImage> + Sync,
) -> Result<Tensor> {
    check_indices(set.name(), indices, set.len())?;
    check_batch(indices.len(), input)?;
    let one = |&i: &usize| Ok(planes(&input.preprocess.apply(&picture(i)?, input.size)));
    let images = match indices {
        // A thread that decodes ahead stays clear of the pool in which the model works.
        [i] => vec![one(i)?],
        _ => indices.par_iter().map(one).collect::<Result<Vec<_>>>()?,
    };
    let shape = (indices.len(), 3, input.size, input.size);
    Ok(Tensor::from_vec(images.concat(), shape, &Device::Cpu)?)
}
