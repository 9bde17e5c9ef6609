//! Resident contributions and image embeddings.

use super::progress::Progress;
use super::registry::{Kind, resident_or, take};
use super::stop;
use crate::data::DataSet;
use crate::decompose::{Contributions, Decomposer, Options};
use crate::models::Model;
use crate::{Error, Result};
use candle_core::Tensor;
use std::sync::{Arc, Mutex, PoisonError};

/// Images a forward pass takes together.
const BATCH: usize = 32;

/// Decompose `model`'s representation of every image of `set`: n x B x d, resident under the model's weights, the
/// set and the options.
///
/// A call that is stopped keeps its finished batches and goes on from them when it is made again.
///
/// # Errors
/// When an image cannot be read, the options do not fit the model, or the call was stopped.
pub fn decompose(
    model: &Model,
    set: &dyn DataSet,
    options: &Options,
) -> Result<Arc<Contributions>> {
    let key = set.key();
    let how = format!("{options:?} {:?}", model.encoder().device().location());
    let parts = [model.hash(), &key, &how];
    let label = format!("{}, {}", model.name(), set.name());
    resident_or(Kind::Contributions, &parts, &label, || {
        let decomposer = Decomposer::new(model.encoder(), *options)?;
        let unfinished = resident_or(Kind::Unfinished, &parts, &label, || {
            Ok((Mutex::new(Vec::<Contributions>::new()), 0))
        })?;
        let mut batches = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        let done = batches.iter().map(|batch| batch.values().dims()[1]).sum();
        each_batch("decompose", model, set, done, |pixels| {
            let batch = decomposer.run(pixels)?;
            batches.push(batch);
            Ok(())
        })?;
        let all = Contributions::concat(&batches)?;
        drop(batches);
        take::<Mutex<Vec<Contributions>>>(Kind::Unfinished, &parts);
        let bytes = all.bytes();
        Ok((all, bytes))
    })
}

/// `model`'s representation of every image of `set`, B x d, resident.
///
/// # Errors
/// When an image cannot be read, or the call was stopped.
pub fn embed_images(model: &Model, set: &dyn DataSet) -> Result<Arc<Tensor>> {
    let key = set.key();
    let place = format!("{:?}", model.encoder().device().location());
    let parts = [model.hash(), &key, &place];
    let label = format!("{}, {}", model.name(), set.name());
    resident_or(Kind::Images, &parts, &label, || {
        let mut batches = Vec::new();
        each_batch("embed", model, set, 0, |pixels| {
            let features = model.encoder().forward(pixels, &Default::default())?;
            batches.push(features.representation.value().clone());
            Ok(())
        })?;
        let all = Tensor::cat(&batches, 0)?;
        let bytes = 4 * all.elem_count();
        Ok((all, bytes))
    })
}

/// Draw or decode `set` batch by batch from image `done` on, normalise for `model`, and hand each to `f`.
fn each_batch(
    verb: &str,
    model: &Model,
    set: &dyn DataSet,
    mut done: usize,
    mut f: impl FnMut(&Tensor) -> Result<()>,
) -> Result<()> {
    stop::begin();
    let encoder = model.encoder();
    let total = set.len();
    let what = format!("{verb} {}, {}", model.name(), set.name());
    let mut progress = Progress::new(what.as_str(), total);
    while done < total {
        if stop::requested() {
            return Err(Error::Interrupted {
                what,
                kept: format!("{done} of {total} images are kept; call it again to go on"),
            });
        }
        let indices: Vec<_> = (done..total.min(done + BATCH)).collect();
        let pixels = set.pixels(&indices, encoder.image_size())?;
        let pixels = pixels.to_device(encoder.device())?;
        f(&encoder.normalisation().apply(&pixels)?)?;
        done += indices.len();
        progress.at(done, "");
    }
    Ok(())
}
