use crate::ops;
use crate::trace::{BatchStatistics, Tape};
use candle_core::{D, Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// Batch norm over the last dimension: with its running statistics, or those of the batch while training (timm
/// `BatchNormAct2d` without the activation).
#[derive(Clone, Debug)]
pub struct BatchNorm {
    name: String,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    eps: f64,
}

impl BatchNorm {
    /// `weight`, `bias`, `running_mean` and `running_var` of `width` channels.
    pub fn new(vb: VarBuilder, width: usize, eps: f64) -> Result<Self> {
        let of = |name: &str, value| vb.get_with_hints(width, name, Init::Const(value));
        Ok(Self {
            weight: of("weight", 1.0)?,
            bias: of("bias", 0.0)?,
            running_mean: of("running_mean", 0.0)?,
            running_var: of("running_var", 1.0)?,
            name: vb.prefix(),
            eps,
        })
    }

    /// The factor and the summand that this norm is with its running statistics.
    pub fn affine(&self) -> Result<(Tensor, Tensor)> {
        let scale = (&self.weight / (&self.running_var + self.eps)?.sqrt()?)?;
        let shift = (&self.bias - (&self.running_mean * &scale)?)?;
        Ok((scale, shift))
    }

    /// With the statistics of the batch over all but the last dimension of `x`, noted on `tape`.
    pub fn train(&self, x: &Tensor, tape: &Tape) -> Result<Tensor> {
        let (y, seen) = ops::batch_norm(x, &self.weight, &self.bias, self.eps)?;
        let n = (x.elem_count() / x.dim(D::Minus1)?) as f64;
        tape.note(BatchStatistics {
            norm: self.name.clone(),
            mean: seen.get(0)?,
            var: (seen.get(1)? * (n / (n - 1.0).max(1.0)))?,
        });
        Ok(y)
    }
}
