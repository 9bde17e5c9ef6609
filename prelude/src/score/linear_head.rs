//! A linear classifier on a representation: a probe's or a zero-shot one.

use candle_core::{D, DType, Tensor};

use crate::Result;
use crate::align::check;
use crate::identity::ModelId;

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

    /// The same, known to read the representation of `model`.
    pub fn reading(self, model: ModelId) -> Self {
        Self {
            reads: Some(model),
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
    pub fn logits(&self, representations: &Tensor) -> Result<Tensor> {
        let (_, d) = check::matrix("representations", representations)?;
        check::same("representations", d, self.weight.dim(1)?, "channels")?;
        Ok(check::f32(representations)?
            .contiguous()?
            .matmul(&self.weight.t()?)?
            .broadcast_add(&self.bias)?)
    }

    /// The class with the highest logit for each representation.
    pub fn predict(&self, representations: &Tensor) -> Result<Vec<usize>> {
        let best = self.logits(representations)?.argmax(D::Minus1)?;
        let best = best.to_dtype(DType::U32)?.to_vec1::<u32>()?;
        Ok(best.into_iter().map(|c| c as usize).collect())
    }

    /// Share of representations whose predicted class is the label.
    pub fn accuracy(&self, representations: &Tensor, labels: &[usize]) -> Result<f64> {
        let predicted = self.predict(representations)?;
        check::same("labels", labels.len(), predicted.len(), "images")?;
        let right = predicted.iter().zip(labels).filter(|(p, l)| p == l).count();
        Ok(right as f64 / labels.len() as f64)
    }
}
