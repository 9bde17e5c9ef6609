//! Classes of images by a model.

use super::contributions::{each_batch, embed_images};
use super::texts::class_embeddings;
use crate::data::DataSet;
use crate::identity::{ImagesId, ModelId};
use crate::models::{ClassHead, Model};
use crate::process::stop;
use crate::score::{Classified, zero_shot};
use crate::trace::Tape;
use crate::{Error, Result};
use candle_core::{D, DType, Tensor};

/// The largest factor on cosines that a CLIP is trained with (open_clip clamps its `logit_scale` to its logarithm).
const MOST: f32 = 100.0;

impl Model {
    /// The classes that the model's own head gives the images of `set`, with their probabilities.
    ///
    /// # Errors
    /// When the model has no head ([`Self::classify_by`] classifies by texts), an image cannot be read, or the call was
    /// stopped.
    pub fn classify(&self, set: impl DataSet) -> Result<Classified> {
        let set: &dyn DataSet = &set;
        let (logits, names) = match self.encoder().head() {
            ClassHead::None => return Err(self.headless()),
            ClassHead::Linear(..) => {
                let head = self.head()?;
                let logits = head.logits(&embed_images(self, set)?)?;
                (logits, head.names().map(<[String]>::to_vec))
            }
            ClassHead::Nonlinear => {
                let logits = self.logits(set)?;
                let names = self.class_names(logits.dim(1)?);
                (logits, names)
            }
        };
        Classified::of_logits(
            &ModelId::of(self),
            ImagesId::of(set),
            names.as_deref(),
            &logits,
        )
    }

    /// The classes of the images of `set` by a CLIP: the text nearest to each image, each text in the 80 prompt templates,
    /// with the softmax of the cosines times the model's own factor (`logit_scale`).
    ///
    /// # Errors
    /// When this model has no text tower, there are fewer than two texts, an image cannot be read, or the call was
    /// stopped.
    pub fn classify_by(&self, set: impl DataSet, texts: &[impl AsRef<str>]) -> Result<Classified> {
        let set: &dyn DataSet = &set;
        let scale = self.clip()?.logit_scale().to_dtype(DType::F32)?;
        let scale = scale.exp()?.to_scalar::<f32>()?.min(MOST);
        let head = zero_shot(&class_embeddings(self, texts)?)?;
        let images = embed_images(self, set)?;
        let lengths = images.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        let cosines = head.logits(&images.broadcast_div(&lengths)?)?;
        Classified::of_logits(
            &ModelId::of(self),
            ImagesId::of(set),
            head.names(),
            &(cosines * f64::from(scale))?,
        )
    }

    /// The logits of the images of `set`, B x classes, by a forward pass.
    fn logits(&self, set: &dyn DataSet) -> Result<Tensor> {
        let mut batches = Vec::new();
        each_batch("classify", self, set, 0..set.len(), |start, pixels| {
            let tape = Tape::off().until(stop::requested);
            let features = self.encoder().forward(pixels, &tape)?;
            let logits = features.logits.ok_or_else(|| self.headless())?;
            let logits = logits.value().clone();
            let done = start + logits.dim(0)?;
            batches.push(logits);
            Ok(done)
        })?;
        match batches.is_empty() {
            true => Err(Error::data(set.name(), "it holds no images")),
            false => Ok(Tensor::cat(&batches, 0)?),
        }
    }
}
