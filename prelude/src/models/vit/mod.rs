//! The vision transformer: DeiT, DINO, DINOv2 (with and without registers), and the vision tower of CLIP.
//!
//! "An Image is Worth 16x16 Words" (Dosovitskiy et al. 2021); as timm's `VisionTransformer`, with its key names.

mod config;

pub(super) use config::head_width;
pub use config::{Pool, VitConfig};

use super::layers::{self, BlockConfig, LayerNorm, Linear, PatchEmbed};
use super::weights::Parameters;
use super::{Anatomy, ClassHead, Features, ImageEncoder, Normalisation, check_pixels, limits};
use crate::Result;
use crate::trace::{Block, Tape, Traced};
use candle_core::{Device, Tensor};
use candle_nn::{Init, VarBuilder};

/// A vision transformer.
#[derive(Clone, Debug)]
pub struct Vit {
    config: VitConfig,
    patch_embed: PatchEmbed,
    cls_token: Option<Tensor>,
    reg_token: Option<Tensor>,
    pos_embed: Tensor,
    norm_pre: Option<LayerNorm>,
    blocks: Vec<layers::Block>,
    norm: Option<LayerNorm>,
    head: Option<Linear>,
    device: Device,
}

impl Vit {
    /// Weights under timm's key names.
    ///
    /// # Errors
    /// When the configuration contradicts itself or a tensor is missing or mis-shaped.
    pub fn new(config: &VitConfig, vb: VarBuilder) -> Result<Self> {
        let norm = match config.norms_after_pooling() {
            true => "fc_norm",
            false => "norm",
        };
        Self::with_norm(config, norm, vb)
    }

    /// The same with the last norm's weights under the name `norm`, wherever it comes.
    pub(super) fn with_norm(config: &VitConfig, norm: &str, vb: VarBuilder) -> Result<Self> {
        config.check()?;
        let width = config.embed_dim;
        let small = Init::Randn {
            mean: 0.0,
            stdev: 0.02,
        };
        let patches = config.grid() * config.grid();
        let embedded = match config.no_embed_class {
            true => patches,
            false => patches + config.prefix_tokens(),
        };
        let block = BlockConfig {
            width,
            heads: config.num_heads,
            hidden: limits::hidden("mlp_ratio", width, config.mlp_ratio)?,
            qkv_bias: config.qkv_bias,
            proj_bias: config.proj_bias,
            activation: config.act_layer,
            eps: config.norm_eps,
            layer_scale: config.init_values,
        };
        let token = |n: usize, name: &str| match n {
            0 => Ok(None),
            n => vb.get_with_hints((1, n, width), name, small).map(Some),
        };
        Ok(Self {
            patch_embed: PatchEmbed::new(
                vb.pp("patch_embed"),
                config.img_size,
                config.patch_size,
                width,
                config.patch_bias.unwrap_or(!config.pre_norm),
            )?,
            cls_token: token(usize::from(config.class_token), "cls_token")?,
            reg_token: token(config.reg_tokens, "reg_token")?,
            pos_embed: vb.get_with_hints((1, embedded, width), "pos_embed", small)?,
            norm_pre: match config.pre_norm {
                true => Some(LayerNorm::new(vb.pp("norm_pre"), width, config.norm_eps)?),
                false => None,
            },
            blocks: (0..config.depth)
                .map(|i| layers::Block::new(vb.pp(format!("blocks.{i}")), &block, Block::at(i)))
                .collect::<candle_core::Result<_>>()?,
            norm: match config.final_norm {
                true => Some(LayerNorm::new(vb.pp(norm), width, config.norm_eps)?),
                false => None,
            },
            head: match config.num_classes {
                0 => None,
                n => Some(Linear::new(vb.pp("head"), width, n, true)?),
            },
            device: vb.device().clone(),
            config: config.clone(),
        })
    }

