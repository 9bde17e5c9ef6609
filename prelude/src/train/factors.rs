//! A vision transformer that learns every factor at once, from images in which they are independent.
//!
//! Besides a linear head for each factor on the representation, a head on the patch tokens learns which
//! shape covers each patch: 36 lessons an image instead of one, which a small model on a CPU needs.

use super::evaluate::by_factor;
use super::loss::cross_entropy;
use super::{Accuracy, Task};
use crate::Result;
use crate::data::generated::Batch;
use crate::data::{Factor, GeneratedSet, GeneratedSpec};
use crate::models::layers::Linear;
use crate::models::weights::Parameters;
use crate::models::{Features, ImageEncoder, Vit, VitConfig};
use crate::trace::Tape;
use candle_core::{DType, Device, Tensor};

/// Weight of the patches' loss.
const PATCH_WEIGHT: f64 = 0.5;

/// Share of a patch that must be object for the patch to be called by its shape.
const COVERED: f64 = 0.35;

/// The factor classification task.
pub struct FactorTask {
    model: Vit,
    heads: Vec<(Factor, Linear)>,
    patches: PatchHead,
    parameters: Parameters,
    training: GeneratedSet,
    held_out: GeneratedSet,
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
        let vb = parameters.builder();
        let head = |factor: Factor| -> Result<_> {
            let vb = vb.pp("head").pp(factor.name());
            Ok((
                factor,
                Linear::new(vb, config.embed_dim, factor.count(), true)?,
            ))
        };
        Ok(Self {
            model: Vit::new(config, vb.clone())?,
            heads: Factor::ALL.into_iter().map(head).collect::<Result<_>>()?,
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

    fn logits(&self, features: &Features) -> Result<Vec<(Factor, Tensor)>> {
        let z = &features.representation;
        self.heads
            .iter()
            .map(|(factor, head)| Ok((*factor, head.forward(z)?.value().clone())))
            .collect()
    }
}

impl Task for FactorTask {
    type Batch = Labelled;

    fn batch(&self, indices: &[usize]) -> Result<Labelled> {
        let images = self.training.batch(indices, self.model.image_size())?;
        let labels = Factor::ALL.map(|factor| labels(&self.training, indices, factor));
        Ok(Labelled {
            images,
            labels: labels.into_iter().collect::<Result<_>>()?,
        })
    }

    fn loss(&self, batch: &Labelled) -> Result<(Tensor, Vec<(&'static str, Tensor)>)> {
        let features = self.features(&batch.images.pixels)?;
        let mut parts = Vec::new();
        for ((factor, logits), labels) in self.logits(&features)?.iter().zip(&batch.labels) {
            parts.push((factor.name(), cross_entropy(logits, labels)?));
        }
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
            self.logits(&self.features(pixels)?)
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
