//! Keys of sets that lie in files, and the files' changes after a set was opened.

use super::decode;
use crate::{Error, Result};
use rayon::prelude::*;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What tells one state of a file from another without reading it: its length and time of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub fn of(about: &Metadata) -> Self {
        Self {
            len: about.len(),
            modified: about.modified().ok(),
        }
    }

    /// Check that the file at `path`, of which `now` is known, is as it was when the set's key was made: otherwise what
    /// is read now would be kept under the key of what was there then.
    pub fn check(&self, path: &Path, now: std::io::Result<Metadata>) -> Result<()> {
        let now = now.map_err(|error| Error::io("reading", path, error))?;
        if Self::of(&now) == *self {
            return Ok(());
        }
        Err(Error::Image {
            path: path.to_path_buf(),
            reason: "it has changed since the set was opened; open the set again".to_string(),
        })
    }
}

/// The stamps of `files`; none where a file is not there.
pub(super) fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| fs::metadata(file).ok().map(|about| Stamp::of(&about));
    files.par_iter().map(stamp).collect()
}

/// The key of a set made of these files in this order: from their paths below `root`, their stamps, and the version of
/// the decoders. Contents are not read: a file that is replaced by one of the same length and time of change is taken
/// for the same.
pub(super) fn key(root: &Path, files: &[PathBuf], stamps: &[Option<Stamp>]) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(&decode::VERSION.to_le_bytes());
    for (file, stamp) in files.iter().zip(stamps) {
        let path = file.strip_prefix(root).unwrap_or(file);
        let stamp = format!("{stamp:?}");
        for part in [path.as_os_str().as_encoded_bytes(), stamp.as_bytes()] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    format!("files-{}", &hash.finalize().to_hex()[..16])
}
