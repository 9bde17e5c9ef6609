//! Contributions and aligners on disk, so that they outlive the process that made them.
//!
//! ```text
//! <cache>/contributions/<key>.zarr                       one decomposition, in chunks of images (see `crate::store`)
//! <cache>/contributions/limit                            bytes that may be kept, contributions and aligners together
//! <cache>/aligners/<key>.safetensors                     a finished aligner, with the report of its fit
//! <cache>/aligners/<key>.checkpoint                      the state of a fit that was stopped
//! ```
//!
//! Each file is written whole or not at all, says what it was made of, and is checked when it is read. **Nothing here
//! fails a call.** What is damaged, of another format or of something else than its key says is named, removed and made
//! again. What cannot be read at the moment (a permission, too many open files, a fault of the device) is named and left
//! as it is, and its content is made again for this call. Where the disk is full or cannot be written, that is said once
//! and the work goes on in memory.

mod aligners;
mod decompositions;

pub(super) use aligners::KeptFit;
pub(super) use decompositions::KeptDecomposition;

use super::folder::cache_folder;
use super::keys::Kind;
use super::units::{duration, size};
use crate::charts::Table;
use crate::decompose::mentions;
use crate::files::{sealed, write_whole};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// Bytes kept on disk where no limit was set.
const LIMIT: u64 = 20_000_000_000;

/// In the folder of contributions: the limit, in bytes.
const LIMIT_FILE: &str = "limit";

/// The disk's refusal is told once.
static TOLD: AtomicBool = AtomicBool::new(false);

fn tell(error: &Error) {
    if !TOLD.swap(true, Ordering::Relaxed) {
        eprintln!("results are not kept on disk: {error}");
    }
}

/// Deals with a file that cannot be used because of `error`: one that is damaged or not what it should be is removed, and
/// one that cannot be read now stays. Either is said in a line. The caller makes the content again.
fn refuse(path: &Path, error: &Error) {
    match error {
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {}
        Error::Saved { reason, .. } => {
            eprintln!(
                "{}: {reason}; it is set aside and made again",
                path.display()
            );
            let _ = std::fs::remove_file(path);
        }
        error => eprintln!("{error}; it is left as it is and made again for now"),
    }
}

/// Found again: the last to be evicted. If that cannot be noted the file is evicted earlier.
fn touch(path: &Path) {
    let file = std::fs::File::open(path);
    let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
}

fn contributions() -> Result<PathBuf> {
    Ok(cache_folder()?.join("contributions"))
}

fn aligners() -> Result<PathBuf> {
    Ok(cache_folder()?.join("aligners"))
}

/// A decomposition or a fit on disk.
pub(super) struct Entry {
    kind: Kind,
    /// The folder of a decomposition, the file of a fit.
    path: PathBuf,
    pub bytes: u64,
    used: SystemTime,
}

impl Entry {
    fn age(&self) -> Duration {
        self.used.elapsed().unwrap_or_default()
    }

    fn label(&self) -> String {
        let label = match self.kind {
            Kind::Contributions => crate::store::label(&self.path),
            _ => sealed::label(&self.path),
        };
        label.unwrap_or_else(|| "of another version, or damaged".into())
    }

    fn remove(&self) -> bool {
        match self.kind {
            Kind::Contributions => remove_folder(&self.path),
            _ => std::fs::remove_file(&self.path).is_ok(),
        }
    }
}

/// Removes a store. It is put aside under another name first: another process sees all of it or nothing.
fn remove_folder(folder: &Path) -> bool {
    let aside = folder.with_extension(format!("removed-{}", std::process::id()));
    std::fs::rename(folder, &aside).is_ok() && std::fs::remove_dir_all(&aside).is_ok()
}

