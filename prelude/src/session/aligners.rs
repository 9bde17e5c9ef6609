//! Resident aligners.

use super::contributions::{decompose, embed_images};
use super::disk::KeptFit;
use super::keys::{Kind, key, model_label, place, set_label};
use super::registry::resident_or;
use super::replay;
use crate::align::{AlignerOrigin, Alignment, FitOptions};
use crate::data::DataSet;
use crate::decompose::{DecomposeOptions, Decomposer, Origin};
use crate::identity::{ImagesId, ModelId};
use crate::models::Model;
use crate::process::{progress::Progress, stop};
use crate::{Error, Result};
use std::cell::RefCell;
use std::sync::Arc;

/// Fit maps from the components of `model` to the image space of `clip` on the images of `set` (paper section 3.2);
/// the identity where the model is that CLIP. Resident under both models' weights, the set and the options.
///
/// The finished aligner is kept in the cache folder, so that a later process takes it from there. A fit that is stopped
/// keeps its state there (unless `fit` names a checkpoint) and goes on when it is asked for again.
///
/// # Errors
/// When an image cannot be read, the options do not fit, or the call was stopped.
pub fn align(
    model: impl AsRef<Model>,
    clip: impl AsRef<Model>,
    set: impl DataSet,
    options: &DecomposeOptions,
    fit: &FitOptions,
) -> Result<Arc<Alignment>> {
    let (model, clip) = (model.as_ref(), clip.as_ref());
    alignment(model, clip, &set, options, fit)
}

fn alignment(
    model: &Model,
    clip: &Model,
    set: &dyn DataSet,
    options: &DecomposeOptions,
    fit: &FitOptions,
) -> Result<Arc<Alignment>> {
    clip.clip()?;
    let data = set.key();
    let how = format!("{options:?}");
    let fitted = format!("{} epochs={}", fit.fingerprint(), fit.epochs);
    let (from, to) = (place(model), place(clip));
    let parts = [model.hash(), clip.hash(), &data, &how, &from, &to, &fitted];
    let label = format!(
        "{} to {}, {}, {}, {}{}",
        model.name(),
        clip.name(),
        set_label(set),
        options.words(),
        fit.words(),
        model_label(model)
    );
    let alignment = resident_or(Kind::Aligner, &parts, &label, || {
        let decomposer = Decomposer::new(model.encoder(), *options)?;
        let origin = AlignerOrigin {
            components: decomposer.components().to_vec(),
            source: Some(Origin {
                model: ModelId::of(model),
                options: *options,
                images: ImagesId::of(set),
            }),
            clip: Some(ModelId::of(clip)),
        };
        if model.hash() == clip.hash() {
            return Ok((Alignment::identity(origin)?, 0));
        }
        let mut kept = KeptFit::of(&key(Kind::Aligner, &parts), &label);
        let device = model.encoder().device();
        // A person who names a checkpoint wants that file to be read and written.
        let found = match fit.checkpoint {
            Some(_) => None,
            None => kept.as_mut().and_then(|kept| kept.read(&origin, device)),
        };
        let alignment = match found {
            Some(found) => found,
            None => fitted_anew(model, clip, set, options, fit, kept.as_ref())?,
        };
        let weights = alignment.aligner.weights();
        let bytes = weights.map_or(0, |w| 4 * w.elem_count());
        Ok((alignment, bytes))
    })?;
    replay::worth_repeating();
    Ok(alignment)
}

fn fitted_anew(
    model: &Model,
    clip: &Model,
    set: &dyn DataSet,
    options: &DecomposeOptions,
    fit: &FitOptions,
    kept: Option<&KeptFit>,
) -> Result<Alignment> {
    let contributions = decompose(model, set, options)?;
    let targets = embed_images(clip, set)?;
    stop::begin();
    let progress = RefCell::new(None);
    let options = FitOptions {
        stop: Some(&stop::requested),
        progress: Some(&|at| {
            let mut bar = progress.borrow_mut();
            let bar = bar.get_or_insert_with(|| {
                Progress::resumed(format!("align {}", model.name()), at.step, at.steps)
            });
            bar.at(at.step, &format!("held-out cosine {:.3}", at.held_out));
            if let Some(told) = fit.progress {
                told(at)
            }
        }),
        ..fit.clone()
    };
    let checkpoint = kept.map(KeptFit::checkpoint);
    let fitted = Alignment::fit_in_cache(&contributions, &targets, &options, checkpoint);
    if let Some(kept) = kept {
        match &fitted {
            Ok(alignment) => kept.write(alignment),
            Err(Error::Interrupted { .. }) => kept.stopped(),
            Err(_) => {}
        }
    }
    fitted
}
