//! Data sets of single picture files.

use super::folder::{FolderSet, OnUnreadable};
use super::listing::folder_name;
use super::{DataSet, decode};
use crate::files::expand;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The picture `path` as a data set of one: `decompose(&vit, image("cat.jpg")?, &options)`.
///
/// # Errors
/// When there is no such file, or it is no picture that can be read.
pub fn image(path: impl AsRef<Path>) -> Result<FolderSet> {
    FolderSet::of_files([path])
}

impl FolderSet {
    /// The pictures at `paths`, in this order: `FolderSet::of_files(["cat.jpg", "dogs/dog.png"])?`. Each is read once.
    ///
    /// # Errors
    /// When there are none, or one is not there or is no picture that can be read; the message names it.
    pub fn of_files(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self> {
        let paths = paths.into_iter().map(expand).collect::<Result<Vec<_>>>()?;
        let Some(first) = paths.first() else {
            return Err(Error::argument("paths", "[]", "at least one picture"));
        };
        for path in &paths {
            let found = std::fs::metadata(path).map_err(|e| Error::io("reading", path, e))?;
            if found.is_dir() {
                return Err(Error::Image {
                    path: path.clone(),
                    reason: "it is a folder; FolderSet::open(path, OnUnreadable::Fail)? opens it"
                        .into(),
                });
            }
            if !decode::is_image(path) {
                return Err(Error::Image {
                    path: path.clone(),
                    reason: format!(
                        "it does not end as a picture does that is read ({}); convert or rename it",
                        decode::EXTENSIONS.join(", ")
                    ),
                });
            }
        }
        let root = common(&paths);
        let name = match paths.len() {
            1 => folder_name(first),
            n => format!("{} and {} more", folder_name(first), n - 1),
        };
        let set = Self::new(&root, paths, Vec::new(), Vec::new(), OnUnreadable::Fail)?.called(name);
        // One that cannot be read is refused now, and not in the middle of what is done with the set.
        for i in 0..set.len() {
            set.pixels(&[i], 8.into())?;
        }
        Ok(set)
    }
}

/// The folder that all of `paths` lie in or below.
fn common(paths: &[PathBuf]) -> PathBuf {
    let folders = paths
        .iter()
        .map(|path| path.parent().unwrap_or(Path::new("")));
    let shared = folders.map(Path::to_path_buf).reduce(|a, b| {
        let same = a
            .components()
            .zip(b.components())
            .take_while(|(x, y)| x == y);
        same.map(|(x, _)| x).collect()
    });
    shared.unwrap_or_default()
}