/// Everything on disk, what was not used for longest first.
pub(super) fn entries() -> Vec<Entry> {
    let decompositions = listed(contributions()).into_iter().filter(|p| p.is_dir());
    let decompositions = decompositions.filter_map(|folder| {
        let files = files_below(folder.clone());
        entry(Kind::Contributions, folder, &files)
    });
    let fits = listed(aligners()).into_iter().filter(|p| p.is_file());
    let fits = fits.filter_map(|file| entry(Kind::Aligner, file.clone(), &[file]));
    let mut entries: Vec<Entry> = decompositions.chain(fits).collect();
    entries.sort_by_key(|entry| entry.used);
    entries
}

/// The files in a folder and in those below it, as far as they can be read.
fn files_below(folder: PathBuf) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder]);
    while let Some(folder) = folders.pop() {
        let (inner, found): (Vec<_>, Vec<_>) = listed(Ok(folder))
            .into_iter()
            .partition(|path| path.is_dir() && !path.is_symlink());
        folders.extend(inner);
        files.extend(found);
    }
    files
}

/// What a folder holds; nothing where it cannot be read.
fn listed(folder: Result<PathBuf>) -> Vec<PathBuf> {
    let entries = folder
        .ok()
        .and_then(|folder| std::fs::read_dir(folder).ok());
    let entries = entries.into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn entry(kind: Kind, path: PathBuf, files: &[PathBuf]) -> Option<Entry> {
    let mut about = files
        .iter()
        .filter_map(|file| file.metadata().ok())
        .peekable();
    about.peek()?;
    let (mut bytes, mut used) = (0, SystemTime::UNIX_EPOCH);
    for file in about {
        bytes += file.len();
        used = used.max(file.modified().unwrap_or(SystemTime::UNIX_EPOCH));
    }
    Some(Entry {
        kind,
        path,
        bytes,
        used,
    })
}

/// The bytes that may be kept on disk; none where the limit cannot be read, so that nothing is evicted for another one.
pub(super) fn limit() -> Option<u64> {
    match std::fs::read_to_string(contributions().ok()?.join(LIMIT_FILE)) {
        Ok(text) => text.trim().parse().ok(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(LIMIT),
        Err(_) => None,
    }
}

/// Set the limit, and evict what is over it.
pub(super) fn set_limit(bytes: u64) -> Result<()> {
    write_whole(
        &contributions()?.join(LIMIT_FILE),
        bytes.to_string().as_bytes(),
    )?;
    evict(Path::new(""));
    Ok(())
}

/// Remove what was not used for longest until the rest is within the limit; `kept` stays.
fn evict(kept: &Path) {
    let entries = entries();
    let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let Some(limit) = limit() else {
        return;
    };
    for entry in entries {
        if total <= limit {
            return;
        }
        if entry.path != kept && entry.remove() {
            total -= entry.bytes;
        }
    }
}

/// Remove what has `pattern` in its kind or label, `*` being any characters (`"*"`: all); says how many.
pub(super) fn remove(pattern: &str) -> usize {
    let wanted =
        |entry: &Entry| mentions(entry.kind.name(), pattern) || mentions(&entry.label(), pattern);
    let entries = entries();
    let gone = entries
        .iter()
        .filter(|entry| wanted(entry) && entry.remove());
    gone.count()
}

/// Rows of a table: kind, what, size, device, age.
pub(super) fn rows(table: Table) -> Table {
    entries().iter().rev().fold(table, |table, entry| {
        table.row([
            entry.kind.name().to_string(),
            entry.label(),
            size(entry.bytes),
            "disk".to_string(),
            duration(entry.age()),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_cannot_be_read_is_not_taken_for_the_default() {
        let folder = tempfile::tempdir().unwrap();
        crate::session::set_cache_folder(folder.path());
        assert_eq!(limit(), Some(LIMIT));
        set_limit(123_000).unwrap();
        assert_eq!(limit(), Some(123_000));
        let file = folder.path().join("contributions").join(LIMIT_FILE);
        std::fs::write(&file, "12x").unwrap();
        assert_eq!(limit(), None);
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&file, &file).unwrap();
        assert_eq!(limit(), None);
        assert!(crate::session::cache().to_string().contains("limit"));
    }
}
