//! Resident text embeddings.

use super::registry::{Kind, resident_or};
use crate::Result;
use crate::data::templates;
use crate::models::Model;
use crate::score;
use candle_core::Tensor;
use std::sync::Arc;

/// Texts the text tower takes together.
const BATCH: usize = 64;

/// `clip`'s embeddings of `texts`, N x d, not normalised, resident.
///
/// # Errors
/// When the model is no CLIP, or a text is too long for it.
pub fn embed_texts(clip: &Model, texts: &[impl AsRef<str>]) -> Result<Arc<Tensor>> {
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let joined = texts.join("\n");
    let label = format!("{}, {} texts", clip.name(), texts.len());
    resident_or(
        Kind::Texts,
        &[clip.hash(), "texts", &joined],
        &label,
        || {
            let all = encode(clip, &texts)?;
            let bytes = 4 * all.elem_count();
            Ok((all, bytes))
        },
    )
}

/// One unit vector for each of `names`, k x d: each name in the 80 prompt templates, embedded by `clip`, brought to
/// unit length and averaged (open_clip `build_zero_shot_classifier`). A feature such as "location" is given by the
/// embeddings of its instantiations.
///
/// # Errors
/// As [`embed_texts`].
pub fn class_embeddings(clip: &Model, names: &[impl AsRef<str>]) -> Result<Arc<Tensor>> {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let joined = names.join("\n");
    let label = format!("{}, {}", clip.name(), names.join(", "));
    resident_or(
        Kind::Texts,
        &[clip.hash(), "classes", &joined],
        &label,
        || {
            clip.check_texts(&names)?;
            let prompts = names
                .iter()
                .map(|name| encode(clip, &templates::prompts(name)))
                .collect::<Result<Vec<_>>>()?;
            let classes = score::class_embeddings(&prompts)?;
            let bytes = 4 * classes.elem_count();
            Ok((classes, bytes))
        },
    )
}

/// Batch by batch: a text tower's memory grows with the texts it takes together.
fn encode(clip: &Model, texts: &[impl AsRef<str>]) -> Result<Tensor> {
    let batches = texts
        .chunks(BATCH)
        .map(|batch| clip.encode_text(batch))
        .collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&batches, 0)?)
}
