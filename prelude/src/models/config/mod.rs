//! What stands beside weights: the configuration files of timm, open_clip and transformers. Shapes are read off the
//! tensors; a configuration adds what they do not tell, such as the number of heads and how images are prepared.

mod open_clip;
mod picture;
mod timm;
mod transformers;

pub use picture::Picture;

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
    processor: Value,
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
        let path = folder.join(name);
        let Some(json) = read(&path)? else {
            return Ok(None);
        };
        let processor = read(&folder.join("preprocessor_config.json"))?;
        Ok(Some(Self {
            path,
            json,
            processor: processor.unwrap_or_default(),
        }))
    }

    /// What it says for a model of `family`, whose tokens are `width` channels wide.
    ///
    /// # Errors
    /// When it is of none of the three libraries, of another model, or of one that is not built.
    pub fn settings(&self, family: &str, width: Option<usize>) -> Result<Settings> {
        let json = &self.json;
        let settings = if json.get("model_cfg").is_some() {
            open_clip::settings(json)
        } else if json.get("architecture").is_some() || json.get("pretrained_cfg").is_some() {
            timm::settings(json, family)
        } else if json.get("model_type").is_some() {
            transformers::settings(json, &self.processor, family, width)
        } else {
            Err("it is of none of timm, open_clip and transformers; take it away and say what the weights do not tell with load_with".into())
        };
        settings.map_err(|reason: String| Error::weights(&self.path, reason))
    }
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
