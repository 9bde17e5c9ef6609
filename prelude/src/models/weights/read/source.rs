//! Where the bytes of weights come from.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file, or one in memory.
pub(super) enum Source<'a> {
    Bytes(&'a [u8]),
    File(File, PathBuf),
}

impl Source<'_> {
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        Ok(Self::File(file, path.to_path_buf()))
    }

    pub fn len(&self) -> std::io::Result<u64> {
        Ok(match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(file, _) => file.metadata()?.len(),
        })
    }

    /// Fill `to` with the bytes from `start` on.
    pub fn read(&self, start: u64, to: &mut [u8]) -> std::io::Result<()> {
        match self {
            Self::File(file, _) => file.read_exact_at(to, start),
            Self::Bytes(bytes) => {
                let start = usize::try_from(start).unwrap_or(usize::MAX);
                let part = start
                    .checked_add(to.len())
                    .and_then(|end| bytes.get(start..end));
                to.copy_from_slice(part.ok_or(std::io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }

    /// The first `most` bytes, or all there are.
    pub fn start(&self, most: usize) -> std::io::Result<Vec<u8>> {
        let count = self.len()?.min(most as u64) as usize;
        let mut bytes = vec![0; count];
        self.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// blake3 of the whole.
    pub fn hash(&self) -> std::io::Result<String> {
        let mut hasher = blake3::Hasher::new();
        match self {
            Self::Bytes(bytes) => hasher.update_rayon(bytes),
            Self::File(_, path) => hasher.update_mmap_rayon(path)?,
        };
        Ok(hasher.finalize().to_hex().to_string())
    }
}
