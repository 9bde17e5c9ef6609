use super::Linear;
use crate::ops;
use crate::trace::{HookKind, Traced};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

/// The nonlinearity of a feed-forward network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Exact GELU (`torch.nn.GELU`).
    #[default]
    Gelu,
    /// GELU's tanh approximation, of TensorFlow's weights.
    GeluTanh,
    /// `x * sigmoid(1.702 x)`, of OpenAI's CLIP weights.
    QuickGelu,
    /// `max(x, 0)`.
    Relu,
    /// `x * sigmoid(x)`.
    Silu,
}

impl std::fmt::Display for Activation {
    /// timm's name.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::QuickGelu => "quick_gelu",
            Self::Relu => "relu",
            Self::Silu => "silu",
        })
    }
}

/// Two linear layers with an activation between (timm `Mlp`).
#[derive(Clone, Debug)]
pub struct Mlp {
    fc1: Linear,
    activation: Activation,
    fc2: Linear,
}

impl Activation {
    /// The kernel it has, if any.
    pub fn kernel(self) -> Option<ops::activation::Activation> {
        match self {
            Self::Gelu => Some(ops::activation::Activation::Gelu),
            Self::GeluTanh => Some(ops::activation::Activation::GeluTanh),
            Self::QuickGelu => Some(ops::activation::Activation::QuickGelu),
            Self::Relu | Self::Silu => None,
        }
    }

    /// This activation of `x W^T + bias`, in one pass where there is a kernel for it.
    pub fn after_linear(
        self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        match self.kernel() {
            Some(kernel) => ops::linear(x, weight, bias, Some(kernel)),
            None => self.apply(&ops::linear(x, weight, bias, None)?),
        }
    }

    /// Elementwise, on a plain tensor.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gelu => ops::gelu(x),
            Self::GeluTanh => ops::gelu_tanh(x),
            Self::QuickGelu => ops::quick_gelu(x),
            Self::Relu => x.relu(),
            Self::Silu => x.silu(),
        }
    }
}

impl Mlp {
    /// `fc1`: width -> hidden, `fc2`: hidden -> width.
    pub fn new(
        vb: VarBuilder,
        width: usize,
        hidden: usize,
        bias: bool,
        activation: Activation,
    ) -> Result<Self> {
        Ok(Self {
            fc1: Linear::new(vb.pp("fc1"), width, hidden, bias)?,
            activation,
            fc2: Linear::new(vb.pp("fc2"), hidden, width, bias)?,
        })
    }

    /// Same shape out as in.
    pub fn forward(&self, x: &Traced) -> Result<Traced> {
        let hidden = match x.tape().is_hooked() {
            true => {
                let hidden = self.fc1.forward(x)?.hooked(HookKind::MlpPre)?;
                hidden.nonlinear(|x| self.activation.apply(x))?
            }
            false => {
                let (weight, bias) = (self.fc1.weight(), self.fc1.bias());
                let both = |x: &Tensor| self.activation.after_linear(x, weight, bias);
                x.linear_nonlinear(weight, bias, both)?
            }
        };
        self.fc2.forward(&hidden.hooked(HookKind::MlpPost)?)
    }
}
