//! Where a name or path that a person typed leads.

use super::hub::{self, Hub, Source, named};
use super::weights::folder;
use super::zoo::{self, Embedded};
use crate::facts::{self, Facts};
use crate::{Error, Result, files};
use std::path::{Path, PathBuf};

/// Where a model is.
pub enum Place {
    /// In the library.
    Embedded(&'static Embedded),
    /// In a file or folder.
    Local(PathBuf),
    /// On the Hugging Face hub, or in its cache.
    Published(Box<Source>),
}

facts::shows!(Place, |it| Facts::new(match it {
    Self::Embedded(embedded) => format!("embedded model \"{}\"", embedded.name),
    Self::Local(path) => format!("model at {}", path.display()),
    Self::Published(source) => format!("published model {source:?}"),
}));

/// Endings of files that people take for weights; a name with one of them is a path.
const OTHER_ENDINGS: [&str; 16] = [
    "json", "h5", "hdf5", "keras", "onnx", "npz", "npy", "pkl", "pickle", "pb", "tflite", "gguf",
    "zip", "tar", "gz", "msgpack",
];

impl Place {
    /// The embedded model, the path or the published model that `name_or_path` means, in this order. A folder that is
    /// called as a model is taken by `./name`.
    ///
    /// # Errors
    /// When it is a path at which there is nothing, or a name that is not known or of a model that is not built. The
    /// message has the nearest names.
    pub fn of(name_or_path: &str) -> Result<Self> {
        if let Some(embedded) = zoo::find(name_or_path) {
            return Ok(Self::Embedded(embedded));
        }
        let path = files::expand(name_or_path)?;
        if is_path(name_or_path) || (name_or_path.contains('/') && path.exists()) {
            return match path.exists() {
                true => Ok(Self::Local(path)),
                false => Err(files::missing(&path)),
            };
        }
        if name_or_path.contains("://") && !name_or_path.starts_with("https://huggingface.co/") {
            let expected =
                "a name or a path: download the file (curl -L -O ADDRESS) and load its path";
            return Err(Error::argument("model", name_or_path, expected));
        }
        match named(name_or_path) {
            Ok(Some(source)) if begins_here(name_or_path) && !source.is_known() => {
                let Error::Missing { path, nearest } = files::missing(&path) else {
                    return Err(files::missing(&path));
                };
                let nearest = format!(
                    "{nearest}{} For a repository of the hub write \"hf-hub:{name_or_path}\".",
                    if nearest.starts_with(';') { "." } else { "" }
                );
                Err(Error::Missing { path, nearest })
            }
            Ok(Some(source)) => Ok(Self::Published(Box::new(source))),
            _ if path.exists() => Ok(Self::Local(path)),
            Err(unknown) => Err(unknown),
            Ok(None) => Err(unknown(name_or_path)),
        }
    }

    /// The files that loading it reads, of those that are there already, and those which would be read if they were:
    /// a change of any of them changes the model.
    pub fn files(&self, hub: &Hub) -> Vec<PathBuf> {
        let weights = match self {
            Self::Embedded(_) => return Vec::new(),
            Self::Local(path) if path.is_dir() => match folder::weights(path) {
                Ok(weights) => weights,
                Err(_) => return vec![path.clone()],
            },
            Self::Local(path) => path.clone(),
            Self::Published(source) => match hub.cached(source) {
                Some(cached) => cached.weights,
                None => return Vec::new(),
            },
        };
        folder::beside(&weights)
    }
}

/// Whether it is written as only paths are.
fn is_path(text: &str) -> bool {
    let hub = ["hf-hub:", "hf_hub:"].iter().any(|p| text.starts_with(p)) || text.contains("://");
    let ending = Path::new(text).extension().and_then(|e| e.to_str());
    let ending = ending.map(str::to_lowercase).unwrap_or_default();
    let of_file =
        folder::ENDINGS.contains(&ending.as_str()) || OTHER_ENDINGS.contains(&ending.as_str());
    !hub && (text.starts_with(['/', '.', '~'])
        || text.ends_with('/')
        || text.contains('\\')
        || text.matches('/').count() > 1
        || of_file)
}

/// Whether the first part of `OWNER/NAME` is a folder here.
fn begins_here(name: &str) -> bool {
    let hub = name.contains(':');
    let first = name.split('/').next().unwrap_or("");
    !hub && name.contains('/') && Path::new(first).is_dir()
}

/// The error for a name that is none.
fn unknown(name: &str) -> Error {
    let mut known = zoo::names();
    known.extend(hub::ALIASES.iter().map(|(name, _)| *name));
    let mut near = hub::nearest(name, &zoo::names());
    let here = std::fs::read_dir(".").into_iter().flatten().flatten();
    let here = here.filter_map(|entry| entry.file_name().into_string().ok());
    let here = files::nearest(name, here.filter(|name| !name.starts_with('.')));
    near.extend(here.into_iter().map(|name| format!("./{name}")));
    Error::UnknownModel {
        name: name.into(),
        nearest: files::or(&near),
        known: format!(
            "{}, and timm's and open_clip's names of these families (vit_small_patch14_dinov2, ViT-L-14, timm/..., laion/...)",
            known.join(", ")
        ),
    }
}
