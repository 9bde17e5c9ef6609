//! Contributions for other programs.

use super::{Contributions, Origin};
use crate::Result;
use crate::files::arrays::{Array, Arrays};
use std::path::Path;

impl Contributions {
    /// Writes the arrays for other programs, with names beside: `.safetensors` has `values` (component x image x channel)
    /// and `representation` (image x channel), with the names of components and images, model, data set and options in
    /// the header; `.npy` has the values, and `<path>.json` the rest.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let array = |name, values, axes| Array { name, values, axes };
        Arrays {
            arrays: vec![
                array("values", self.values(), &["component", "image", "channel"]),
                array(
                    "representation",
                    self.representation(),
                    &["image", "channel"],
                ),
            ],
            names: names(self.names(), self.origin()),
            about: about("contributions", self.origin()),
        }
        .export(path.as_ref())
    }
}

/// The names along the axes.
pub(crate) fn names(
    components: Vec<String>,
    origin: Option<&Origin>,
) -> Vec<(&'static str, Vec<String>)> {
    let images = origin.map(|origin| ("image", origin.images.names.to_vec()));
    [("component", components)]
        .into_iter()
        .chain(images)
        .collect()
}

/// What arrays are of.
pub(crate) fn about(kind: &str, origin: Option<&Origin>) -> Vec<(&'static str, String)> {
    let mut about = vec![("kind", kind.to_string())];
    if let Some(origin) = origin {
        about.push(("model", origin.model.name.clone()));
        about.push(("weights", origin.model.weights.clone()));
        about.push(("data", origin.images.set.clone()));
        about.push(("data_key", origin.images.key.clone()));
        about.push(("options", origin.options.words()));
    }
    about
}
