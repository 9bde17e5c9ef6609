//! The Swin transformer: attention within windows, shifted every other block, and patch merging between stages.
//!
//! "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (Liu et al. 2021); as timm's
//! `SwinTransformer`, with its key names.

mod config;

pub use config::SwinConfig;

use super::layers::{
    self, BlockConfig, LayerNorm, Linear, PatchEmbed, PatchMerging, RelativePosition, shift_mask,
};
use super::weights::Parameters;
use super::{Anatomy, ClassHead, Features, ImageEncoder, Normalisation, check_pixels};
use crate::Result;
use crate::trace::{Block, Tape, Traced, Windows};
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use std::sync::{Arc, OnceLock};

/// Blocks on one grid, after the merging that leads to it.
#[derive(Clone, Debug)]
struct Stage {
    downsample: Option<PatchMerging>,
    blocks: Vec<SwinBlock>,
}

/// A block that attends within windows.
#[derive(Clone, Debug)]
struct SwinBlock {
    block: layers::Block,
    position: RelativePosition,
    windows: Arc<Windows>,
    /// W x N x N, where the windows are shifted.
    mask: Option<Tensor>,
    /// The position bias with the mask, once it was asked for: W H x N x N.
    masked: OnceLock<Tensor>,
}

impl SwinBlock {
    fn forward(&self, x: &Traced) -> candle_core::Result<Traced> {
        let bias = self.bias()?;
        self.block.forward(x, Some(&bias), Some(&self.windows))
    }

    /// Position bias and mask: H x N x N, or W H x N x N. With a mask made once, unless the position bias is a variable,
    /// which may change.
    fn bias(&self) -> candle_core::Result<Tensor> {
        let bias = self.position.bias()?;
        let Some(mask) = &self.mask else {
            return Ok(bias);
        };
        if let Some(masked) = self.masked.get() {
            return Ok(masked.clone());
        }
        // W x 1 x N x N and H x N x N
        let masked = mask.unsqueeze(1)?.broadcast_add(&bias)?.flatten(0, 1)?;
        if !masked.track_op() {
            // Another thread may have been first, with the same values.
            let _ = self.masked.set(masked.clone());
        }
        Ok(masked)
    }
}

/// A Swin transformer.
#[derive(Clone, Debug)]
pub struct Swin {
    config: SwinConfig,
    patch_embed: PatchEmbed,
    embed_norm: LayerNorm,
    stages: Vec<Stage>,
    norm: LayerNorm,
    head: Option<Linear>,
    device: Device,
}

impl Swin {
    /// Weights under timm's key names.
    ///
    /// # Errors
    /// When the configuration contradicts itself or a tensor is missing or mis-shaped.
    pub fn new(config: &SwinConfig, vb: VarBuilder) -> Result<Self> {
        config.check()?;
        let stages = (0..config.depths.len())
            .map(|s| Stage::new(config, s, vb.pp(format!("layers.{s}"))))
            .collect::<candle_core::Result<Vec<_>>>()?;
        let width = config.width(stages.len() - 1);
        let embed = vb.pp("patch_embed");
        Ok(Self {
            patch_embed: PatchEmbed::new(
                embed.clone(),
                config.img_size,
                config.patch_size,
                config.embed_dim,
                true,
            )?,
            embed_norm: LayerNorm::new(embed.pp("norm"), config.embed_dim, config.embed_eps())?,
            stages,
            norm: LayerNorm::new(vb.pp("norm"), width, config.norm_eps)?,
            head: match config.num_classes {
                0 => None,
                n => Some(Linear::new(vb.pp("head.fc"), width, n, true)?),
            },
            device: vb.device().clone(),
            config: config.clone(),
        })
    }

    /// A model with seeded random weights, the same for the same seed: for tests and benches.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn random(config: &SwinConfig, seed: u64) -> Result<Self> {
        Self::new(config, Parameters::new(seed, &Device::Cpu).constants())
    }

    /// The configuration.
    pub fn config(&self) -> &SwinConfig {
        &self.config
    }

    fn last(&self) -> usize {
        self.stages.len() - 1
    }
}

impl Stage {
    fn new(config: &SwinConfig, stage: usize, vb: VarBuilder) -> candle_core::Result<Self> {
        let (side, width) = (config.side(stage), config.width(stage));
        let (window, shift) = config.window(stage);
        let heads = config.num_heads[stage];
        let shape = BlockConfig {
            width,
            heads,
            hidden: (width as f64 * config.mlp_ratio).round() as usize,
            qkv_bias: config.qkv_bias,
            proj_bias: true,
            activation: config.act_layer,
            eps: config.norm_eps,
            layer_scale: None,
        };
        let device = vb.device();
        let plain = Arc::new(Windows::neighbours(side, window, 0, device)?);
        let (shifted, mask) = match shift {
            0 => (plain.clone(), None),
            _ => {
                let windows = Windows::neighbours(side, window, shift, device)?;
                let mask = shift_mask(&windows, side, window, shift)?.to_device(device)?;
                (Arc::new(windows), Some(mask))
            }
        };
        let block = |i: usize| {
            let vb = vb.pp(format!("blocks.{i}"));
            let odd = i % 2 == 1;
            Ok(SwinBlock {
                block: layers::Block::new(vb.clone(), &shape, Block::in_stage(stage, i))?,
                position: RelativePosition::swin(vb.pp("attn"), window, heads)?,
                windows: if odd { shifted.clone() } else { plain.clone() },
                mask: mask.clone().filter(|_| odd),
                masked: OnceLock::new(),
            })
        };
        Ok(Self {
            downsample: match stage.checked_sub(1) {
                None => None,
                Some(before) => Some(PatchMerging::new(
                    vb.pp("downsample"),
                    config.width(before),
                    config.side(before),
                    config.embed_eps(),
                )?),
            },
            blocks: (0..config.depths[stage])
                .map(block)
                .collect::<candle_core::Result<_>>()?,
        })
    }

    fn forward(&self, x: &Traced) -> candle_core::Result<Traced> {
        let mut x = match &self.downsample {
            Some(downsample) => downsample.forward(x)?,
            None => x.clone(),
        };
        for block in &self.blocks {
            x = block.forward(&x)?
        }
        Ok(x)
    }
}

impl ImageEncoder for Swin {
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
        self.config.width(self.last())
    }

    fn blocks(&self) -> Vec<Block> {
        let depths = self.config.depths.iter().enumerate();
        depths
            .flat_map(|(s, &depth)| (0..depth).map(move |i| Block::in_stage(s, i)))
            .collect()
    }

    fn token_grid(&self) -> (usize, usize) {
        (self.config.side(self.last()), 0)
    }

    fn normalisation(&self) -> Normalisation {
        self.config.normalisation
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn anatomy(&self) -> Anatomy {
        Anatomy {
            heads: self.config.num_heads.clone(),
            activation: self.config.act_layer,
            pooling: "mean of normed tokens",
            norm_eps: self.config.norm_eps,
        }
    }

    fn forward(&self, pixels: &Tensor, tape: &Tape) -> Result<Features> {
        check_pixels(pixels, self.config.img_size)?;
        let patches = self.patch_embed.forward(pixels)?;
        let mut x = tape.source(self.embed_norm.apply(&patches)?)?;
        for stage in &self.stages {
            x = stage.forward(&x)?
        }
        let tokens = self.norm.forward(&x)?;
        let representation = tokens.mean_tokens(0)?;
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
