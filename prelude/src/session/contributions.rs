//! Resident contributions and image embeddings.

use super::contained::{contained, key_of, representation};
use super::disk::Pieces;
use super::keys::{Kind, key, model_label, place, set_label};
use super::loading::loading;
use super::progress::Progress;
use super::registry::{resident_or, take};
use super::replay;
use super::room;
use super::stop;
use crate::data::{DataSet, ahead};
use crate::decompose::{Contributions, DecomposeOptions, Decomposer, Origin};
use crate::identity::{ImageEmbeddings, ImageOrigin, ImagesId, ModelId};
use crate::models::Model;
use crate::trace::Tape;
use crate::{Error, Result};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex, PoisonError};

/// Decompose `model`'s representation of every image of `set`: n x B x d, resident under the model's weights, the
/// set and the options.
///
/// What a finer decomposition of the same images holds is not computed again: heads come from one by tokens, and by the
/// rule [`Sharing::Own`](crate::decompose::Sharing::Own) layers from one by heads.
///
/// A call that is stopped keeps its finished batches and goes on from them when it is made again.
///
/// What will not fit in memory is refused before it starts, with how many images would fit; what takes more than half of it
/// is announced.
///
/// # Errors
/// When an image cannot be read, the options do not fit the model, there is too little memory, or the call was stopped.
pub fn decompose(
    model: impl AsRef<Model>,
    set: impl DataSet,
    options: &DecomposeOptions,
) -> Result<Arc<Contributions>> {
    let model = model.as_ref();
    contributions(model, &set, options)
}

