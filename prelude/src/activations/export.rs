//! Activations for other programs.

use super::ActivationCache;
use crate::files::arrays::{Array, Arrays};
use crate::{Error, Result};
use std::path::Path;

impl ActivationCache {
    /// Writes the values for other programs, images first: `.safetensors` has all of them by their names, `.npy` has one,
    /// and `<path>.json` what is said of it. The names of model and images stand beside, where they are known.
    ///
    /// # Errors
    /// Another ending, several values for `.npy`, or a file that cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let one = path
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
        if one && self.len() != 1 {
            return Err(Error::argument(
                "path",
                path.display(),
                format!(
                    "a name that ends in .safetensors, which takes all {} activations; a .npy file holds one",
                    self.len()
                ),
            ));
        }
        let all = self.all()?;
        let mut about = vec![("kind", "activations".to_string())];
        let mut names = Vec::new();
        if let Some(origin) = self.origin() {
            about.push(("model", origin.model.name.clone()));
            about.push(("weights", origin.model.weights.clone()));
            about.push(("data", origin.images.set.clone()));
            names.push(("image", origin.images.names.to_vec()));
        }
        Arrays {
            arrays: all
                .iter()
                .map(|(name, values)| Array {
                    name,
                    values,
                    axes: &["image"],
                })
                .collect(),
            names,
            about,
        }
        .export(path)
    }
}
