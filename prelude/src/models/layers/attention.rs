use super::Linear;
use crate::ops::{attention::has_kernel, matmul, softmax_last_dim};
use crate::trace::{HookKind, Traced, Windows};
use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;
use std::sync::Arc;

/// Multi-head self-attention (timm `Attention`; open_clip's `nn.MultiheadAttention` holds the same weights).
#[derive(Clone, Debug)]
pub struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

impl Attention {
    /// `qkv`: width -> 3 width, `proj`: width -> width.
    pub fn new(
        vb: VarBuilder,
        width: usize,
        heads: usize,
        (qkv_bias, proj_bias): (bool, bool),
    ) -> Result<Self> {
        Ok(Self {
            qkv: Linear::new(vb.pp("qkv"), width, 3 * width, qkv_bias)?,
            proj: Linear::new(vb.pp("proj"), width, width, proj_bias)?,
            heads,
        })
    }

    /// B x T x C -> B x T x C. `windows` attend each to itself; `bias` is added to the attention logits: T x T, or
    /// W H x N x N for the heads of W windows of N tokens, or H x N x N for all windows alike.
    pub fn forward(
        &self,
        x: &Traced,
        bias: Option<&Tensor>,
        windows: Option<&Arc<Windows>>,
    ) -> Result<Traced> {
        let qkv = self.qkv.forward(x)?;
        let mixed = match x.tape().is_hooked() || !has_kernel(qkv.value(), bias) {
            true => self.step_by_step(&qkv, bias, windows)?,
            false => qkv.attend_fused(self.heads, bias, windows)?,
        };
        self.proj.forward(&mixed)
    }

    /// Attention with each value on the way written out, for hooks to see, gradients to go through, and devices that have
    /// no kernel of ours: B x T x 3C -> B x T x C.
    fn step_by_step(
        &self,
        qkv: &Traced,
        bias: Option<&Tensor>,
        windows: Option<&Arc<Windows>>,
    ) -> Result<Traced> {
        let (_, _, width) = qkv.value().dims3()?;
        let head_width = width / 3 / self.heads;
        let grouped = match windows {
            Some(windows) => windows.split(qkv.value())?,
            None => qkv.value().clone(),
        };
        let (b, t, _) = grouped.dims3()?;
        // 3 x B x H x T x C/H
        let split = grouped.reshape((b, t, 3, self.heads, head_width))?;
        let split = split.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let (q, k, v) = (split.get(0)?, split.get(1)?, split.get(2)?);
        let tape = qkv.tape();
        let (q, k) = (tape.pass(HookKind::Q, q)?, tape.pass(HookKind::K, k)?);
        let v = tape.pass(HookKind::V, v)?;
        let q = (q * (head_width as f64).powf(-0.5))?;
        let mut logits = matmul(&q, &k.t()?)?;
        if let Some(bias) = bias {
            let bias = &bias.to_dtype(logits.dtype())?;
            logits = match *bias.dims() {
                [groups, n, m] => {
                    let shape = logits.shape().clone();
                    let grouped = logits.reshape(((), groups, n, m))?;
                    grouped.broadcast_add(bias)?.reshape(shape)?
                }
                _ => logits.broadcast_add(bias)?,
            }
        }
        let logits = tape.pass(HookKind::AttnScores, logits)?;
        let pattern = tape.pass(HookKind::Pattern, softmax_last_dim(&logits)?)?;
        let mixed = qkv.attend(pattern, v, windows)?;
        mixed.heads_hooked(HookKind::Z, self.heads)
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
