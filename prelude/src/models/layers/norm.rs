use crate::trace::Traced;
use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// Layer norm over channels.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// `weight` and `bias` of `width` channels.
    pub fn new(vb: VarBuilder, width: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints(width, "weight", Init::Const(1.0))?,
            bias: vb.get_with_hints(width, "bias", Init::Const(0.0))?,
            eps,
        })
    }

    /// Same shape out as in.
    pub fn forward(&self, x: &Traced) -> Result<Traced> {
        x.layer_norm(&self.weight, &self.bias, self.eps)
    }

    /// The norm of a plain tensor, untraced.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        crate::ops::layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}

/// A learned factor for each channel of a branch (timm `LayerScale`).
#[derive(Clone, Debug)]
pub struct LayerScale {
    gamma: Tensor,
}

impl LayerScale {
    /// `gamma` of `width` channels, `init` before training.
    pub fn new(vb: VarBuilder, width: usize, init: f64) -> Result<Self> {
        Ok(Self {
            gamma: vb.get_with_hints(width, "gamma", Init::Const(init))?,
        })
    }

    /// Same shape out as in.
    pub fn forward(&self, x: &Traced) -> Result<Traced> {
        x.scale(&self.gamma)
    }
}
