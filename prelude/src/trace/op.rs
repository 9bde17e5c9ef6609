//! The operations a tape records, and what it may keep of their values.

use super::{Site, Windows};
use candle_core::{Result, Tensor};
use std::sync::Arc;

/// What made a node. Shapes: B images, T tokens, C channels.
#[derive(Clone, Debug)]
pub enum Op {
    /// The walk stops here: a network input, an activation, anything not linear.
    Nonlinear,
    /// `stream + branch`; inputs: the residual stream, the branch.
    Residual(Site),
    /// `x W^T + b`, `W`: out x in.
    Linear {
        weight: Tensor,
        bias: Option<Tensor>,
    },
    /// `gamma * x`, channel by channel (LayerScale).
    Scale { gamma: Tensor },
    /// Layer norm over channels; linear in x once mean and variance are frozen.
    LayerNorm { gamma: Tensor, beta: Tensor },
    /// Token `index` alone: B x T x C -> B x C.
    SelectToken { index: usize },
    /// The mean over tokens `start .. start + len`: B x T x C -> B x C.
    MeanTokens { start: usize, len: usize },
    /// Four neighbours of a `side` x `side` grid of tokens become one token of four times the channels (Swin's patch
    /// merging): B x T x C -> B x T/4 x 4C, in the order of [`super::Traced::merge_tokens`].
    MergeTokens { side: usize },
    /// The mean of four neighbours of a `side` x `side` grid: B x T x C -> B x T/4 x C.
    PoolTokens { side: usize },
    /// `probs v` for each head, heads side by side in the channels; linear in v once probs are frozen. With
    /// `windows`, each window attends to itself alone.
    Attend {
        heads: usize,
        windows: Option<Arc<Windows>>,
    },
}

/// Tokens of a node that matter to what is being decomposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// All of them, or a value without a token axis.
    All,
    /// `start .. start + len`.
    Range { start: usize, len: usize },
}

impl Rows {
    /// These rows of `x`, B x T x C, copied so that the rest of `x` can be freed; B x C becomes B x 1 x C.
    pub fn of(self, x: &Tensor) -> Result<Tensor> {
        match x.rank() {
            2 => x.unsqueeze(1),
            _ => self.along(x, 1),
        }
    }

    /// These rows of `x`, whose tokens lie along `axis`.
    pub fn along(self, x: &Tensor, axis: usize) -> Result<Tensor> {
        match self {
            Self::All => Ok(x.clone()),
            Self::Range { start: 0, len } if len == x.dim(axis)? => Ok(x.clone()),
            Self::Range { start, len } => x.narrow(axis, start, len)?.force_contiguous(),
        }
    }
}

/// What a tape keeps of a node's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    #[default]
    Nothing,
    /// The result, at these rows.
    Value(Rows),
    /// Mean and reciprocal standard deviation of a layer norm's input, at these rows.
    Statistics(Rows),
    /// The result of attention and its probabilities, at these rows, and v whole.
    Attention(Rows),
}

/// What was kept; R is the number of rows.
#[derive(Clone, Debug, Default)]
pub enum Kept {
    #[default]
    Nothing,
    /// B x R x C.
    Value(Tensor),
    /// Each B x R.
    Statistics { mean: Tensor, rstd: Tensor },
    /// `mixed`: B x R x C; `probs`: B x H x R x S; `v`: B x H x S x C/H. With windows, `probs` and `v` have a window
    /// where they have an image here: W windows of N tokens give BW x H x N x N and BW x H x N x C/H. `mixed` is none
    /// where it is the product of the others but for the order of sums in f32: it is as large as `v`.
    Attention {
        mixed: Option<Tensor>,
        probs: Tensor,
        v: Tensor,
    },
}

impl Kept {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let of = crate::facts::bytes;
        match self {
            Self::Nothing => 0,
            Self::Value(value) => of(value),
            Self::Statistics { mean, rstd } => of(mean) + of(rstd),
            Self::Attention { mixed, probs, v } => mixed.as_ref().map_or(0, of) + of(probs) + of(v),
        }
    }
}
