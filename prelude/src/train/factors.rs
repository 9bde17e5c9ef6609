//! An image encoder of any family that learns every factor at once, from images in which they are independent.
//!
//! Besides a linear head for each factor on the representation, heads on the patch tokens learn which shape
//! and pattern cover each patch: many lessons an image instead of one, which a small model on a CPU needs.

use super::evaluate::by_factor;
use super::labels::all_labels;
use super::loss::{cross_entropy, surprise};
use super::{Accuracy, Family, Loss, Task, positions};
use crate::Result;
use crate::data::generated::Batch;
use crate::data::{Factor, GeneratedSet, GeneratedSpec};
use crate::facts::{self, Facts};
use crate::models::layers::Linear;
use crate::models::weights::Parameters;
use crate::models::{Features, ImageEncoder};
use crate::trace::{Tape, Traced};
use candle_core::{DType, Device, Tensor};

/// Weight of the patches' loss.
const PATCH_WEIGHT: f64 = 0.5;

/// Share of a patch that must be object for the patch to be called by its shape.
const COVERED: f64 = 0.35;

/// The factor classification task.
pub struct FactorTask {
    model: Box<dyn ImageEncoder>,
    heads: FactorHeads,
    patches: PatchHead,
    parameters: Parameters,
    training: GeneratedSet,
    held_out: GeneratedSet,
}

facts::shows!(FactorTask, |it| Facts::new(
    "training to tell the factors of generated images"
)
.row("training images", crate::data::DataSet::name(&it.training))
.row("held-out images", crate::data::DataSet::name(&it.held_out)));

/// A linear head for each factor.
pub(super) struct FactorHeads(Vec<(Factor, Linear)>);

impl FactorHeads {
    /// Parameters `<prefix>.<factor>.weight` and `.bias`.
    pub(super) fn new(parameters: &Parameters, prefix: &str, width: usize) -> Result<Self> {
        let vb = parameters.builder().pp(prefix);
        let head = |factor: Factor| {
            let vb = vb.pp(factor.name());
            Ok((factor, Linear::new(vb, width, factor.count(), true)?))
        };
        Ok(Self(
            Factor::ALL.into_iter().map(head).collect::<Result<_>>()?,
        ))
    }

    /// The logits of every factor, of representations B x d.
    pub(super) fn logits(&self, representations: &Traced) -> Result<Vec<(Factor, Tensor)>> {
        self.0
            .iter()
            .map(|(factor, head)| Ok((*factor, head.forward(representations)?.value().clone())))
            .collect()
    }

    /// The cross entropy of every factor, in the order of [`Factor::ALL`].
    pub(super) fn losses(
        &self,
        representations: &Traced,
        labels: &[Tensor],
    ) -> Result<Vec<(&'static str, Tensor)>> {
        self.logits(representations)?
            .iter()
            .zip(labels)
            .map(|((factor, logits), labels)| Ok((factor.name(), cross_entropy(logits, labels)?)))
            .collect()
    }
}

/// Images with their labels.
pub struct Labelled {
    pub(super) images: Batch,
    labels: Vec<Tensor>,
}

facts::shows!(Labelled, |it| Facts::new("images with their labels")
    .row("pixels", facts::tensor(&it.images.pixels))
    .row("factors", it.labels.len()));

impl FactorTask {
    /// A fresh model of `family`.
    ///
    /// # Errors
    /// When the configuration contradicts itself, or the family is CLIP, which has a task of its own.
    pub fn new(
        family: &Family,
        seed: u64,
        training: &GeneratedSpec,
        held_out: &GeneratedSpec,
    ) -> Result<Self> {
        let parameters = Parameters::new(seed, &Device::Cpu);
        let model = family.encoder(&parameters)?;
        positions::set(&parameters, "pos_embed", model.as_ref())?;
        let width = model.width();
        Ok(Self {
            model,
            heads: FactorHeads::new(&parameters, "head", width)?,
            patches: PatchHead::new(&parameters, width)?,
            training: GeneratedSet::new(training.clone())?,
            held_out: GeneratedSet::new(held_out.clone())?,
            parameters,
        })
    }