fn contributions(
    model: &Model,
    set: &dyn DataSet,
    options: &DecomposeOptions,
) -> Result<Arc<Contributions>> {
    let data = set.key();
    let how = |options: &DecomposeOptions| format!("{options:?} {}", place(model));
    let parts = [model.hash(), &data, &how(options)];
    let label = format!(
        "{}, {}, {}{}",
        model.name(),
        set_label(set),
        options.words(),
        model_label(model)
    );
    let contributions = resident_or(Kind::Contributions, &parts, &label, || {
        let key_of = |options: &DecomposeOptions| key_of(model.hash(), &data, &how(options));
        if let Some(contained) = contained(model, set, options, key_of)? {
            let bytes = contained.bytes();
            return Ok((contained, bytes));
        }
        let decomposer = Decomposer::new(model.encoder(), *options)?.until(stop::requested);
        stop::begin();
        room::check(model, set, &decomposer)?;
        let origin = Origin {
            model: ModelId::of(model),
            options: *options,
            images: ImagesId::of(set),
        };
        let key = key(Kind::Contributions, &parts);
        let pieces = Pieces::of(&key, &label, &origin, decomposer.components());
        let unfinished = resident_or(Kind::Unfinished, &parts, &label, || {
            let device = model.encoder().device();
            let found = pieces.as_ref().map(|pieces| pieces.read(device));
            Ok((Mutex::new(Batches::from(found.unwrap_or_default())), 0))
        })?;
        let mut batches = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        for missing in batches.missing(set.len()) {
            let ended = each_batch("decompose", model, set, missing, |start, pixels| {
                batches.add(start, decomposer.run(pixels)?, pieces.as_ref());
                Ok(batches.images())
            });
            // What a stopped call has made is on disk too.
            batches.write(pieces.as_ref());
            ended?;
        }
        let all: Vec<Contributions> = batches.done.values().cloned().collect();
        let all = Contributions::concat(&all)?.with_origin(origin)?;
        let all = all.seen_at(model.input());
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

/// The finished batches of a decomposition.
struct Batches {
    /// By the index of the first image.
    done: BTreeMap<usize, Contributions>,
    /// The first images of those that are not on disk yet; one batch begins where the one before it ends.
    waiting: Vec<usize>,
}

impl From<BTreeMap<usize, Contributions>> for Batches {
    fn from(found: BTreeMap<usize, Contributions>) -> Self {
        Self {
            done: found,
            waiting: Vec::new(),
        }
    }
}

impl Batches {
    /// The images below `total` that no batch has, in order.
    fn missing(&self, total: usize) -> Vec<Range<usize>> {
        let mut missing = Vec::new();
        let mut next = 0;
        for (&start, batch) in &self.done {
            if start > next {
                missing.push(next..start);
            }
            next = start + batch.images();
        }
        if next < total {
            missing.push(next..total);
        }
        missing
    }

    /// Number of finished images.
    fn images(&self) -> usize {
        self.done.values().map(Contributions::images).sum()
    }

    fn add(&mut self, start: usize, batch: Contributions, pieces: Option<&Pieces>) {
        self.done.insert(start, batch);
        self.waiting.push(start);
        let waiting = self.waiting.iter().map(|start| self.done[start].bytes());
        if waiting.sum::<usize>() >= PIECE {
            self.write(pieces);
        }
    }

    fn write(&mut self, pieces: Option<&Pieces>) {
        let waiting = std::mem::take(&mut self.waiting);
        if let (Some(pieces), Some(first)) = (pieces, waiting.first()) {
            let batches: Vec<_> = waiting.iter().map(|i| self.done[i].clone()).collect();
            pieces.write(*first, &batches);
        }
    }
}

/// `model`'s representation of every image of `set`, B x d, resident; taken from contributions of the same images where
/// these are in memory.
///
/// # Errors
/// When an image cannot be read, or the call was stopped.
pub fn embed_images(model: impl AsRef<Model>, set: impl DataSet) -> Result<Arc<ImageEmbeddings>> {
    let model = model.as_ref();
    embeddings(model, &set)
}

fn embeddings(model: &Model, set: &dyn DataSet) -> Result<Arc<ImageEmbeddings>> {
    let data = set.key();
    let place = place(model);
    let parts = [model.hash(), &data, &place];
    let label = format!("{}, {}{}", model.name(), set_label(set), model_label(model));
    resident_or(Kind::Images, &parts, &label, || {
        let origin = ImageOrigin {
            model: ModelId::of(model),
            images: ImagesId::of(set),
        };
        if let Some(all) = representation(model, set) {
            let bytes = 4 * all.elem_count();
            return Ok((ImageEmbeddings::new(all)?.with_origin(origin)?, bytes));
        }
        let mut batches = Vec::new();
        each_batch("embed", model, set, 0..set.len(), |start, pixels| {
            let tape = Tape::off().until(stop::requested);
            let features = model.encoder().forward(pixels, &tape)?;
            let representation = features.representation.value().clone();
            let done = start + representation.dim(0)?;
            batches.push(representation);
            Ok(done)
        })?;
        let all = Tensor::cat(&batches, 0)?;
        let bytes = 4 * all.elem_count();
        Ok((ImageEmbeddings::new(all)?.with_origin(origin)?, bytes))
    })
}

/// Draw or decode the `images` of `set` ahead, normalise batch by batch for `model`, and hand each with the index of its
/// first image to `f`, which says how many images of the set are done.
pub(crate) fn each_batch(
    verb: &str,
    model: &Model,
    set: &dyn DataSet,
    images: Range<usize>,
    mut f: impl FnMut(usize, &Tensor) -> Result<usize>,
) -> Result<()> {
    stop::begin();
    let encoder = model.encoder();
    let (total, mut done) = (set.len(), images.start);
    if let [first, ..] = set.skipped() {
        let (name, count) = (set.name(), set.skipped().len());
        eprintln!("{name}: {count} images, files or folders are left out; the first: {first}");
    }
    let what = format!("{verb} {}, {}", model.name(), set.name());
    let mut progress = Progress::resumed(what.as_str(), done, total);
    let go_on = || !stop::requested();
    let ended = ahead::each_batch(
        set,
        images,
        model.input(),
        loading(),
        &go_on,
        |batch, pixels| {
            let pixels = pixels.to_device(encoder.device())?;
            match f(batch.start, &encoder.normalisation().apply(&pixels)?) {
                // It ended in the middle of the batch, of which nothing is kept.
                Err(_) if stop::requested() => return Ok(ControlFlow::Break(())),
                ended => done = ended?,
            }
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
