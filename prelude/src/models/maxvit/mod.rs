//! MaxViT: in each block an inverted bottleneck convolution, attention within windows, and attention over a grid of
//! tokens at equal distances.
//!
//! "MaxViT: Multi-Axis Vision Transformer" (Tu et al. 2022); as timm's `MaxxVit` in its `maxvit_*_tf_*` variants,
//! with their key names.

mod config;

pub use config::MaxVitConfig;

use super::layers::{
    self, Activation, BatchNorm, BlockConfig, LayerNorm, Linear, MbConv, MbConvConfig,
    RelativePosition,
};
use super::weights::Parameters;
use super::{Anatomy, ClassHead, Features, ImageEncoder, Normalisation, check_pixels};
use crate::Result;
use crate::ops::{self, depthwise::Placement};
use crate::trace::{Block, Partition, Tape, Traced, Windows};
use candle_core::{Device, Tensor};
use candle_nn::{Init, VarBuilder};
use std::sync::Arc;

/// Two convolutions that halve the image (timm `Stem`).
#[derive(Clone, Debug)]
struct Stem {
    conv1: (Tensor, Tensor),
    norm1: BatchNorm,
    conv2: (Tensor, Tensor),
    side: usize,
}

const KERNEL: usize = 3;

impl Stem {
    fn new(vb: VarBuilder, width: usize, side: usize, eps: f64) -> candle_core::Result<Self> {
        let conv = |name: &str, input: usize| {
            let init = Init::Randn {
                mean: 0.0,
                stdev: ((input * KERNEL * KERNEL) as f64).powf(-0.5),
            };
            let vb = vb.pp(name);
            let weight = vb.get_with_hints((width, input, KERNEL, KERNEL), "weight", init)?;
            let bias = vb.get_with_hints(width, "bias", Init::Const(0.0))?;
            candle_core::Result::Ok((weight, bias))
        };
        Ok(Self {
            conv1: conv("conv1", 3)?,
            norm1: BatchNorm::new(vb.pp("norm1"), width, eps)?,
            conv2: conv("conv2", width)?,
            side,
        })
    }

    /// B x 3 x H x W -> B x H/2 x W/2 x C, channels last.
    fn forward(&self, pixels: &Tensor, tape: &Tape) -> candle_core::Result<Tensor> {
        let pixels = pixels.permute((0, 2, 3, 1))?;
        let halving = Placement::same(self.side, KERNEL, 2);
        let (weight, bias) = &self.conv1;
        let y = if tape.is_training() {
            let y = ops::conv(&pixels, weight, bias, halving)?;
            self.norm1.train(&y, tape)?
        } else {
            let (scale, shift) = self.norm1.affine()?;
            let weight = weight.broadcast_mul(&scale.reshape(((), 1, 1, 1))?)?;
            let bias = ((bias * scale)? + shift)?;
            ops::conv(&pixels, &weight, &bias, halving)?
        };
        let y = Activation::GeluTanh.apply(&y)?;
        let (weight, bias) = &self.conv2;
        ops::conv(&y, weight, bias, Placement::same(self.side / 2, KERNEL, 1))
    }
}

/// Convolution, window attention, grid attention.
#[derive(Clone, Debug)]
struct MaxVitBlock {
    conv: MbConv,
    transformers: [(layers::Block, RelativePosition, Arc<Windows>); 2],
}

impl MaxVitBlock {
    fn forward(&self, x: &Traced) -> candle_core::Result<Traced> {
        let mut x = self.conv.forward(x)?;
        for (block, position, windows) in &self.transformers {
            x = block.forward(&x, Some(&position.bias()?), Some(windows))?
        }
        Ok(x)
    }
}

/// From the representation to the logits (timm `NormMlpClassifierHead`).
#[derive(Clone, Debug)]
struct Head {
    norm: LayerNorm,
    pre_logits: Linear,
    fc: Linear,
}

impl Head {
    fn forward(&self, representation: &Traced) -> Result<Traced> {
        let hidden = self
            .pre_logits
            .forward(&self.norm.forward(representation)?)?;
        Ok(self.fc.forward(&hidden.nonlinear(Tensor::tanh)?)?)
    }
}

/// A MaxViT.
#[derive(Clone, Debug)]
pub struct MaxVit {
    config: MaxVitConfig,
    stem: Stem,
    blocks: Vec<MaxVitBlock>,
    head: Option<Head>,
    device: Device,
}