    fn features(&self, pixels: &Tensor, tape: &Tape) -> Result<Features> {
        let pixels = self.model.normalisation().apply(pixels)?;
        self.model.forward(&pixels, tape)
    }
}

impl Task for FactorTask {
    type Batch = Labelled;

    fn batch(&self, indices: &[usize]) -> Result<Labelled> {
        let images = self.training.batch(indices, self.model.image_size())?;
        Ok(Labelled {
            images,
            labels: all_labels(&self.training, indices)?,
        })
    }

    fn loss(&self, batch: &Labelled) -> Result<Loss> {
        let tape = Tape::training();
        let features = self.features(&batch.images.pixels, &tape)?;
        let mut parts = self.heads.losses(&features.representation, &batch.labels)?;
        let masks = &batch.images.masks;
        let patches = self
            .patches
            .loss(self.model.as_ref(), &features, masks, &batch.labels)?;
        parts.push(("patches", (patches * PATCH_WEIGHT)?));
        Loss::new(parts, tape.take_statistics())
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn evaluate(&self, count: usize) -> Result<Accuracy> {
        by_factor(&self.held_out, self.model.image_size(), count, |pixels| {
            let features = self.features(pixels, &Tape::off())?;
            self.heads.logits(&features.representation)
        })
    }
}

/// Heads on the patch tokens: the shape that covers the patch, or none, and the pattern on it. They are
/// used in training and left out of the saved model.
pub(super) struct PatchHead {
    shape: Linear,
    pattern: Linear,
}

impl PatchHead {
    /// Parameters whose names begin with this are not part of the model.
    pub(super) const PREFIX: &str = "auxiliary";

    pub(super) fn new(parameters: &Parameters, width: usize) -> Result<Self> {
        let vb = parameters.builder().pp(Self::PREFIX);
        Ok(Self {
            shape: Linear::new(vb.pp("shape"), width, 1 + Factor::Shape.count(), true)?,
            pattern: Linear::new(vb.pp("pattern"), width, Factor::Pattern.count(), true)?,
        })
    }

    /// Cross entropy of the shape, covered patches and others counting half each, and of the pattern on
    /// the covered ones. `labels` are in the order of [`Factor::ALL`].
    pub(super) fn loss(
        &self,
        model: &dyn ImageEncoder,
        features: &Features,
        masks: &Tensor,
        labels: &[Tensor],
    ) -> Result<Tensor> {
        let (grid, prefix) = model.token_grid();
        let covered = covered(masks, grid)?;
        let other = (1. - &covered)?;
        let tokens = features.tokens.value().narrow(1, prefix, grid * grid)?;
        let tokens = Tape::off().source(tokens.flatten(0, 1)?.contiguous()?)?;
        let everywhere = |factor: Factor| -> Result<Tensor> {
            let labels = labels[factor as usize].unsqueeze(1)?;
            Ok(labels
                .broadcast_as((labels.dim(0)?, grid * grid))?
                .flatten_all()?)
        };
        let shapes = ((everywhere(Factor::Shape)? + 1.)? * covered.to_dtype(DType::U32)?)?;
        let shape = surprise(self.shape.forward(&tokens)?.value(), &shapes)?;
        let pattern = surprise(
            self.pattern.forward(&tokens)?.value(),
            &everywhere(Factor::Pattern)?,
        )?;
        let halves = (mean_where(&shape, &covered)? + mean_where(&shape, &other)?)?;
        Ok(((halves * 0.5)? + mean_where(&pattern, &covered)?)?)
    }
}

/// 1 for each patch that is object, of B x size x size masks: (B grid grid), f32.
fn covered(masks: &Tensor, grid: usize) -> Result<Tensor> {
    let (b, size, _) = masks.dims3()?;
    let patch = size / grid;
    let coverage = masks
        .to_dtype(DType::F32)?
        .reshape((b, grid, patch, grid, patch))?;
    Ok(coverage
        .mean((2, 4))?
        .flatten_all()?
        .ge(COVERED)?
        .to_dtype(DType::F32)?)
}

/// The mean of `values` where `weights` is 1.
fn mean_where(values: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let count = (weights.sum_all()? + 1e-6)?;
    Ok(((values * weights)?.sum_all()? / count)?)
}
