//! A linear classifier on a representation: a probe's or a zero-shot one.

use candle_core::{D, DType, Tensor};

use super::Accuracy;
use crate::check;
use crate::decompose::unrelated;
use crate::identity::{ModelId, Vectors};
use crate::{Error, Result};

/// logits = z W^T + b. Cosine classifiers are of this form as well: the length of z does not change which class
/// is the highest.
#[derive(Clone)]
pub struct LinearHead {
    weight: Tensor,
    bias: Tensor,
    reads: Option<ModelId>,
    names: Option<Vec<String>>,
}

impl LinearHead {
    /// `weight` C x d, `bias` C.
    ///
    /// # Errors
    /// Shapes that do not fit, NaN or infinity.
    pub fn new(weight: Tensor, bias: Tensor) -> Result<Self> {
        let (classes, _) = check::matrix("weight", &weight)?;
        check::same("bias", bias.elem_count(), classes, "classes")?;
        check::finite("weight", &weight)?;
        check::finite("bias", &bias)?;
        let (weight, bias) = (check::f32(&weight)?, check::f32(&bias)?.flatten_all()?);
        Ok(Self {
            weight,
            bias,
            reads: None,
            names: None,
        })
    }

    /// The same, known to read the representation of `model`, where that is known.
    pub fn reading(self, model: Option<ModelId>) -> Self {
        Self {
            reads: model,
            ..self
        }
    }

    /// This head, whose classes are called `names`.
    ///
    /// # Errors
    /// When there is not one name for each class.
    pub fn named(self, names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        check::same("names", names.len(), self.classes(), "classes")?;
        Ok(Self {
            names: Some(names),
            ..self
        })
    }

    /// What its classes are called, where that is known.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// What class number `class` is called: its name, or its digits where that is not known.
    pub fn name(&self, class: usize) -> String {
        let known = self.names.as_ref().and_then(|names| names.get(class));
        known.cloned().unwrap_or_else(|| class.to_string())
    }

    /// The model whose representation it reads; none where it was put together by hand.
    pub fn reads(&self) -> Option<&ModelId> {
        self.reads.as_ref()
    }

    /// C x d.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// C.
    pub fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.weight.dims()[0]
    }

    /// Channels of the representations it takes.
    pub fn width(&self) -> usize {
        self.weight.dims()[1]
    }

    /// B x C for representations B x d.
    ///
    /// # Errors
    /// Representations of another model than the head reads, or of another width; NaN or infinity.
    pub fn logits<E: Vectors + ?Sized>(&self, representations: &E) -> Result<Tensor> {
        if let Some(model) = representations.model() {
            self.check_reads("classifying", "representations", model)?;
        }
        self.logits_of(representations.vectors())
    }

    fn logits_of(&self, representations: &Tensor) -> Result<Tensor> {
        let (_, d) = check::matrix("representations", representations)?;
        self.check_width("representations", d)?;
        check::finite("representations", representations)?;
        Ok(check::f32(representations)?
            .contiguous()?
            .matmul(&self.weight.t()?)?
            .broadcast_add(&self.bias)?)
    }

    /// The class with the highest logit for each representation.
    ///
    /// # Errors
    /// As [`Self::logits`]; a head of one class, which has nothing to choose from.
    pub fn predict<E: Vectors + ?Sized>(&self, representations: &E) -> Result<Vec<usize>> {
        self.check_choice()?;
        let best = self.logits(representations)?.argmax(D::Minus1)?;
        let best = best.to_dtype(DType::U32)?.to_vec1::<u32>()?;
        Ok(best.into_iter().map(|c| c as usize).collect())
    }

    /// How many representations have their label as predicted class; displayed with a hint where that is no more than
    /// chance gives.
    ///
    /// # Errors
    /// As [`Self::predict`]; lengths that differ, a label that is no class of this head.
    pub fn evaluate<E: Vectors + ?Sized>(
        &self,
        representations: &E,
        labels: &[usize],
    ) -> Result<Accuracy> {
        Accuracy::of(&self.predict(representations)?, labels, self.classes())
    }

    /// Share of representations whose predicted class is the label. Where that is no more than chance gives, the hint
    /// of [`Accuracy::hint`] goes to standard error: the labels may count classes in another order than the head.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn accuracy<E: Vectors + ?Sized>(
        &self,
        representations: &E,
        labels: &[usize],
    ) -> Result<f64> {
        let accuracy = self.evaluate(representations, labels)?;
        accuracy.say();
        Ok(accuracy.share())
    }

    /// Refuses what is not as wide as what this head was made for.
    pub(super) fn check_width(&self, name: &'static str, width: usize) -> Result<()> {
        if width == self.width() {
            return Ok(());
        }
        let remedy = format!(
            "{} channels, as this head takes; use the head that was fitted on representations of this model",
            self.width()
        );
        Err(Error::argument(name, format!("{width} channels"), remedy))
    }

    /// Refuses a head that cannot but predict its only class.
    pub(super) fn check_choice(&self) -> Result<()> {
        match self.classes() {
            1 => Err(Error::argument(
                "head",
                "1 class",
                "two classes or more: with one, every image would be predicted as it; add a class to tell it from",
            )),
            _ => Ok(()),
        }
    }

    /// Refuses what is in the space of another model than the head reads.
    pub(crate) fn check_reads(
        &self,
        doing: &'static str,
        what: &str,
        model: &ModelId,
    ) -> Result<()> {
        let reason = self.reads.as_ref().and_then(|own| {
            let reason = own.weights_differ(model)?;
            Some((own, reason))
        });
        match reason {
            None => Ok(()),
            Some((own, reason)) => Err(unrelated(
                doing,
                &format!("a head on the representation of {own}"),
                &format!("{what} of {model}"),
                reason,
                "fit the head on embeddings of the same model",
            )),
        }
    }
}
