use super::{LayerNorm, Linear};
use crate::trace::Traced;
use candle_core::Result;
use candle_nn::VarBuilder;

/// Four neighbouring tokens made one of twice the width (timm `PatchMerging`).
#[derive(Clone, Debug)]
pub struct PatchMerging {
    norm: LayerNorm,
    reduction: Linear,
    side: usize,
}

impl PatchMerging {
    /// `norm`: 4 width, `reduction`: 4 width -> 2 width, of a `side` x `side` grid.
    pub fn new(vb: VarBuilder, width: usize, side: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            norm: LayerNorm::new(vb.pp("norm"), 4 * width, eps)?,
            reduction: Linear::new(vb.pp("reduction"), 4 * width, 2 * width, false)?,
            side,
        })
    }

    /// B x T x C -> B x T/4 x 2C.
    pub fn forward(&self, x: &Traced) -> Result<Traced> {
        let merged = self.norm.forward(&x.merge_tokens(self.side)?)?;
        self.reduction.forward(&merged)
    }
}
