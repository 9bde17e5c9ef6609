//! What makes logits of representations: a linear head, or texts by their cosines.

use crate::files;
use crate::identity::ModelId;
use crate::models::Model;
use crate::score::{LinearHead, zero_shot};
use crate::session;
use crate::{Error, Result};
use candle_core::{D, DType, Tensor};
use std::sync::Arc;

/// The largest factor on cosines that a CLIP is trained with (open_clip clamps its `logit_scale` to its logarithm).
const MOST: f64 = 100.0;

/// A classifier whose logits are linear in a representation once the representation's length is known.
///
/// A [`LinearHead`], a model's own (`vit.head()?`) or a probe, is taken wherever a readout is: `&probe`. Texts become
/// one by [`Self::texts`]: the logits of Radford et al. 2021 (section 3.1.2), cosines times the CLIP's `logit_scale`.
#[derive(Clone, Debug)]
pub struct Readout {
    head: LinearHead,
    /// The factor on cosines; none where the head takes representations as they are.
    scale: Option<f64>,
}

impl From<&LinearHead> for Readout {
    fn from(head: &LinearHead) -> Self {
        Self {
            head: head.clone(),
            scale: None,
        }
    }
}

impl From<LinearHead> for Readout {
    fn from(head: LinearHead) -> Self {
        Self { head, scale: None }
    }
}

impl From<&Readout> for Readout {
    fn from(readout: &Readout) -> Self {
        readout.clone()
    }
}

impl Readout {
    /// The zero-shot classifier of `clip` for `texts`, each in the 80 prompt templates.
    ///
    /// # Errors
    /// When `clip` has no text tower, there are fewer than two texts, or it does not know a word.
    pub fn texts(clip: &Arc<Model>, texts: &[impl AsRef<str>]) -> Result<Self> {
        let scale = clip.clip()?.logit_scale().to_dtype(DType::F64)?;
        let scale = scale.flatten_all()?.exp()?.to_vec1::<f64>()?;
        Ok(Self {
            head: zero_shot(&session::class_embeddings(clip, texts)?)?,
            scale: scale.first().map(|scale| scale.min(MOST)),
        })
    }

    /// What the classes are called.
    pub fn classes(&self) -> Vec<String> {
        (0..self.head.classes())
            .map(|class| self.head.name(class))
            .collect()
    }

    /// The number of a class.
    ///
    /// # Errors
    /// When there is no such class, with the nearest name.
    pub fn class(&self, class: impl WhichClass) -> Result<usize> {
        class.number(&self.classes())
    }

    /// What a logit is, for an axis: `logit`, `logit (14.3 x cosine)`.
    pub(super) fn unit(&self) -> String {
        match self.scale {
            None => "logit".to_string(),
            Some(scale) => format!("logit ({scale:.1} x cosine)"),
        }
    }

    /// C x d, in f64 on the CPU.
    pub(super) fn weight(&self) -> Result<Tensor> {
        f64(self.head.weight())
    }

    /// C.
    pub(super) fn bias(&self) -> Result<Vec<f64>> {
        Ok(f64(self.head.bias())?.to_vec1::<f64>()?)
    }

    /// The number that each image's products with the weights are multiplied by: 1, or the factor on cosines over the
    /// length of the image's representation.
    pub(super) fn factors(&self, representations: &Tensor) -> Result<Vec<f64>> {
        let z = f64(representations)?;
        let Some(scale) = self.scale else {
            return Ok(vec![1.0; z.dim(0)?]);
        };
        let lengths = z.sqr()?.sum(D::Minus1)?.sqrt()?.to_vec1::<f64>()?;
        let lengths = lengths.into_iter();
        Ok(lengths
            .map(|length| scale / length.max(f64::MIN_POSITIVE))
            .collect())
    }

    /// B x C, in f64, for representations B x d.
    ///
    /// # Errors
    /// When they have another width than the head takes, or hold NaN.
    pub fn logits(&self, representations: &Tensor) -> Result<Vec<Vec<f64>>> {
        // The head's own check of width and values.
        self.head.logits(representations)?;
        let products = f64(representations)?.matmul(&self.weight()?.t()?)?;
        let products = products.to_vec2::<f64>()?;
        let (factors, bias) = (self.factors(representations)?, self.bias()?);
        let logits = products.into_iter().zip(factors).map(|(row, factor)| {
            let each = row.into_iter().zip(&bias);
            each.map(|(product, bias)| factor * product + bias)
                .collect()
        });
        Ok(logits.collect())
    }

    /// Refuses a readout of another model's representation.
    pub(super) fn check_reads(&self, doing: &'static str, model: &ModelId) -> Result<()> {
        self.head.check_reads(doing, "contributions", model)
    }
}

/// `t` in double precision on the CPU, where sums over thousands of products stay exact enough.
pub(super) fn f64(t: &Tensor) -> Result<Tensor> {
    let t = t.to_device(&candle_core::Device::Cpu)?;
    Ok(t.to_dtype(DType::F64)?.contiguous()?)
}

/// The place of the largest of `logits`.
pub(super) fn best(logits: &[f64]) -> usize {
    let mut order = order(logits);
    order.next().unwrap_or_default()
}

/// The places of `logits` from the largest down.
pub(super) fn order(logits: &[f64]) -> impl Iterator<Item = usize> + use<> {
    let mut places: Vec<usize> = (0..logits.len()).collect();
    places.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    places.into_iter()
}

/// One class: its name, `"cat"`, or its number, `3`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which class",
    note = "give its name, \"cat\", or its number, 3"
)]
pub trait WhichClass {
    /// Its number among the classes called `names`.
    ///
    /// # Errors
    /// When there is none such.
    fn number(&self, names: &[String]) -> Result<usize>;
}

impl WhichClass for usize {
    fn number(&self, names: &[String]) -> Result<usize> {
        if *self < names.len() {
            return Ok(*self);
        }
        let expected = format!("a class from 0 to {}, or its name", names.len() - 1);
        Err(Error::argument("class", self, expected))
    }
}

impl WhichClass for str {
    fn number(&self, names: &[String]) -> Result<usize> {
        if let Some(place) = names.iter().position(|name| name == self) {
            return Ok(place);
        }
        let all = crate::facts::list(names, 120);
        let near = files::nearest(self, names.iter().cloned());
        let expected = match near.first() {
            Some(near) => format!("one of the classes, such as \"{near}\"; there are {all}"),
            None => format!("one of the classes: {all}"),
        };
        Err(Error::argument("class", format!("\"{self}\""), expected))
    }
}

impl WhichClass for String {
    fn number(&self, names: &[String]) -> Result<usize> {
        self.as_str().number(names)
    }
}

impl<W: WhichClass + ?Sized> WhichClass for &W {
    fn number(&self, names: &[String]) -> Result<usize> {
        (**self).number(names)
    }
}
