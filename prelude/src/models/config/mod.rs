//! What stands beside weights: the configuration files of timm, open_clip and transformers. Shapes are read off the
//! tensors; a configuration adds what they do not tell, such as the number of heads and how images are prepared.
//!
//! Each library has tables of all its fields (`field::Rule`): what a field is turned into, that it is harmless, or
//! with which values alone it is built. A field that has no rule, and a value that is not built, is refused by the
//! file, the field and the value; null, and names that begin with `_`, are left alone. What a library takes for a field
//! that is left out is taken here. What the weights tell as well is held against them (`claims::Claims`).

mod architectures;
pub(crate) mod claims;
mod field;
mod open_clip;
mod picture;
mod processor;
mod timm;
mod transformers;

pub use picture::Picture;

use claims::Claims;

use super::weights::keys::{Format, OPEN_CLIP};
use crate::{Error, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What a configuration says, in the terms of the house.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Fields of the family's configuration.
    pub network: Value,
    /// How images are prepared.
    pub picture: Picture,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            network: json!({}),
            picture: Picture::default(),
        }
    }
}

/// A configuration file beside weights.
#[derive(Clone, Debug)]
pub struct Beside {
    path: PathBuf,
    json: Value,
    /// transformers keeps the preparation of images in a file of its own.
    processor: Option<Value>,
}

impl Beside {
    /// The configuration in the folder of the weights file `weights`, whose keys are `format`'s: open_clip's own file
    /// where they are open_clip's, else `config.json`. None where there is no such file.
    ///
    /// # Errors
    /// When a file is there and unreadable, or no JSON.
    pub fn find(weights: &Path, format: &Format) -> Result<Option<Self>> {
        let folder = weights.parent().unwrap_or(Path::new(""));
        let name = match format.name == OPEN_CLIP.name {
            true => "open_clip_config.json",
            false => "config.json",
        };
        let (path, preparation) = (folder.join(name), folder.join(processor::NAME));
        let (json, processor) = (read(&path)?, read(&preparation)?);
        Ok(match (json, processor) {
            (Some(json), processor) => Some(Self {
                path,
                json,
                processor,
            }),
            // Of a transformers model, whose other file was not put here.
            (None, Some(processor)) if format.name.starts_with("transformers") => Some(Self {
                path: preparation,
                json: Value::Null,
                processor: Some(processor),
            }),
            _ => None,
        })
    }

    /// Whether it says anything of the network.
    pub fn configured(&self) -> bool {
        !self.json.is_null()
    }

    /// The configuration file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says for a model of `family`.
    ///
    /// # Errors
    /// When it is of none of the three libraries, of another family, or has a field that is not known or not built.
    pub(crate) fn reading(&self, family: &str) -> Result<Reading> {
        let json = &self.json;
        let reading = if json.is_null() {
            transformers::prepared(self.processor.as_ref(), family)
        } else if json.get("model_cfg").is_some() {
            match family {
                "clip" => open_clip::reading(json),
                _ => Err(format!(
                    "it is open_clip's, but the weights beside it are of the family {family}: it is of another model"
                )),
            }
        } else if json.get("architecture").is_some() || json.get("pretrained_cfg").is_some() {
            match family {
                "clip" => Err(
                    "it is timm's, but the weights beside it are a CLIP's: it is of another model"
                        .into(),
                ),
                _ => timm::reading(json, family),
            }
        } else if json.get("model_type").is_some() {
            transformers::reading(json, self.processor.as_ref(), family)
        } else {
            Err("it is of none of timm, open_clip and transformers; take it away and say what the weights do not tell with load_with".into())
        };
        reading.map_err(|reason: String| Error::weights(&self.path, reason))
    }

    /// What the file says itself, for messages.
    pub(crate) fn says(&self) -> String {
        let fields = self.json.as_object().into_iter().flatten();
        let fields: Vec<_> = fields
            .filter(|(_, value)| !value.is_object() && !value.is_array())
            .take(4)
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        fields.join(", ")
    }
}

/// What a configuration file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// Of the network.
    pub claims: Claims,
    /// Of how images are prepared.
    pub picture: Picture,
}

/// The JSON of `path`, if there is such a file.
fn read(path: &Path) -> Result<Option<Value>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("reading", path, e)),
    };
    let json = serde_json::from_slice(&bytes);
    let json = json.map_err(|e| Error::weights(path, format!("not JSON ({e}); fetch it again")))?;
    Ok(Some(json))
}
