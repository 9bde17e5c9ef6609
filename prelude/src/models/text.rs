//! CLIP's text transformer (open_clip `TextTransformer`), from the same blocks as the vision tower.
//!
//! candle-transformers' text model does not fit: its fused layer norm has no backward pass,
//! so it cannot be trained, and it knows only the transformers key layout.

use super::Anatomy;
use super::layers::{Activation, Block, BlockConfig, LayerNorm, Linear, causal_mask};
use super::limits::{self, within};
use crate::trace::{self, Tape};
use crate::{Error, Result};
use candle_core::{D, DType, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

/// The position at which a text is read out (open_clip `pool_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPool {
    /// The token of the highest id, which is the end token's in open_clip's own tokenizer.
    #[default]
    Argmax,
    First,
    Last,
    /// The first one with the end token, [`TextConfig::eos_id`].
    Eos,
}

/// The shape of the text tower, in open_clip's names but for the last two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    pub context_length: usize,
    pub vocab_size: usize,
    pub width: usize,
    pub heads: usize,
    pub layers: usize,
    pub mlp_ratio: f64,
    /// LayerScale's value before training; `None` where the tower has no LayerScale.
    pub ls_init_value: Option<f64>,
    /// A token sees those behind it as well.
    pub no_causal_mask: bool,
    pub pool_type: TextPool,
    /// The end token's id, for [`TextPool::Eos`].
    pub eos_id: Option<u32>,
    /// `None`: as [`super::ClipConfig::quick_gelu`] says.
    pub act_layer: Option<Activation>,
    pub norm_eps: f64,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            context_length: 77,
            vocab_size: 49408,
            width: 512,
            heads: 8,
            layers: 12,
            mlp_ratio: 4.0,
            ls_init_value: None,
            no_causal_mask: false,
            pool_type: TextPool::Argmax,
            eos_id: None,
            act_layer: None,
            norm_eps: 1e-5,
        }
    }
}

impl TextConfig {
    /// Check that the fields go together and the tower is not absurdly large.
    ///
    /// # Errors
    /// When they do not: the field, its value and what is taken.
    pub(super) fn check(&self) -> Result<()> {
        within(
            "text_cfg.context_length",
            self.context_length,
            limits::TOKENS,
        )?;
        within("text_cfg.vocab_size", self.vocab_size, limits::WORDS)?;
        within("text_cfg.width", self.width, limits::WIDTH)?;
        within("text_cfg.layers", self.layers, limits::DEPTH)?;
        let hidden = limits::hidden("text_cfg.mlp_ratio", self.width, self.mlp_ratio)?;
        let width = self.width as f64;
        let blocks = self.layers as f64 * width * (4. * width + 2. * hidden as f64);
        let words = (self.vocab_size + self.context_length) as f64 * width;
        limits::affordable("text_cfg.layers, width and vocab_size", blocks + words)?;
        if self.heads == 0 || !self.width.is_multiple_of(self.heads) {
            let why = "must divide the width";
            return Err(Error::argument("text_cfg.heads", self.heads, why));
        }
        limits::eps("text_cfg.norm_eps", self.norm_eps)?;
        match (self.pool_type, self.eos_id) {
            (TextPool::Eos, None) => {
                let why = "pool_type \"eos\" needs the end token's id";
                Err(Error::argument("text_cfg.eos_id", "null", why))
            }
            (_, Some(id)) if id as usize >= self.vocab_size => {
                let why = format!("an id below vocab_size = {}", self.vocab_size);
                Err(Error::argument("text_cfg.eos_id", id, why))
            }
            _ => Ok(()),
        }
    }
}

/// A text transformer, with causal attention unless its configuration says otherwise, read out at one position.
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
        config.check()?;
        let width = config.width;
        let block = BlockConfig {
            width,
            heads: config.heads,
            hidden: limits::hidden("text_cfg.mlp_ratio", width, config.mlp_ratio)?,
            qkv_bias: true,
            proj_bias: true,
            activation,
            eps: config.norm_eps,
            layer_scale: config.ls_init_value,
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
            ln_final: LayerNorm::new(vb.pp("ln_final"), width, config.norm_eps)?,
            projection: Linear::new(vb.pp("text_projection"), width, embed_dim, false)?,
            config: config.clone(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// What the forward pass is made of, `activation` being the one it was built with.
    pub(super) fn anatomy(&self, activation: Activation) -> Anatomy {
        let c = &self.config;
        Anatomy {
            heads: vec![c.heads],
            activation,
            pooling: match c.pool_type {
                TextPool::Argmax => "highest id",
                TextPool::First => "first token",
                TextPool::Last => "last token",
                TextPool::Eos => "end token",
            },
            norm_eps: c.norm_eps,
        }
    }

    /// Token ids, B x T, to text embeddings, B x d, not normalised (open_clip `encode_text`), read out where
    /// [`TextConfig::pool_type`] says.
    ///
    /// # Errors
    /// When the ids are not B x context_length or outside the vocabulary, or a text has no end token.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        self.read_out(ids, self.config.pool_type, self.config.eos_id)
    }

    /// The embedding of texts that end with `end`. It is for where the configuration takes the highest id for the end
    /// token ([`TextPool::Argmax`]): it need not be that of every tokenizer.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_ending(&self, ids: &Tensor, end: u32) -> Result<Tensor> {
        match self.config.pool_type {
            TextPool::Argmax => self.read_out(ids, TextPool::Eos, Some(end)),
            _ => self.forward(ids),
        }
    }

    fn read_out(&self, ids: &Tensor, pool: TextPool, end: Option<u32>) -> Result<Tensor> {
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
        let mask = match self.config.no_causal_mask {
            true => None,
            false => Some(causal_mask(t, x.device())?),
        };
        let mut x = Tape::off().source(x)?;
        for block in &self.blocks {
            x = block.forward(&x, mask.as_ref(), None)?
        }
        // One gather, not a slice a text: the backward pass of a slice fills the whole batch with zeros.
        let ends = match pool {
            TextPool::First => vec![0; b],
            TextPool::Last => vec![t as u32 - 1; b],
            TextPool::Argmax => ids.argmax(D::Minus1)?.to_vec1::<u32>()?,
            TextPool::Eos => end_positions(&ids, end.unwrap_or_default())?,
        };
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

/// The first position of `end` in each row of `ids`.
fn end_positions(ids: &Tensor, end: u32) -> Result<Vec<u32>> {
    let rows = ids.to_vec2::<u32>()?;
    let found = rows.iter().enumerate().map(|(row, ids)| {
        let place = ids.iter().position(|id| *id == end);
        place.map(|place| place as u32).ok_or_else(|| {
            let why = format!(
                "no end token, whose id is {end}: each row needs one (text_cfg.eos_id says which it is)"
            );
            Error::argument("ids", format!("row {row}, {ids:?}"), why)
        })
    });
    found.collect()
}
