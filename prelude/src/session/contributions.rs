//! Resident contributions and image embeddings.

use super::disk::Pieces;
use super::loading::loading;
use super::progress::Progress;
use super::registry::{Kind, file_name, resident_or, take};
use super::replay;
use super::stop;
use crate::data::{DataSet, ahead};
use crate::decompose::{Contributions, Decomposer, Options};
use crate::models::Model;
use crate::trace::Tape;
use crate::{Error, Result};
use candle_core::Tensor;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

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
    let how = format!("{options:?} {}", place(model));
    let parts = [model.hash(), &key, &how];
    let label = format!("{}, {}", model.name(), set.name());
    let contributions = resident_or(Kind::Contributions, &parts, &label, || {
        let decomposer = Decomposer::new(model.encoder(), *options)?.until(stop::requested);
        let pieces = Pieces::of(&file_name(Kind::Contributions, &parts), &label);
        let unfinished = resident_or(Kind::Unfinished, &parts, &label, || {
            let device = model.encoder().device();
            let found = pieces.as_ref().map(|pieces| pieces.read(device));
            Ok((Mutex::new(Batches::from(found.unwrap_or_default())), 0))
        })?;
        let mut batches = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        let done = count(&batches.all);
        let ended = each_batch("decompose", model, set, done, |pixels| {
            let batch = decomposer.run(pixels)?;
            batches.add(batch, pieces.as_ref());
            Ok(())
        });
        // What a stopped call has made is on disk too.
        batches.write(pieces.as_ref());
        ended?;
        let all = Contributions::concat(&batches.all)?;
        drop(batches);
        take::<Mutex<Batches>>(Kind::Unfinished, &parts);
        let bytes = all.bytes();
        Ok((all, bytes))
    })?;
    replay::worth_repeating();
    Ok(contributions)
}

/// Bytes of contributions that are written to disk as one piece.
const PIECE: usize = 16_000_000;

/// The batches of a decomposition, of which all but the last ones are on disk.
struct Batches {
    all: Vec<Contributions>,
    /// So many of them.
    written: usize,
}

impl From<Vec<Contributions>> for Batches {
    fn from(found: Vec<Contributions>) -> Self {
        Self {
            written: found.len(),
            all: found,
        }
    }
}

impl Batches {
    fn add(&mut self, batch: Contributions, pieces: Option<&Pieces>) {
        self.all.push(batch);
        let waiting: usize = self.all[self.written..]
            .iter()
            .map(Contributions::bytes)
            .sum();
        if waiting >= PIECE {
            self.write(pieces);
        }
    }

    fn write(&mut self, pieces: Option<&Pieces>) {
        if let Some(pieces) = pieces {
            let (before, waiting) = self.all.split_at(self.written);
            pieces.write(count(before), waiting);
        }
        self.written = self.all.len();
    }
}

/// Images in batches.
fn count(batches: &[Contributions]) -> usize {
    batches.iter().map(|batch| batch.values().dims()[1]).sum()
}

/// `model`'s representation of every image of `set`, B x d, resident.
///
/// # Errors
/// When an image cannot be read, or the call was stopped.
pub fn embed_images(model: &Model, set: &dyn DataSet) -> Result<Arc<Tensor>> {
    let key = set.key();
    let place = place(model);
    let parts = [model.hash(), &key, &place];
    let label = format!("{}, {}", model.name(), set.name());
    resident_or(Kind::Images, &parts, &label, || {
        let mut batches = Vec::new();
        each_batch("embed", model, set, 0, |pixels| {
            let tape = Tape::off().until(stop::requested);
            let features = model.encoder().forward(pixels, &tape)?;
            batches.push(features.representation.value().clone());
            Ok(())
        })?;
        let all = Tensor::cat(&batches, 0)?;
        let bytes = 4 * all.elem_count();
        Ok((all, bytes))
    })
}

/// Where `model` computes and what it sees: the same weights may be asked for at another size.
fn place(model: &Model) -> String {
    format!(
        "{:?} {:?}",
        model.encoder().device().location(),
        model.input()
    )
}

/// Draw or decode `set` ahead, from image `done` on, normalise batch by batch for `model`, and hand each to `f`.
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
    if let [first, ..] = set.skipped() {
        let (name, count) = (set.name(), set.skipped().len());
        eprintln!("{name}: {count} images, files or folders are left out; the first: {first}");
    }
    let what = format!("{verb} {}, {}", model.name(), set.name());
    let mut progress = Progress::resumed(what.as_str(), done, total);
    let go_on = || !stop::requested();
    let ended = ahead::each_batch(
        set,
        done..total,
        model.input(),
        loading(),
        &go_on,
        |batch, pixels| {
            let pixels = pixels.to_device(encoder.device())?;
            match f(&encoder.normalisation().apply(&pixels)?) {
                // It ended in the middle of the batch, of which nothing is kept.
                Err(_) if stop::requested() => return Ok(ControlFlow::Break(())),
                ended => ended?,
            }
            done = batch.end;
            progress.at(done, "");
            Ok(ControlFlow::Continue(()))
        },
    )?;
    match ended {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted {
            what,
            kept: format!("{done} of {total} images are kept; call it again to go on"),
        }),
    }
}
