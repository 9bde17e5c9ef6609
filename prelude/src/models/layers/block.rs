use super::{Activation, Attention, LayerNorm, LayerScale, Mlp};
use crate::trace::{self, Site, Traced, Windows};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use std::sync::Arc;

/// The shape of a transformer block.
#[derive(Clone, Copy, Debug)]
pub struct BlockConfig {
    pub width: usize,
    pub heads: usize,
    pub hidden: usize,
    pub qkv_bias: bool,
    /// Of the attention's output and the MLP's two layers.
    pub proj_bias: bool,
    pub activation: Activation,
    pub eps: f64,
    /// LayerScale's value before training, where the model has it.
    pub layer_scale: Option<f64>,
}

/// A pre-norm transformer block (timm `Block`, open_clip `ResidualAttentionBlock`).
#[derive(Clone, Debug)]
pub struct Block {
    at: trace::Block,
    norm1: LayerNorm,
    attn: Attention,
    ls1: Option<LayerScale>,
    norm2: LayerNorm,
    mlp: Mlp,
    ls2: Option<LayerScale>,
}

impl Block {
    /// Weights under timm's names.
    pub fn new(vb: VarBuilder, c: &BlockConfig, at: trace::Block) -> Result<Self> {
        let scale = |name: &str| {
            c.layer_scale
                .map(|init| LayerScale::new(vb.pp(name), c.width, init))
                .transpose()
        };
        Ok(Self {
            at,
            norm1: LayerNorm::new(vb.pp("norm1"), c.width, c.eps)?,
            attn: Attention::new(vb.pp("attn"), c.width, c.heads, (c.qkv_bias, c.proj_bias))?,
            ls1: scale("ls1")?,
            norm2: LayerNorm::new(vb.pp("norm2"), c.width, c.eps)?,
            mlp: Mlp::new(vb.pp("mlp"), c.width, c.hidden, c.proj_bias, c.activation)?,
            ls2: scale("ls2")?,
        })
    }

    /// B x T x C -> B x T x C; `bias` and `windows` as for [`Attention::forward`].
    pub fn forward(
        &self,
        x: &Traced,
        bias: Option<&Tensor>,
        windows: Option<&Arc<Windows>>,
    ) -> Result<Traced> {
        let x = x.residual(Site::attention(self.at), |x| {
            let x = self.attn.forward(&self.norm1.forward(x)?, bias, windows)?;
            scaled(&self.ls1, x)
        })?;
        x.residual(Site::mlp(self.at), |x| {
            let x = self.mlp.forward(&self.norm2.forward(x)?)?;
            scaled(&self.ls2, x)
        })
    }
}

fn scaled(scale: &Option<LayerScale>, x: Traced) -> Result<Traced> {
    match scale {
        Some(scale) => scale.forward(&x),
        None => Ok(x),
    }
}
