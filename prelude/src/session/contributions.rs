//! Resident contributions and image embeddings.

use super::contained::{contained, key_of, representation};
use super::disk::KeptDecomposition;
use super::keys::{Kind, key, model_label, place, set_label};
use super::loading::loading;
use super::registry::{resident_or, take};
use super::replay;
use super::room;
use crate::data::{DataSet, ahead};
use crate::decompose::{Assembly, Contributions, DecomposeOptions, Decomposer, MapCopies, Origin};
use crate::identity::{ImageEmbeddings, ImageOrigin, ImagesId, ModelId};
use crate::models::Model;
use crate::ops::Upload;
use crate::process::{beside::beside, progress::Progress, stop};
use crate::store::StorePlan;
use crate::trace::Tape;
use crate::{Error, Result};
use candle_core::Tensor;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex, PoisonError};

/// Decompose `model`'s representation of every image of `set`: n x B x d, resident under the model's weights, the
/// set and the options.
///
/// What a finer decomposition of the same images holds is not computed again: heads come from one by tokens, and by the
/// rule [`Sharing::Own`](crate::decompose::Sharing::Own) layers from one by heads.
///
/// A call that is stopped keeps its finished images and goes on from them when it is made again. What is finished is on
/// disk too, in the cache, and a later process reads it; source tokens where they take no more than a quarter of the cache.
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
        let plan = StorePlan::of(&decomposer, set.len(), model.input())?;
        let device = room::check(model, set, options, &plan)?;
        let origin = Origin {
            model: ModelId::of(model),
            options: *options,
            images: ImagesId::of(set),
        };
        let key = key(Kind::Contributions, &parts);
        let mut kept = KeptDecomposition::of(&key, &label, plan.with(origin.clone()));
        let unfinished = resident_or(Kind::Unfinished, &parts, &label, || {
            let mut all = Assembly::new(set.len());
            if let Some(kept) = &mut kept {
                kept.read(&device, |start, chunk| all.put(start, chunk))?;
            }
            Ok((Mutex::new(all), 0))
        })?;
        let mut all = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        let (missing, mut done) = (all.missing(), all.done());
        let whole = &mut *all;
        let mut copies = MapCopies::on(&device);
        // Copying a batch off the device and writing it to the cache goes on while the next one is computed.
        let put = |(start, batch): (usize, Contributions)| {
            let batch = batch.copied(&mut copies)?;
            if let Some(kept) = &mut kept {
                kept.add(start, &batch);
            }
            whole.put(start, &batch)
        };
        beside(put, |give| {
            missing.into_iter().try_for_each(|missing| {
                each_batch_telling("decompose", model, set, missing, |start, pixels, tell| {
                    decomposer.run_in_microbatches(pixels, |at, part| {
                        let part = part.seen_at(model.input());
                        done += part.images();
                        give((start + at, part))?;
                        tell(done);
                        Ok(())
                    })
                })
            })
        })?;
        let all = all.finish()?;
        if let Some(kept) = &mut kept {
            kept.finish(&all);
        }
        take::<Mutex<Assembly>>(Kind::Unfinished, &parts);
        let all = all.with_origin(origin)?;
        let bytes = all.bytes();
        Ok((all, bytes))
    })?;
    replay::worth_repeating();
    Ok(contributions)
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
    each_batch_telling(verb, model, set, images, |start, pixels, tell| {
        tell(f(start, pixels)?);
        Ok(())
    })
}

/// As [`each_batch`], where `f` tells how many images of the set are done as they are, within a batch too.
pub(super) fn each_batch_telling(
    verb: &str,
    model: &Model,
    set: &dyn DataSet,
    images: Range<usize>,
    mut f: impl FnMut(usize, &Tensor, &mut dyn FnMut(usize)) -> Result<()>,
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
    let mut upload = Upload::to(encoder.device())?;
    let ended = ahead::each_batch(
        set,
        images,
        model.input(),
        loading(),
        &go_on,
        |pixels| {
            let pixels = upload.bring(&pixels)?;
            encoder.normalisation().apply(&pixels)
        },
        |batch, pixels| {
            let mut tell = |images| {
                done = images;
                progress.at(done, "")
            };
            match f(batch.start, &pixels, &mut tell) {
                // It ended in the middle of a forward pass.
                Err(_) if stop::requested() => Ok(ControlFlow::Break(())),
                ended => ended.map(ControlFlow::Continue),
            }
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
