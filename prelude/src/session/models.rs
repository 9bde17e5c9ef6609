//! Resident models.

use super::device;
use super::registry::{Kind, resident_or};
use crate::models::Model;
use crate::{Error, Result};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Load a model: an embedded one by name (`tiny_vit`, `tiny_dinov2`, `tiny_clip`), or a local `.safetensors` file
/// in timm's or open_clip's key names by path. It stays resident; loading it again costs nothing, unless the file
/// has changed.
///
/// # Errors
/// When the name is unknown, or the file is missing, broken, or does not fit a model.
pub fn load(name_or_path: &str) -> Result<Arc<Model>> {
    load_with(name_or_path, json!({}))
}

/// [`load`] with what the weights do not tell, in timm's or open_clip's names: `json!({"num_heads": 6})`.
///
/// # Errors
/// As [`load`], or when the configuration has a name or value that is not understood.
pub fn load_with(name_or_path: &str, config: Value) -> Result<Arc<Model>> {
    let device = device();
    let (place, given) = (format!("{:?}", device.location()), config.to_string());
    let version = file_version(name_or_path);
    let parts = [name_or_path, &version, &given, &place];
    resident_or(Kind::Model, &parts, name_or_path, || {
        let model = Model::open(name_or_path, &config, &device)?;
        let bytes = 4 * model.parameters();
        Ok((model, bytes))
    })
}

/// [`load`] for a model with a text tower.
///
/// # Errors
/// As [`load`], or when the model is no CLIP.
pub fn load_clip(name_or_path: &str) -> Result<Arc<Model>> {
    let model = load(name_or_path)?;
    match model.clip() {
        Ok(_) => Ok(model),
        Err(_) => Err(Error::argument(
            "clip",
            name_or_path,
            "this model has no text tower; the embedded CLIP is \"tiny_clip\"",
        )),
    }
}

/// Size and time of a file, so that a changed one is read again; nothing for names.
fn file_version(path: &str) -> String {
    let Ok(about) = std::fs::metadata(Path::new(path)) else {
        return String::new();
    };
    let changed = about
        .modified()
        .ok()
        .and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    format!("{} {:?}", about.len(), changed)
}
