//! CLIP on the generated images and their captions.
//!
//! The contrastive loss alone would need many times the images that a CPU sees in minutes before it finds
//! the small things: shapes and patterns. So the vision tower is also shown what to look for, by linear heads
//! for the factors on its embedding and for shapes on its patches; both are left out of the saved model.

use super::evaluate::by_factor;
use super::factors::{FactorHeads, PatchHead};
use super::labels::all_labels;
use super::loss::{contrastive, normalised};
use super::{Accuracy, Loss, Task, positions};
use crate::Result;
use crate::data::generated::{Batch, prompt};
use crate::data::templates::prompts;
use crate::data::{Factor, GeneratedSet, GeneratedSpec, Tokenizer};
use crate::facts::{self, Facts};
use crate::models::weights::Parameters;
use crate::models::{Clip, ClipConfig, ImageEncoder};
use crate::trace::Tape;
use candle_core::{Device, Tensor};

/// Weight of the patches' loss.
const PATCH_WEIGHT: f64 = 0.5;

/// Weight of each factor's loss.
const FACTOR_WEIGHT: f64 = 1.;

/// The contrastive task.
pub struct ClipTask {
    model: Clip,
    heads: FactorHeads,
    patches: PatchHead,
    tokenizer: Tokenizer,
    parameters: Parameters,
    training: GeneratedSet,
    held_out: GeneratedSet,
}

facts::shows!(ClipTask, |it| Facts::new("contrastive training of a CLIP")
    .row("training images", crate::data::DataSet::name(&it.training))
    .row("held-out images", crate::data::DataSet::name(&it.held_out)));

/// Images with one caption each.
pub struct Captioned {
    images: Batch,
    labels: Vec<Tensor>,
    ids: Tensor,
    /// B x B, 1 where two captions are equal.
    same: Tensor,
}

facts::shows!(Captioned, |it| Facts::new("images with one caption each")
    .row("pixels", facts::tensor(&it.images.pixels))
    .row("ids", facts::tensor(&it.ids)));

impl ClipTask {
    /// A fresh model of `config`.
    pub fn new(
        config: &ClipConfig,
        seed: u64,
        training: &GeneratedSpec,
        held_out: &GeneratedSpec,
    ) -> Result<Self> {
        let parameters = Parameters::new(seed, &Device::Cpu);
        let model = Clip::new(config, parameters.builder())?;
        positions::set(&parameters, "visual.pos_embed", &model)?;
        Ok(Self {
            model,
            heads: FactorHeads::new(
                &parameters,
                &format!("{}.head", PatchHead::PREFIX),
                config.embed_dim,
            )?,
            patches: PatchHead::new(&parameters, config.vision_cfg.width)?,
            tokenizer: Tokenizer::embedded(config.text_cfg.context_length)?,
            training: GeneratedSet::new(training.clone())?,
            held_out: GeneratedSet::new(held_out.clone())?,
            parameters,
        })
    }

    /// One unit vector for each value of `factor`: the mean over the 80 templates.
    fn classifier(&self, factor: Factor) -> Result<Tensor> {
        let mut rows = Vec::new();
        for value in 0..factor.count() {
            let ids = self.tokenizer.encode(&prompts(prompt(factor, value)))?.ids;
            rows.push(normalised(&self.model.encode_text(&ids)?)?.mean(0)?);
        }
        normalised(&Tensor::stack(&rows, 0)?)
    }
}

impl Task for ClipTask {
    type Batch = Captioned;

    fn batch(&self, indices: &[usize]) -> Result<Captioned> {
        let captions = self.training.captions(indices, 0);
        let same: Vec<_> = captions
            .iter()
            .flat_map(|a| captions.iter().map(move |b| f32::from(u8::from(a == b))))
            .collect();
        Ok(Captioned {
            images: self.training.batch(indices, self.model.image_size())?,
            labels: all_labels(&self.training, indices)?,
            ids: self.tokenizer.encode(&captions)?.ids,
            same: Tensor::from_vec(same, (indices.len(), indices.len()), &Device::Cpu)?,
        })
    }

    fn loss(&self, batch: &Captioned) -> Result<Loss> {
        let pixels = self.model.normalisation().apply(&batch.images.pixels)?;
        let features = self.model.forward(&pixels, &Tape::off())?;
        let texts = self.model.encode_text(&batch.ids)?;
        let images = features.representation.value();
        let pairs = contrastive(images, &texts, self.model.logit_scale(), &batch.same)?;
        let masks = &batch.images.masks;
        let patches = self
            .patches
            .loss(&self.model, &features, masks, &batch.labels)?;
        let mut parts = vec![("pairs", pairs), ("patches", (patches * PATCH_WEIGHT)?)];
        for (factor, loss) in self.heads.losses(&features.representation, &batch.labels)? {
            parts.push((factor, (loss * FACTOR_WEIGHT)?));
        }
        Loss::new(parts, Vec::new())
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Zero-shot, with the 80 templates.
    fn evaluate(&self, count: usize) -> Result<Accuracy> {
        let classifiers = Factor::ALL
            .into_iter()
            .map(|factor| Ok((factor, self.classifier(factor)?.t()?.contiguous()?)))
            .collect::<Result<Vec<_>>>()?;
        by_factor(&self.held_out, self.model.image_size(), count, |pixels| {
            let images = normalised(&self.model.encode(pixels)?)?;
            classifiers
                .iter()
                .map(|(factor, texts)| Ok((*factor, images.matmul(texts)?)))
                .collect()
        })
    }
}
