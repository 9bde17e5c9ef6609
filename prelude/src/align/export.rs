//! Aligned contributions for other programs.

use super::AlignedContributions;
use crate::Result;
use crate::decompose::export::{about, names};
use crate::files::arrays::{Array, Arrays};
use std::path::Path;

impl AlignedContributions {
    /// Writes the array for other programs, component x image x channel, with names beside, as
    /// [`Contributions::export`](crate::decompose::Contributions::export): `.safetensors` or `.npy`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut about = about("aligned contributions", self.origin());
        about.extend(self.clip().map(|clip| ("clip", clip.name.clone())));
        Arrays {
            arrays: vec![Array {
                name: "values",
                values: self.values(),
                axes: &["component", "image", "channel"],
            }],
            names: names(self.names(), self.origin()),
            about,
        }
        .export(path.as_ref())
    }
}
