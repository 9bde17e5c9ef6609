//! Resident models.

use super::device;
use super::keys::Kind;
use super::progress::Progress;
use super::registry::resident_or;
use super::replay;
use super::stop;
use crate::models::Model;
use crate::models::hub::{Hub, Watch};
use crate::models::weights::folder;
use crate::{Error, Result};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Load a model: an embedded one (`tiny_vit`, `tiny_dinov2`, `tiny_clip`, ...); one of the paper's (`deit`, `dino`,
/// `dinov2`, `swin`, `maxvit`, `clip`) or any other timm or open_clip model of these families by its name
/// (`vit_small_patch14_dinov2`, `ViT-B-32/laion2b_s34b_b79k`, `timm/...`, `laion/...`) from the Hugging Face hub; or a
/// local weights file or folder by path, in timm's, open_clip's or transformers' key names. It stays resident; loading
/// it again costs nothing, unless the file has changed.
///
/// # Errors
/// When the name is unknown, the hub cannot be had (the message says which files to put where), or the file is
/// missing, broken, or does not fit a model.
pub fn load(name_or_path: &str) -> Result<Arc<Model>> {
    load_with(name_or_path, json!({}))
}

/// [`load`] with what the weights do not tell, or otherwise than they have it, in timm's or open_clip's names:
/// `json!({"num_heads": 6})`, `json!({"img_size": 224, "crop_pct": 0.9})`.
///
/// # Errors
/// As [`load`], or when the configuration has a name or value that is not understood.
pub fn load_with(name_or_path: &str, config: Value) -> Result<Arc<Model>> {
    let device = device();
    let (place, given) = (format!("{:?}", device.location()), config.to_string());
    let version = file_version(name_or_path);
    let parts = [name_or_path, &version, &given, &place];
    let model = resident_or(Kind::Model, &parts, name_or_path, || {
        stop::begin();
        let hub = Hub::from_env();
        let model = Model::open_from(&hub, name_or_path, &config, &device, &Shown::default())?;
        for what in model.assumed() {
            eprintln!("{name_or_path}: {what}");
        }
        let bytes = 4 * model.parameters();
        Ok((model, bytes))
    })?;
    replay::worth_repeating();
    Ok(model)
}

/// Shows downloads, and stops them when the running call is asked to.
#[derive(Default)]
struct Shown(RefCell<Option<(String, Progress)>>);

impl Watch for Shown {
    fn at(&self, file: &str, done: u64, total: u64) {
        let mut shown = self.0.borrow_mut();
        if shown.as_ref().is_none_or(|(name, _)| name != file) {
            *shown = Some((file.into(), Progress::new(file, total as usize)))
        }
        if let Some((_, bar)) = shown.as_mut() {
            let mega = |bytes: u64| bytes as f64 / 1e6;
            bar.at(
                done as usize,
                &format!("{:.1} of {:.1} MB", mega(done), mega(total)),
            )
        }
    }

    fn stopped(&self) -> bool {
        stop::requested()
    }
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
            "this model has no text tower; load \"clip\", \"ViT-L-14\" or the embedded \"tiny_clip\"",
        )),
    }
}

/// Size, time and place of a file, so that a changed one is read again (clocks of file systems are coarse, and a new
/// file has another inode); nothing for names.
fn file_version(path: &str) -> String {
    let path = Path::new(path);
    let weights = match path.is_dir() {
        true => folder::weights(path).unwrap_or(path.to_path_buf()),
        false => path.to_path_buf(),
    };
    let Ok(about) = std::fs::metadata(weights) else {
        return String::new();
    };
    let changed = about
        .modified()
        .ok()
        .and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    format!("{} {changed:?} {}", about.len(), about.ino())
}
