//! Where the state of a fit is kept, and what follows when that file cannot be read or written.

use std::path::{Path, PathBuf};

use candle_core::Device;

use super::state::State;
use crate::{Error, Result};

/// The checkpoint file of a fit.
pub(super) struct Checkpoint {
    path: PathBuf,
    /// A file that the caller named. One of the library's own cache is no concern of the caller's: whatever is wrong with
    /// it is said and the fit goes on.
    named: bool,
    /// Whether this fit may write the file.
    writable: bool,
    written: bool,
}

impl Checkpoint {
    /// The file that is `named`, or else the one in the `cache`.
    pub fn new(named: Option<&Path>, cache: Option<&Path>) -> Option<Self> {
        Some(Self {
            path: named.or(cache)?.to_path_buf(),
            named: named.is_some(),
            writable: true,
            written: false,
        })
    }

    /// Whether the caller named the file.
    pub fn is_named(&self) -> bool {
        self.named
    }

    /// The file, if the latest state is in it.
    pub fn written(&self) -> Option<&Path> {
        self.written.then_some(&self.path)
    }

    /// Puts `state` where the file was; whether there was one. Of a cache's file: one that is damaged, of another format
    /// or of another fit is removed and the fit begins anew; one that cannot be read now is left as it is.
    pub fn resume(&mut self, state: &mut State, device: &Device) -> Result<bool> {
        let error = match state.resume(&self.path, device) {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        match error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {}
            error if self.named => return Err(error),
            Error::Saved { path, reason, .. } => {
                let path = path.display();
                eprintln!("{path}: {reason}; it is set aside and the fit begins anew");
                let _ = std::fs::remove_file(&self.path);
            }
            error => {
                eprintln!("{error}; the file is left as it is and the fit begins anew");
                self.writable = false;
            }
        }
        Ok(false)
    }

    /// Writes `state`, if the file may be written.
    ///
    /// # Errors
    /// When a file that the caller named cannot be written.
    pub fn write(&mut self, state: &State) -> Result<()> {
        if !self.writable {
            return Ok(());
        }
        match state.write(&self.path) {
            Ok(()) => self.written = true,
            Err(error) if self.named => return Err(error),
            Err(error) => {
                eprintln!("the state of the fit is not kept: {error}");
                self.writable = false;
                self.written = false;
            }
        }
        Ok(())
    }
}
