//! Files that hold many images: which they are, and reading them from several threads at once.

use super::listing::{folder_name, is_no_data};
use super::stamp::{Stamp, key};
use crate::{Error, Result};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The shards that `path` stands for, sorted: the file itself, all files of a folder that end in `extension`, or those
/// whose names begin as the path says (`data/validation` for `data/validation-00000-of-00014.parquet`). In a folder,
/// names that begin with a dot are no data.
///
/// # Errors
/// When there are none, or a folder holds shards of several splits.
pub(super) fn shards(path: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let (folder, begin) = if path.is_dir() {
        (path, String::new())
    } else {
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        (above.unwrap_or(Path::new(".")), folder_name(path))
    };
    let listing = |source| Error::io("reading the folder", folder, source);
    let (mut found, mut compressed, mut deeper) = (Vec::new(), None, None);
    for entry in std::fs::read_dir(folder).map_err(listing)? {
        let file = entry.map_err(listing)?.path();
        let name = folder_name(&file);
        if is_no_data(&name) || !name.starts_with(&begin) {
            continue;
        }
        if file.is_dir() {
            deeper = deeper.or(Some(file));
        } else if file.extension().is_some_and(|e| e == extension) {
            found.push(file)
        } else if name.contains(&format!(".{extension}.")) || name.ends_with(".tgz") {
            compressed = Some(file)
        }
    }
    found.sort();
    if found.is_empty() {
        let mut reason = format!("there is no .{extension} file at {}", path.display());
        if let Some(file) = compressed {
            reason += &format!("; {} is compressed: unpack it first", file.display())
        } else if let Some(folder) = deeper {
            reason += &format!(
                "; sub-folders are not looked into: name one, as {}",
                folder.display()
            )
        }
        return Err(Error::data(folder_name(path), reason));
    }
    let mut splits: Vec<_> = found.iter().map(|file| split_of(file)).collect();
    splits.dedup();
    if splits.len() > 1 && splits.iter().all(Option::is_some) {
        let splits: Vec<_> = splits.into_iter().flatten().collect();
        let reason = format!(
            "{} holds shards of {}; name one, as in {}",
            folder.display(),
            splits.join(" and "),
            folder.join(&splits[0]).display()
        );
        return Err(Error::data(folder_name(path), reason));
    }
    Ok(found)
}

/// The split in a name such as `train-00003-of-00014.parquet`.
fn split_of(file: &Path) -> Option<String> {
    let stem = file.file_stem()?.to_str()?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (split, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (digits(&count[..count.len().min(5)]) && digits(number)).then(|| split.to_string())
}

/// The key of a set made of these shards.
pub(super) fn shards_key(kind: &str, shards: &[Shard]) -> String {
    let files: Vec<_> = shards.iter().map(|shard| shard.path.clone()).collect();
    let stamps: Vec<_> = shards.iter().map(|shard| Some(shard.stamp)).collect();
    let root = files[0].parent().unwrap_or(Path::new(""));
    format!("{kind}-{}", key(root, &files, &stamps))
}

/// `key` for the images that are `kept` only.
pub(super) fn kept_key(key: &str, kept: &[bool]) -> String {
    let kept: Vec<_> = kept.iter().map(|&kept| u8::from(kept)).collect();
    format!("{key}-{}", &blake3::hash(&kept).to_hex()[..16])
}

/// An open file that several threads read at places of their own.
#[derive(Clone)]
pub(super) struct Shard {
    pub path: PathBuf,
    pub len: u64,
    stamp: Stamp,
    file: Arc<File>,
}

impl Shard {
    pub fn open(path: &Path) -> Result<Self> {
        let opening = |error| Error::io("reading", path, error);
        let file = File::open(path).map_err(opening)?;
        let about = file.metadata().map_err(opening)?;
        Ok(Self {
            path: path.to_path_buf(),
            len: about.len(),
            stamp: Stamp::of(&about),
            file: Arc::new(file),
        })
    }

    /// Check that the file is as it was when it was opened. One that has been put in its place is not looked at: the one
    /// that was opened is read on.
    pub fn check(&self) -> Result<()> {
        self.stamp.check(&self.path, self.file.metadata())
    }

    /// `len` bytes from `start` on; none are allocated where the file does not have as many.
    pub fn bytes(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        if start.saturating_add(len as u64) > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len];
        self.reader(start).read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// A reader of its own from `start` on.
    pub fn reader(&self, start: u64) -> Place {
        Place {
            shard: self.clone(),
            at: start,
        }
    }
}

/// A place in a shard.
pub(super) struct Place {
    shard: Shard,
    at: u64,
}

impl Read for Place {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(&*self.shard.file, buffer, self.at)?;
        #[cfg(not(unix))]
        let read = {
            let mut file = File::open(&self.shard.path)?;
            file.seek(SeekFrom::Start(self.at))?;
            file.read(buffer)?
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Place {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.shard.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