impl MaxVit {
    /// Weights under timm's key names.
    ///
    /// # Errors
    /// When the configuration contradicts itself or a tensor is missing or mis-shaped.
    pub fn new(config: &MaxVitConfig, vb: VarBuilder) -> Result<Self> {
        config.check()?;
        let stem = Stem::new(
            vb.pp("stem"),
            config.stem_width,
            config.img_size,
            config.conv_norm_eps,
        )?;
        let mut blocks = Vec::new();
        let mut input = config.stem_width;
        for (s, (&output, &depth)) in config.embed_dim.iter().zip(&config.depths).enumerate() {
            let side = config.side(s);
            let device = vb.device();
            let windows = [
                Arc::new(Windows::neighbours(side, config.window(), 0, device)?),
                Arc::new(Windows::spread(side, config.window(), device)?),
            ];
            for i in 0..depth {
                let stride = if i == 0 { 2 } else { 1 };
                let conv = MbConvConfig {
                    input,
                    output,
                    side: side * stride,
                    stride,
                    activation: Activation::GeluTanh,
                    eps: config.conv_norm_eps,
                };
                let vb = vb.pp(format!("stages.{s}.blocks.{i}"));
                let at = Block::in_stage(s, i);
                blocks.push(block(config, conv, &windows, vb, at)?);
                input = output
            }
        }
        let head = match config.num_classes {
            0 => None,
            n => {
                let (vb, hidden) = (vb.pp("head"), config.head_hidden_size);
                Some(Head {
                    norm: LayerNorm::new(vb.pp("norm"), input, config.transformer_norm_eps)?,
                    pre_logits: Linear::new(vb.pp("pre_logits.fc"), input, hidden, true)?,
                    fc: Linear::new(vb.pp("fc"), hidden, n, true)?,
                })
            }
        };
        Ok(Self {
            stem,
            blocks,
            head,
            device: vb.device().clone(),
            config: config.clone(),
        })
    }

    /// A model with seeded random weights, the same for the same seed: for tests and benches.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn random(config: &MaxVitConfig, seed: u64) -> Result<Self> {
        Self::new(config, Parameters::new(seed, &Device::Cpu).constants())
    }

    /// The configuration.
    pub fn config(&self) -> &MaxVitConfig {
        &self.config
    }
}

fn block(
    config: &MaxVitConfig,
    conv: MbConvConfig,
    [window, grid]: &[Arc<Windows>; 2],
    vb: VarBuilder,
    at: Block,
) -> candle_core::Result<MaxVitBlock> {
    let width = conv.output;
    let heads = width / config.transformer_dim_head;
    let shape = BlockConfig {
        width,
        heads,
        hidden: 4 * width,
        qkv_bias: true,
        proj_bias: true,
        activation: Activation::GeluTanh,
        eps: config.transformer_norm_eps,
        layer_scale: None,
    };
    let transformer = |name: &str, windows: &Arc<Windows>, partition| {
        let vb = vb.pp(name);
        candle_core::Result::Ok((
            layers::Block::new(vb.clone(), &shape, at.part(partition))?,
            RelativePosition::tensorflow(vb.pp("attn.rel_pos"), config.window(), heads)?,
            windows.clone(),
        ))
    };
    Ok(MaxVitBlock {
        transformers: [
            transformer("attn_block", window, Partition::Window)?,
            transformer("attn_grid", grid, Partition::Grid)?,
        ],
        conv: MbConv::new(vb.pp("conv"), conv, at)?,
    })
}

impl ImageEncoder for MaxVit {
    fn head(&self) -> ClassHead<'_> {
        match &self.head {
            Some(_) => ClassHead::Nonlinear,
            None => ClassHead::None,
        }
    }

    fn classify_representations(&self, representations: &Tensor) -> Result<Option<Tensor>> {
        let Some(head) = &self.head else {
            return Ok(None);
        };
        let representations = Tape::off().source(representations.clone())?;
        Ok(Some(head.forward(&representations)?.value().clone()))
    }

    fn image_size(&self) -> usize {
        self.config.img_size
    }

    fn width(&self) -> usize {
        self.config.embed_dim.last().copied().unwrap_or_default()
    }

    /// The window and the grid transformer of each block.
    fn blocks(&self) -> Vec<Block> {
        let depths = self.config.depths.iter().enumerate();
        let blocks = depths.flat_map(|(s, &n)| (0..n).map(move |i| Block::in_stage(s, i)));
        blocks
            .flat_map(|at| [Partition::Window, Partition::Grid].map(|p| at.part(p)))
            .collect()
    }

    fn token_grid(&self) -> (usize, usize) {
        (self.config.side(self.config.depths.len() - 1), 0)
    }

    fn normalisation(&self) -> Normalisation {
        self.config.normalisation
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn anatomy(&self) -> Anatomy {
        let widths = self.config.embed_dim.iter();
        Anatomy {
            heads: widths
                .map(|w| w / self.config.transformer_dim_head)
                .collect(),
            activation: Activation::GeluTanh,
            pooling: "mean",
            norm_eps: self.config.transformer_norm_eps,
        }
    }

    /// The representation is the spatial mean of timm's `forward_features`; the head's norm and hidden layer come
    /// after it, so logits are not linear in it.
    fn forward(&self, pixels: &Tensor, tape: &Tape) -> Result<Features> {
        check_pixels(pixels, self.config.img_size)?;
        let stem = self.stem.forward(pixels, tape)?;
        let mut x = tape.source(stem.flatten(1, 2)?)?;
        for block in &self.blocks {
            x = block.forward(&x)?
        }
        let representation = x.mean_tokens(0)?;
        let logits = match &self.head {
            Some(head) => Some(head.forward(&representation)?),
            None => None,
        };
        Ok(Features {
            tokens: x,
            representation,
            logits,
        })
    }
}
