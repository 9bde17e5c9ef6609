//! A linear classifier on a representation: a probe's or a zero-shot one.

use candle_core::{D, DType, Tensor};

use crate::Result;
use crate::check;
use crate::decompose::unrelated;
use crate::identity::{ModelId, Vectors};

/// logits = z W^T + b. Cosine classifiers are of this form as well: the length of z does not change which class
/// is the highest.
#[derive(Debug, Clone)]
pub struct LinearHead {
    weight: Tensor,
    bias: Tensor,
    reads: Option<ModelId>,
}

impl LinearHead {
    /// `weight` C x d, `bias` C.
    pub fn new(weight: Tensor, bias: Tensor) -> Result<Self> {
        let (classes, _) = check::matrix("weight", &weight)?;
        check::same("bias", bias.elem_count(), classes, "classes")?;
        let (weight, bias) = (check::f32(&weight)?, check::f32(&bias)?.flatten_all()?);
        Ok(Self {
            weight,
            bias,
            reads: None,
        })
    }

    /// The same, known to read the representation of `model`, where that is known.
    pub fn reading(self, model: Option<ModelId>) -> Self {
        Self {
            reads: model,
            ..self
        }
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

    /// B x C for representations B x d.
    ///
    /// # Errors
    /// When the representations are of another model than the head reads, or have another width.
    pub fn logits<E: Vectors + ?Sized>(&self, representations: &E) -> Result<Tensor> {
        if let Some(model) = representations.model() {
            self.check_reads("classifying", "representations", model)?;
        }
        self.logits_of(representations.vectors())
    }

    fn logits_of(&self, representations: &Tensor) -> Result<Tensor> {
        let (_, d) = check::matrix("representations", representations)?;
        check::same("representations", d, self.weight.dim(1)?, "channels")?;
        Ok(check::f32(representations)?
            .contiguous()?
            .matmul(&self.weight.t()?)?
            .broadcast_add(&self.bias)?)
    }

    /// The class with the highest logit for each representation.
    ///
    /// # Errors
    /// As [`Self::logits`].
    pub fn predict<E: Vectors + ?Sized>(&self, representations: &E) -> Result<Vec<usize>> {
        let best = self.logits(representations)?.argmax(D::Minus1)?;
        let best = best.to_dtype(DType::U32)?.to_vec1::<u32>()?;
        Ok(best.into_iter().map(|c| c as usize).collect())
    }

    /// Share of representations whose predicted class is the label.
    ///
    /// # Errors
    /// As [`Self::logits`], and when there is not one label for each.
    pub fn accuracy<E: Vectors + ?Sized>(
        &self,
        representations: &E,
        labels: &[usize],
    ) -> Result<f64> {
        let predicted = self.predict(representations)?;
        check::same("labels", labels.len(), predicted.len(), "images")?;
        let right = predicted.iter().zip(labels).filter(|(p, l)| p == l).count();
        Ok(right as f64 / labels.len() as f64)
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
