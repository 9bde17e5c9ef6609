//! Named values changed on the way, and what the model makes of it: total effects, beside which the decomposition,
//! whose norms and attention stay frozen, gives the direct ones.

use super::{ActivationCache, Selected, select};
use crate::models::ImageEncoder;
use crate::trace::{HookPoint, Tape};
use crate::{Error, Result};
use candle_core::Tensor;

/// What becomes of a named value.
#[derive(Clone)]
pub enum ActivationChange {
    /// Zeros in its place.
    Zero,
    /// The value is multiplied by a number.
    Scale(f64),
    /// Its mean over the recorded images, the same for every image (mean ablation).
    Mean(ActivationCache),
    /// The recorded value of another image in its place, or of as many images as are run, one for each (activation
    /// patching).
    Swap(ActivationCache),
}

/// A change of one or several named values.
#[derive(Clone)]
pub struct Intervention {
    changes: Vec<(Selected, Part)>,
}

#[derive(Clone)]
enum Part {
    Scale(f64),
    /// Rows of one image, or of all images.
    Rows(Tensor),
}

/// What a model makes of changed values.
#[derive(Clone)]
pub struct Intervened {
    /// B x d.
    pub representation: Tensor,
    /// B x classes, where the model has a head.
    pub logits: Option<Tensor>,
}

impl Intervention {
    /// The names of what is changed, as [`select`] gives them.
    pub fn names(&self) -> Vec<String> {
        let selected = self.changes.iter().map(|(selected, _)| selected);
        selected.map(ToString::to_string).collect()
    }

    /// `change` of every value of `model` that `pattern` asks for ([`select`]).
    ///
    /// # Errors
    /// When the pattern asks for nothing, a value to put in its place was not recorded, or a factor is no number.
    pub fn on(model: &dyn ImageEncoder, pattern: &str, change: ActivationChange) -> Result<Self> {
        let changes = select(model, &[pattern])?
            .into_iter()
            .map(|selected| {
                let part = Part::of(&selected, &change)?;
                Ok((selected, part))
            })
            .collect::<Result<_>>()?;
        Ok(Self { changes })
    }

    /// What this makes of `value` at `point`, of which image `first` is the first row of the batch.
    fn apply(&self, point: HookPoint, value: Tensor, first: usize) -> candle_core::Result<Tensor> {
        let mut value = value;
        for (selected, part) in self.changes.iter().filter(|(own, _)| own.point == point) {
            value = match selected.head {
                None => part.apply(&value, selected, first)?,
                Some(head) => {
                    let heads = value.dim(1)?;
                    let own = value.narrow(1, head, 1)?.squeeze(1)?;
                    let changed = part.apply(&own, selected, first)?.unsqueeze(1)?;
                    let before = value.narrow(1, 0, head)?;
                    let after = value.narrow(1, head + 1, heads - head - 1)?;
                    let parts: Vec<_> = [before, changed, after]
                        .into_iter()
                        .filter(|part| part.elem_count() > 0)
                        .collect();
                    Tensor::cat(&parts, 1)?
                }
            }
        }
        Ok(value)
    }
}

impl Part {
    fn of(selected: &Selected, change: &ActivationChange) -> Result<Self> {
        Ok(match change {
            ActivationChange::Zero => Self::Scale(0.0),
            ActivationChange::Scale(factor) if factor.is_finite() => Self::Scale(*factor),
            ActivationChange::Scale(factor) => {
                return Err(Error::argument("factor", factor, "a finite number"));
            }
            ActivationChange::Swap(recorded) => Self::Rows(recorded.raw(selected)?.clone()),
            ActivationChange::Mean(recorded) => {
                let all = recorded.raw(selected)?;
                let shape = [&[recorded.images(), selected.rows], &all.dims()[1..]].concat();
                let mean = all.reshape(shape)?.mean(0)?;
                Self::Rows(mean)
            }
        })
    }

    fn apply(
        &self,
        value: &Tensor,
        selected: &Selected,
        first: usize,
    ) -> candle_core::Result<Tensor> {
        match self {
            Self::Scale(factor) if *factor == 0.0 => value.zeros_like(),
            Self::Scale(factor) => value * *factor,
            Self::Rows(rows) => {
                let (here, given) = (value.dim(0)?, rows.dim(0)?);
                let rows = rows.to_device(value.device())?.to_dtype(value.dtype())?;
                if given == selected.rows {
                    // One image's rows for every image.
                    let mut times = vec![1; rows.rank()];
                    times[0] = here / given;
                    return rows.repeat(times);
                }
                let start = first * selected.rows;
                if start + here > given {
                    candle_core::bail!(
                        "{selected} was recorded for {} images, and image {} is run; record it for one image, or for as \
                         many as are run",
                        given / selected.rows,
                        first + here / selected.rows - 1
                    )
                }
                rows.narrow(0, start, here)?.force_contiguous()
            }
        }
    }
}

/// The forward pass of normalised `pixels`, B x 3 x H x W, with `interventions`, the later ones on what the earlier ones
/// have made.
///
/// # Errors
/// When the pixels do not have the model's shape, or a recorded value does not have as many images.
pub fn run_with(
    model: &dyn ImageEncoder,
    pixels: &Tensor,
    interventions: &[Intervention],
) -> Result<Intervened> {
    run_batch(model, pixels, interventions, 0)
}

/// [`run_with`] for a batch whose first image is number `first` of all that are run.
pub(crate) fn run_batch(
    model: &dyn ImageEncoder,
    pixels: &Tensor,
    interventions: &[Intervention],
    first: usize,
) -> Result<Intervened> {
    let interventions = interventions.to_vec();
    let tape = Tape::hooked(Box::new(move |point, value| {
        interventions
            .iter()
            .try_fold(value, |value, one| one.apply(point, value, first))
    }));
    let features = model.forward(pixels, &tape)?;
    Ok(Intervened {
        representation: features.representation.value().clone(),
        logits: features.logits.map(|logits| logits.value().clone()),
    })
}
