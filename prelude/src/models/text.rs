//! CLIP's text transformer (open_clip `TextTransformer`), from the same blocks as the vision tower.
//!
//! candle-transformers' text model does not fit: its fused layer norm has no backward pass,
//! so it cannot be trained, and it knows only the transformers key layout.

use super::layers::{Activation, Block, BlockConfig, LayerNorm, Linear, causal_mask};
use crate::trace::{self, Tape};
use crate::{Error, Result};
use candle_core::{D, DType, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

/// The shape of the text tower, in open_clip's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    pub context_length: usize,
    pub vocab_size: usize,
    pub width: usize,
    pub heads: usize,
    pub layers: usize,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            context_length: 77,
            vocab_size: 49408,
            width: 512,
            heads: 8,
            layers: 12,
        }
    }
}

/// A text transformer with causal attention, read out at the end token.
#[derive(Clone, Debug)]
pub struct TextTransformer {
    config: TextConfig,
    token_embedding: Tensor,
    positional_embedding: Tensor,
    blocks: Vec<Block>,
    ln_final: LayerNorm,
    projection: Linear,
}

impl TextTransformer {
    /// Weights under the house's names (see [`super::weights::keys`]).
    pub fn new(
        config: &TextConfig,
        embed_dim: usize,
        activation: Activation,
        vb: VarBuilder,
    ) -> Result<Self> {
        let width = config.width;
        if config.heads == 0 || !width.is_multiple_of(config.heads) {
            return Err(Error::argument(
                "text_cfg.heads",
                config.heads,
                "must divide the width",
            ));
        }
        let block = BlockConfig {
            width,
            heads: config.heads,
            hidden: 4 * width,
            qkv_bias: true,
            activation,
            eps: 1e-5,
            layer_scale: None,
        };
        let init = |stdev| Init::Randn { mean: 0.0, stdev };
        Ok(Self {
            token_embedding: vb.get_with_hints(
                (config.vocab_size, width),
                "token_embedding.weight",
                init(0.02),
            )?,
            positional_embedding: vb.get_with_hints(
                (config.context_length, width),
                "positional_embedding",
                init(0.01),
            )?,
            blocks: (0..config.layers)
                .map(|i| Block::new(vb.pp(format!("blocks.{i}")), &block, trace::Block::at(i)))
                .collect::<candle_core::Result<_>>()?,
            ln_final: LayerNorm::new(vb.pp("ln_final"), width, 1e-5)?,
            projection: Linear::new(vb.pp("text_projection"), width, embed_dim, false)?,
            config: config.clone(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// Token ids, B x T, to text embeddings, B x d, not normalised (open_clip `encode_text`). The end token is the
    /// one with the highest id, as in open_clip.
    ///
    /// # Errors
    /// When the ids are not B x context_length or outside the vocabulary.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let (b, t) = ids.dims2()?;
        let ids = ids.to_dtype(DType::U32)?;
        let largest = ids.max_all()?.to_scalar::<u32>()? as usize;
        if t != self.config.context_length || largest >= self.config.vocab_size {
            let (length, size) = (self.config.context_length, self.config.vocab_size);
            return Err(Error::argument(
                "ids",
                format!("{b} x {t}, up to {largest}"),
                format!("this text tower takes {length} ids below {size}"),
            ));
        }
        let x = self.token_embedding.embedding(&ids.flatten_all()?)?;
        let x = x
            .reshape((b, t, ()))?
            .broadcast_add(&self.positional_embedding)?;
        let mask = causal_mask(t, x.device())?;
        let mut x = Tape::off().source(x)?;
        for block in &self.blocks {
            x = block.forward(&x, Some(&mask), None)?
        }
        // One gather, not a slice a text: the backward pass of a slice fills the whole batch with zeros.
        let ends = ids.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let rows: Vec<u32> = (0..)
            .zip(&ends)
            .map(|(i, end)| i * t as u32 + end)
            .collect();
        let rows = Tensor::from_vec(rows, b, x.value().device())?;
        let ends = x.value().flatten(0, 1)?.index_select(&rows, 0)?;
        let x = self.ln_final.apply(&ends)?;
        Ok(self
            .projection
            .forward(&Tape::off().source(x)?)?
            .value()
            .clone())
    }
}
