//! Named activations of a data set, and its images run with some of them changed.

use super::contributions::each_batch;
use crate::activations::{
    ActivationCache, ActivationChange, ActivationNames, Gradients, Intervened, Intervention,
    Objective, gradients, hook_points, record, run_batch, select,
};
use crate::data::DataSet;
use crate::identity::{ImageOrigin, ImagesId, ModelId};
use crate::models::Model;
use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// Bytes of activations that one call gives at most.
const MOST: usize = 16 << 30;

/// The names of `model`'s activations with their shapes for one image, in the order of the forward pass.
///
/// # Errors
/// When the forward pass fails.
pub fn activation_names(model: impl AsRef<Model>) -> Result<ActivationNames> {
    let model = model.as_ref();
    let points = hook_points(model.encoder())?;
    Ok(ActivationNames::new(model.name(), &points))
}

/// What is recorded from `set` is of this.
fn origin(model: &Model, set: &dyn DataSet) -> ImageOrigin {
    ImageOrigin {
        model: ModelId::of(model),
        images: ImagesId::of(set),
    }
}

/// The activations of every image of `set` that `patterns` ask for: `&["block 5 pattern", "block * head 3 z"]`, with `*`
/// for anything ([`crate::trace::HookKind`] lists the names). They are not kept by the session.
///
/// # Errors
/// When a pattern asks for nothing, they would take more than 16 GiB, an image cannot be read, or the call was stopped.
pub fn activations(
    model: impl AsRef<Model>,
    set: impl DataSet,
    patterns: &[&str],
) -> Result<ActivationCache> {
    let model = model.as_ref();
    let set: &dyn DataSet = &set;
    let selected = select(model.encoder(), patterns)?;
    let mut batches = Vec::new();
    each_batch("record", model, set, 0..set.len(), |first, pixels| {
        let batch = record(model.encoder(), pixels, &selected)?;
        let bytes = batch.bytes() / batch.images() * set.len();
        if bytes > MOST {
            return Err(Error::argument(
                "activations",
                format!("{:.1} GB for {} images", bytes as f64 / 1e9, set.len()),
                "at most 16 GiB: ask for fewer names, one head (\"block 5 head 3 pattern\"), or fewer images \
                 (set.first(100)?)",
            ));
        }
        let done = first + batch.images();
        batches.push(batch);
        Ok(done)
    })?;
    Ok(ActivationCache::concat(&batches)?.of(origin(model, set)))
}

/// Run every image of `set` with activations changed on the way, each given by a pattern of names and what becomes of
/// them: `&[("block 5 head 3 z", ActivationChange::Zero)]`. What the model makes of it is the total effect; that of the
/// decomposition, whose norms and attention stay frozen, is the direct one ([`crate::experiments::effects`]).
///
/// # Errors
/// When a pattern asks for nothing, a value to put in place was recorded for another number of images, an image cannot
/// be read, or the call was stopped.
pub fn intervene(
    model: impl AsRef<Model>,
    set: impl DataSet,
    changes: &[(&str, ActivationChange)],
) -> Result<Intervened> {
    let model = model.as_ref();
    let set: &dyn DataSet = &set;
    let encoder = model.encoder();
    let interventions = changes
        .iter()
        .map(|(pattern, change)| {
            if let ActivationChange::Swap(recorded) = change {
                check_swap(recorded, set)?
            }
            Intervention::on(encoder, pattern, change.clone())
        })
        .collect::<Result<Vec<_>>>()?;
    let (mut representations, mut logits) = (Vec::new(), Vec::new());
    each_batch("run", model, set, 0..set.len(), |first, pixels| {
        let batch = run_batch(encoder, pixels, &interventions, first)?;
        representations.push(batch.representation);
        logits.extend(batch.logits);
        Ok(first + pixels.dim(0)?)
    })?;
    Ok(Intervened {
        representation: Tensor::cat(&representations, 0)?,
        logits: match logits.is_empty() {
            true => None,
            false => Some(Tensor::cat(&logits, 0)?),
        },
    })
}

fn check_swap(recorded: &ActivationCache, set: &dyn DataSet) -> Result<()> {
    let images = recorded.images();
    if images == 1 || images == set.len() {
        return Ok(());
    }
    let expected = format!(
        "those of one image, or of as many as are run: {}; record them for set.first(1)? or for this set",
        set.len()
    );
    Err(Error::argument(
        "swap",
        format!("activations of {images} images"),
        expected,
    ))
}

/// The activations of every image that `patterns` ask for, and the gradients of an objective with respect to them.
/// `Objective::Logit(&classes)`, with the class of each image, is that of the model's own head,
/// `Objective::Head(&probe, &classes)` that of another, and `Objective::Along(&direction)` the representation's product with a
/// direction.
///
/// # Errors
/// As [`activations`]; when there is not one class for each image, or the objective does not fit the model.
pub fn activation_gradients(
    model: impl AsRef<Model>,
    set: impl DataSet,
    patterns: &[&str],
    objective: Objective,
) -> Result<Gradients> {
    let model = model.as_ref();
    let set: &dyn DataSet = &set;
    objective.check(set.len())?;
    let selected = select(model.encoder(), patterns)?;
    let (mut values, mut slopes, mut objectives) = (Vec::new(), Vec::new(), Vec::new());
    each_batch(
        "differentiate",
        model,
        set,
        0..set.len(),
        |first, pixels| {
            let done = first + pixels.dim(0)?;
            let pixels = pixels.to_dtype(DType::F32)?;
            let of_batch = objective.of_images(first..done);
            let batch = gradients(model.encoder(), &pixels, &selected, of_batch)?;
            values.push(batch.values);
            slopes.push(batch.gradients);
            objectives.extend(batch.objective);
            Ok(done)
        },
    )?;
    let origin = origin(model, set);
    Ok(Gradients {
        values: ActivationCache::concat(&values)?.of(origin.clone()),
        gradients: ActivationCache::concat(&slopes)?.of(origin),
        objective: objectives,
    })
}
