//! Resident models.

use super::device;
use super::keys::Kind;
use super::registry::resident_or;
use super::replay;
use crate::models::hub::{Hub, Watch};
use crate::models::{Model, Place};
use crate::process::{progress::Progress, stop};
use crate::{Error, Result, files};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Load a model: an embedded one (`tiny_vit`, `tiny_dinov2`, `tiny_clip`, ...); one of the paper's (`deit`, `dino`,
/// `dinov2`, `swin`, `maxvit`, `clip`) or any other timm or open_clip model of these families by its name
/// (`vit_small_patch14_dinov2`, `ViT-B-32/laion2b_s34b_b79k`, `timm/...`, `laion/...`) from the Hugging Face hub; or a
/// local weights file or folder by path, in timm's, open_clip's or transformers' key names. It stays resident; loading
/// it again costs nothing, unless its weights, index, shards, configuration, preprocessor or tokenizer have changed or
/// been added. `~` is the user's folder.
///
/// Of a file of training that holds several sets of weights the one that its authors evaluate is taken: the average
/// (EMA) rather than the raw weights, the teacher rather than the student. This is said, with the line that takes the
/// other.
///
/// # Errors
/// When the name is unknown or of a model that is not built, the path leads nowhere, the hub cannot be had (the
/// message says which files to put where), or the file is broken, of another kind (the message says which), or does
/// not fit a model.
pub fn load(name_or_path: &str) -> Result<Arc<Model>> {
    load_with(name_or_path, json!({}))
}

/// [`load`] with what the weights do not tell, or otherwise than they have it, in timm's or open_clip's names:
/// `json!({"num_heads": 6})`, `json!({"img_size": 224, "crop_pct": 0.9})`. `"weights"` names one of several sets in a
/// file of training (`json!({"weights": "state_dict"})`, `"student.backbone"`), `"tokenizer"` the path of a CLIP's
/// `tokenizer.json`, and `json!({"dtype": "bf16"})` (or `"f16"`) has the large products of blocks taken in half precision
/// ([`Precision`](crate::models::weights::Precision)): for GPUs, as a CPU takes longer with them.
///
/// # Errors
/// As [`load`], or when the configuration has a name or value that is not understood.
pub fn load_with(name_or_path: &str, config: Value) -> Result<Arc<Model>> {
    let device = device()?;
    let (at, given) = (format!("{:?}", device.location()), config.to_string());
    let hub = Hub::from_env();
    let place = Place::of(name_or_path)?;
    if let Place::Published(source) = &place
        && hub.cached(source).is_none()
    {
        // Fetched before it is looked for among what is resident, as it is known by its files.
        stop::begin();
        hub.weights(source, &Shown::default())?;
    }
    let mut files = place.files(&hub);
    if let Some(tokenizer) = config["tokenizer"].as_str() {
        files.push(files::expand(tokenizer)?)
    }
    let before = version(&files);
    let parts = [name_or_path, &before, &given, &at];
    let model = resident_or(Kind::Model, &parts, name_or_path, || {
        stop::begin();
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

/// Size, time and place of each of `files`, so that a changed, added or removed one is noticed (clocks of file systems
/// are coarse, and a new file has another inode).
fn version(files: &[PathBuf]) -> String {
    let of = |path: &PathBuf| {
        let Ok(about) = std::fs::metadata(path) else {
            return "none".to_string();
        };
        let changed = about
            .modified()
            .ok()
            .and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        format!("{} {changed:?} {}", about.len(), about.ino())
    };
    files.iter().map(of).collect::<Vec<_>>().join("; ")
}
