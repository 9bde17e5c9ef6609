use crate::trace::Traced;
use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// `x W^T + b` over channels.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// `weight`: out x in, and `bias`: out, if the layer has one.
    pub fn new(vb: VarBuilder, input: usize, output: usize, bias: bool) -> Result<Self> {
        // Training starts from unit variance in, unit variance out.
        let init = Init::Randn {
            mean: 0.0,
            stdev: (input as f64).powf(-0.5),
        };
        let weight = vb.get_with_hints((output, input), "weight", init)?;
        let bias = match bias {
            true => Some(vb.get_with_hints(output, "bias", Init::Const(0.0))?),
            false => None,
        };
        Ok(Self { weight, bias })
    }

    /// A layer of these tensors; `weight`: out x in, `bias`: out.
    pub fn from_tensors(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// ... x in -> ... x out.
    pub fn forward(&self, x: &Traced) -> Result<Traced> {
        x.linear(&self.weight, self.bias.as_ref())
    }

    /// out, if the layer has one.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// out x in.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }
}
