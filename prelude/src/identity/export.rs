//! Embeddings for other programs.

use super::{ImageEmbeddings, TextEmbeddings};
use crate::Result;
use crate::files::arrays::{Array, Arrays};
use std::path::Path;

impl TextEmbeddings {
    /// Writes the array for other programs, text x channel, with the texts beside: `.safetensors` in the header, `.npy` in
    /// `<path>.json`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let clip = self
            .origin()
            .map(|origin| ("model", origin.clip.name.clone()));
        Arrays {
            arrays: vec![Array {
                name: "values",
                values: self.tensor(),
                axes: &["text", "channel"],
            }],
            names: vec![("text", self.texts().to_vec())],
            about: [("kind", "text embeddings".to_string())]
                .into_iter()
                .chain(clip)
                .collect(),
        }
        .export(path.as_ref())
    }
}

impl ImageEmbeddings {
    /// Writes the array for other programs, image x channel, with the names of the images beside: `.safetensors` in the
    /// header, `.npy` in `<path>.json`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut about = vec![("kind", "image embeddings".to_string())];
        let mut names = Vec::new();
        if let Some(origin) = self.origin() {
            about.push(("model", origin.model.name.clone()));
            about.push(("data", origin.images.set.clone()));
            names.push(("image", origin.images.names.to_vec()));
        }
        Arrays {
            arrays: vec![Array {
                name: "values",
                values: self.tensor(),
                axes: &["image", "channel"],
            }],
            names,
            about,
        }
        .export(path.as_ref())
    }
}
