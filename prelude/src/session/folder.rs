//! Where what outlives a process is kept.

use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Set by [`set_cache_folder`].
static CHOSEN: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Keep what outlives this process (contributions, the states of fits) in `folder` from now on, rather than in the
/// folder that `VITREPL_CACHE_DIR` names or in the user's cache folder.
pub fn set_cache_folder(folder: impl AsRef<Path>) {
    let folder = folder.as_ref().to_path_buf();
    *CHOSEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder);
}

/// The chosen folder, or `VITREPL_CACHE_DIR`, or `vitrepl` in the user's cache folder.
pub(super) fn cache_folder() -> Result<PathBuf> {
    let chosen = CHOSEN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let named = chosen.or_else(|| std::env::var_os("VITREPL_CACHE_DIR").map(PathBuf::from));
    named
        .or_else(|| Some(dirs::cache_dir()?.join("vitrepl")))
        .ok_or_else(|| {
            Error::argument(
                "VITREPL_CACHE_DIR",
                "",
                "there is no cache folder; name one",
            )
        })
}
