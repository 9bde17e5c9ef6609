//! Resident text embeddings.

use super::keys::{Kind, model_label, place};
use super::registry::resident_or;
use crate::data::{Tokenizer, templates};
use crate::identity::{ModelId, Prompts, TextEmbeddings, TextOrigin};
use crate::models::Model;
use crate::score;
use crate::{Error, Result};
use candle_core::Tensor;
use std::sync::Arc;

/// Texts the text tower takes together.
const BATCH: usize = 64;

/// Classes that a listing names.
const NAMED: usize = 10;

/// `clip`'s embeddings of `texts`, N x d, not normalised, resident.
///
/// # Errors
/// When the model is no CLIP, or a text is too long for it.
pub fn embed_texts(
    clip: impl AsRef<Model>,
    texts: &[impl AsRef<str>],
) -> Result<Arc<TextEmbeddings>> {
    let clip = clip.as_ref();
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    embeddings(clip, &texts, Prompts::Plain, || encode(clip, &texts))
}

/// One unit vector for each of `names`, k x d: each name in the 80 prompt templates, embedded by `clip`, brought to
/// unit length and averaged (open_clip `build_zero_shot_classifier`). A feature such as "location" is given by the
/// embeddings of its instantiations.
///
/// # Errors
/// As [`embed_texts`].
pub fn class_embeddings(
    clip: impl AsRef<Model>,
    names: &[impl AsRef<str>],
) -> Result<Arc<TextEmbeddings>> {
    let clip = clip.as_ref();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    embeddings(clip, &names, Prompts::Templates, || {
        clip.check_texts(&names)?;
        let prompts = names
            .iter()
            .map(|name| encode(clip, &templates::prompts(name)))
            .collect::<Result<Vec<_>>>()?;
        score::class_embeddings(&prompts)
    })
}

/// The resident embeddings of `texts`, or those that `make` makes.
fn embeddings(
    clip: &Model,
    texts: &[&str],
    prompts: Prompts,
    make: impl FnOnce() -> Result<Tensor>,
) -> Result<Arc<TextEmbeddings>> {
    if texts.is_empty() {
        return Err(Error::argument("texts", "[]", "at least one text"));
    }
    let tokenizer = clip.tokenizer().map(Tokenizer::hash).unwrap_or_default();
    let (place, how) = (place(clip), format!("{prompts:?}"));
    let mut parts = vec![clip.hash(), &tokenizer, &place, &how];
    parts.extend(texts);
    let named = texts[..texts.len().min(NAMED)].join(", ");
    let more = match texts.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let how = match prompts {
        Prompts::Plain => "as they are",
        Prompts::Templates => "in 80 templates",
    };
    let label = format!("{}, {named}{more}, {how}{}", clip.name(), model_label(clip));
    resident_or(Kind::Texts, &parts, &label, || {
        let tensor = make()?;
        let bytes = 4 * tensor.elem_count();
        let origin = TextOrigin {
            clip: ModelId::of(clip),
            tokenizer: tokenizer.clone(),
            prompts,
        };
        let embeddings = TextEmbeddings::new(texts, tensor)?.with_origin(origin);
        Ok((embeddings, bytes))
    })
}

/// Batch by batch: a text tower's memory grows with the texts it takes together.
fn encode(clip: &Model, texts: &[impl AsRef<str>]) -> Result<Tensor> {
    let batches = texts
        .chunks(BATCH)
        .map(|batch| clip.encode_text(batch))
        .collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&batches, 0)?)
}
