//! Files that are written whole or not at all, and checked when they are read.

mod paths;
pub(crate) mod sealed;

pub use paths::{expand, nearest};
pub(crate) use paths::{missing, or};

use crate::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Write `bytes` to `path` through a temporary file beside it and a rename: a reader never sees a part, and what was
/// there stays until all of it is on disk. Folders on the way are made.
///
/// # Errors
/// When the folder or the file cannot be written, or the disk is full; nothing is left behind then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(|e| Error::io("making folder", folder, e))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".vitrepl-");
    #[cfg(unix)]
    {
        // Temporary files are private to their owner; a result is as readable as any other file.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder
        .tempfile_in(folder)
        .map_err(|e| Error::io("writing in", folder, e))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(|e| Error::io("writing", path, e))?;
    file.persist(path)
        .map_err(|e| Error::io("writing", path, e.error))?;
    Ok(())
}
