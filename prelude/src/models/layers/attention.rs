use super::Linear;
use crate::ops::softmax_last_dim;
use crate::trace::Traced;
use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

/// Multi-head self-attention (timm `Attention`; open_clip's `nn.MultiheadAttention` holds the same weights).
#[derive(Clone, Debug)]
pub struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

impl Attention {
    /// `qkv`: width -> 3 width, `proj`: width -> width.
    pub fn new(vb: VarBuilder, width: usize, heads: usize, qkv_bias: bool) -> Result<Self> {
        Ok(Self {
            qkv: Linear::new(vb.pp("qkv"), width, 3 * width, qkv_bias)?,
            proj: Linear::new(vb.pp("proj"), width, width, true)?,
            heads,
        })
    }

    /// B x T x C -> B x T x C; `mask` (T x T) is added to the attention logits.
    pub fn forward(&self, x: &Traced, mask: Option<&Tensor>) -> Result<Traced> {
        let qkv = self.qkv.forward(x)?;
        let (b, t, width) = x.value().dims3()?;
        let head_width = width / self.heads;
        // 3 x B x H x T x C/H
        let split = qkv.value().reshape((b, t, 3, self.heads, head_width))?;
        let split = split.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let (q, k, v) = (split.get(0)?, split.get(1)?, split.get(2)?);
        let q = (q * (head_width as f64).powf(-0.5))?;
        let mut logits = q.matmul(&k.t()?)?;
        if let Some(mask) = mask {
            logits = logits.broadcast_add(mask)?
        }
        let mixed = qkv.attend(softmax_last_dim(&logits)?, v)?;
        self.proj.forward(&mixed)
    }
}

/// T x T, minus infinity above the diagonal: a token sees itself and those before it.
pub fn causal_mask(tokens: usize, device: &Device) -> Result<Tensor> {
    let mask: Vec<f32> = (0..tokens * tokens)
        .map(|i| match i % tokens > i / tokens {
            true => f32::NEG_INFINITY,
            false => 0.0,
        })
        .collect();
    Tensor::from_vec(mask, (tokens, tokens), device)
}