    /// A model with seeded random weights, the same for the same seed: for tests and benches.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn random(config: &VitConfig, seed: u64) -> Result<Self> {
        let parameters = Parameters::new(seed, &Device::Cpu);
        Self::new(config, parameters.constants())
    }

    /// The configuration.
    pub fn config(&self) -> &VitConfig {
        &self.config
    }

    /// Patch and prefix tokens with their positions, before the first block: B x T x C.
    fn embed(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        let patches = self.patch_embed.forward(pixels)?;
        let (b, _, width) = patches.dims3()?;
        let patches = match self.config.no_embed_class {
            true => patches.broadcast_add(&self.pos_embed)?,
            false => patches,
        };
        let mut tokens = Vec::new();
        for prefix in [&self.cls_token, &self.reg_token].into_iter().flatten() {
            tokens.push(prefix.broadcast_as((b, prefix.dim(1)?, width))?)
        }
        tokens.push(patches);
        let tokens = Tensor::cat(&tokens, 1)?;
        let tokens = match self.config.no_embed_class {
            true => tokens,
            false => tokens.broadcast_add(&self.pos_embed)?,
        };
        match &self.norm_pre {
            Some(norm) => norm.apply(&tokens),
            None => Ok(tokens),
        }
    }
}

impl ImageEncoder for Vit {
    fn head(&self) -> ClassHead<'_> {
        match &self.head {
            Some(head) => ClassHead::Linear(head.weight(), head.bias()),
            None => ClassHead::None,
        }
    }

    fn image_size(&self) -> usize {
        self.config.img_size
    }

    fn width(&self) -> usize {
        self.config.embed_dim
    }

    fn blocks(&self) -> Vec<Block> {
        (0..self.config.depth).map(Block::at).collect()
    }

    fn token_grid(&self) -> (usize, usize) {
        (self.config.grid(), self.config.prefix_tokens())
    }

    fn tokens_before(&self) -> Vec<String> {
        let class = usize::from(self.config.class_token);
        let class_token = (0..class).map(|_| "class token".to_string());
        let registers =
            (class..self.config.prefix_tokens()).map(|i| format!("register {}", i + 1 - class));
        class_token.chain(registers).collect()
    }

    fn normalisation(&self) -> Normalisation {
        self.config.normalisation
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn anatomy(&self) -> Anatomy {
        let c = &self.config;
        Anatomy {
            heads: vec![c.num_heads],
            activation: c.act_layer,
            pooling: match (c.global_pool, c.norms_after_pooling()) {
                (Pool::Token, _) => "class token",
                (Pool::Avg, true) if c.pool_include_prefix => "mean of all tokens, then norm",
                (Pool::Avg, true) => "mean, then norm",
                (Pool::Avg, false) if c.pool_include_prefix => "mean of all normed tokens",
                (Pool::Avg, false) => "mean of normed tokens",
            },
            norm_eps: c.norm_eps,
        }
    }

    fn forward(&self, pixels: &Tensor, tape: &Tape) -> Result<Features> {
        check_pixels(pixels, self.config.img_size)?;
        let mut x = tape.source(self.embed(pixels)?)?;
        for block in &self.blocks {
            x = block.forward(&x, None, None)?
        }
        let normed = |x: Traced| match &self.norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        };
        let pooled = |x: &Traced| match self.config.global_pool {
            Pool::Token => x.select_token(0),
            Pool::Avg if self.config.pool_include_prefix => x.mean_tokens(0),
            Pool::Avg => x.mean_tokens(self.config.prefix_tokens()),
        };
        let (tokens, representation) = match self.config.norms_after_pooling() {
            true => {
                let pooled = pooled(&x)?;
                (x, normed(pooled)?)
            }
            false => {
                let x = normed(x)?;
                (x.clone(), pooled(&x)?)
            }
        };
        let logits = match &self.head {
            Some(head) => Some(head.forward(&representation)?),
            None => None,
        };
        Ok(Features {
            tokens,
            representation,
            logits,
        })
    }
}
