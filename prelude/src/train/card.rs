//! The record beside a trained model's weights.

use super::factors::PatchHead;
use super::trainer::tensors;
use super::{Accuracy, Family, Recipe, Task, Trained, checkpoint};
use crate::files::write_whole;
use crate::models::weights::keys::to_open_clip;
use crate::{Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// How a model came to be and how good it is. Written as JSON beside its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The command that makes it again.
    pub command: String,
    #[serde(flatten)]
    pub recipe: Recipe,
    pub steps: usize,
    /// Images seen in training, each once.
    pub images: usize,
    pub seconds: f64,
    /// Numbers in the model, factor heads left out.
    pub parameters: usize,
    /// On the held-out images: of the linear factor heads, or zero-shot with the 80 templates (CLIP).
    pub accuracy: Accuracy,
    /// Day the training ended, UTC.
    pub date: String,
}

impl Card {
    /// Writes `<folder>/<name>.safetensors` (half precision; `head.<factor>` are the linear factor heads)
    /// and `<folder>/<name>.json`. The weights' metadata has `family` and `config`.
    pub fn write(
        folder: &Path,
        command: &str,
        recipe: &Recipe,
        task: &impl Task,
        trained: Trained,
    ) -> Result<(Self, PathBuf)> {
        let weights = weights(&recipe.family, tensors(task))?;
        let own = weights
            .iter()
            .filter(|(name, _)| !name.starts_with("head."));
        let card = Self {
            command: command.to_string(),
            steps: trained.steps,
            images: trained.steps * recipe.batch,
            seconds: trained.seconds.round(),
            parameters: own.map(|(_, tensor)| tensor.elem_count()).sum(),
            accuracy: task.evaluate(recipe.held_out_images.len)?,
            date: time::OffsetDateTime::now_utc().date().to_string(),
            recipe: recipe.clone(),
        };
        let text =
            |value| serde_json::to_string_pretty(value).map_err(|error| unwritable(recipe, error));
        let (family, config) = recipe
            .family
            .named()
            .map_err(|error| unwritable(recipe, error))?;
        let metadata = HashMap::from([("family".into(), family), ("config".into(), config)]);
        let path = folder.join(format!("{}.safetensors", recipe.name));
        checkpoint::write_weights(&path, &weights, metadata)?;
        write_whole(
            &path.with_extension("json"),
            format!("{}\n", text(&card)?).as_bytes(),
        )?;
        Ok((card, path))
    }
}

fn unwritable(recipe: &Recipe, error: serde_json::Error) -> Error {
    Error::argument(
        "recipe",
        &recipe.name,
        format!("something that JSON can hold ({error})"),
    )
}

/// The tensors of the finished model, under the names of timm or open_clip.
fn weights(family: &Family, tensors: BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
    let shipped = tensors
        .into_iter()
        .filter(|(name, _)| !name.starts_with(PatchHead::PREFIX));
    match family {
        Family::Vit(_) | Family::Swin(_) | Family::MaxVit(_) => Ok(shipped.collect()),
        Family::Clip(_) => shipped
            .map(|(name, tensor)| open_clip(&name, tensor))
            .collect(),
    }
}

fn open_clip(name: &str, tensor: Tensor) -> Result<(String, Tensor)> {
    let (key, reshape) = to_open_clip(name);
    Ok((key, reshape.undo(&tensor)?))
}
