//! A vision transformer that learns every factor at once, from images in which they are independent.
//!
//! Besides a linear head for each factor on the representation, a head on the patch tokens learns which
//! shape covers each patch: 36 lessons an image instead of one, which a small model on a CPU needs.

use super::evaluate::by_factor;
use super::loss::cross_entropy;
use super::{Accuracy, Task, positions};
use crate::Result;
use crate::data::generated::Batch;
use crate::data::{Factor, GeneratedSet, GeneratedSpec};
use crate::models::layers::Linear;
use crate::models::weights::Parameters;
use crate::models::{Features, ImageEncoder, Vit, VitConfig};
use crate::trace::{Tape, Traced};
use candle_core::{DType, Device, Tensor};

/// Weight of the patches' loss.
const PATCH_WEIGHT: f64 = 0.5;

/// Share of a patch that must be object for the patch to be called by its shape.
const COVERED: f64 = 0.35;

/// The factor classification task.
pub struct FactorTask {
    model: Vit,
    heads: FactorHeads,
    patches: PatchHead,
    parameters: Parameters,
    training: GeneratedSet,
    held_out: GeneratedSet,
}

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

impl FactorTask {
    /// A fresh model of `config`.
    pub fn new(
        config: &VitConfig,
        seed: u64,
        training: &GeneratedSpec,
        held_out: &GeneratedSpec,
    ) -> Result<Self> {
        let parameters = Parameters::new(seed, &Device::Cpu);
        let model = Vit::new(config, parameters.builder())?;
        positions::set(&parameters, "pos_embed", &model)?;
        Ok(Self {
            model,
            heads: FactorHeads::new(&parameters, "head", config.embed_dim)?,
            patches: PatchHead::new(&parameters, config.embed_dim)?,
            training: GeneratedSet::new(training.clone())?,
            held_out: GeneratedSet::new(held_out.clone())?,
            parameters,
        })
    }

    fn features(&self, pixels: &Tensor) -> Result<Features> {
        let pixels = self.model.normalisation().apply(pixels)?;
        self.model.forward(&pixels, &Tape::off())
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

    fn loss(&self, batch: &Labelled) -> Result<(Tensor, Vec<(&'static str, Tensor)>)> {
        let features = self.features(&batch.images.pixels)?;
        let mut parts = self.heads.losses(&features.representation, &batch.labels)?;
        let shapes = &batch.labels[Factor::Shape as usize];
        let patches = self
            .patches
            .loss(&self.model, &features, &batch.images.masks, shapes)?;
        parts.push(("patches", (patches * PATCH_WEIGHT)?));
        let losses: Vec<_> = parts.iter().map(|(_, loss)| loss.clone()).collect();
        Ok((Tensor::stack(&losses, 0)?.sum_all()?, parts))
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn evaluate(&self, count: usize) -> Result<Accuracy> {
        by_factor(&self.held_out, self.model.image_size(), count, |pixels| {
            self.heads.logits(&self.features(pixels)?.representation)
        })
    }
}

/// `factor` of the images at `indices`: B, u32.
pub(super) fn labels(set: &GeneratedSet, indices: &[usize], factor: Factor) -> Result<Tensor> {
    let values: Vec<_> = indices
        .iter()
        .map(|&i| set.factors(i).get(factor))
        .collect();
    Ok(Tensor::from_vec(values, indices.len(), &Device::Cpu)?)
}

/// Every factor of the images at `indices`, in the order of [`Factor::ALL`].
pub(super) fn all_labels(set: &GeneratedSet, indices: &[usize]) -> Result<Vec<Tensor>> {
    Factor::ALL
        .into_iter()
        .map(|factor| labels(set, indices, factor))
        .collect()
}

/// A head on the patch tokens: background, or the shape that covers the patch. It is used in training
/// and left out of the saved model.
pub(super) struct PatchHead(Linear);

impl PatchHead {
    /// Parameters whose names begin with this are not part of the model.
    pub(super) const PREFIX: &str = "auxiliary";

    pub(super) fn new(parameters: &Parameters, width: usize) -> Result<Self> {
        let vb = parameters.builder().pp(Self::PREFIX);
        Ok(Self(Linear::new(
            vb,
            width,
            1 + Factor::Shape.count(),
            true,
        )?))
    }

    pub(super) fn loss(
        &self,
        model: &dyn ImageEncoder,
        features: &Features,
        masks: &Tensor,
        shapes: &Tensor,
    ) -> Result<Tensor> {
        let (grid, prefix) = model.token_grid();
        let (b, size, _) = masks.dims3()?;
        let patch = size / grid;
        let coverage = masks
            .to_dtype(DType::F32)?
            .reshape((b, grid, patch, grid, patch))?;
        let covered = coverage
            .mean((2, 4))?
            .reshape((b, grid * grid))?
            .ge(COVERED)?
            .to_dtype(DType::U32)?;
        let labels = covered.broadcast_mul(&(shapes + 1.)?.unsqueeze(1)?)?;
        let tokens = self
            .0
            .forward(&features.tokens)?
            .value()
            .narrow(1, prefix, grid * grid)?;
        cross_entropy(&tokens.flatten(0, 1)?, &labels.flatten_all()?)
    }
}
