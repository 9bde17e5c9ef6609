//! MaxViT: in each block an inverted bottleneck convolution, attention within windows, and attention over a grid of
//! tokens at equal distances.
//!
//! "MaxViT: Multi-Axis Vision Transformer" (Tu et al. 2022); as timm's `MaxxVit` in its `maxvit_*_tf_*` variants,
//! with their key names.

use super::layers::{
    self, Activation, BatchNorm, BlockConfig, LayerNorm, Linear, MbConv, MbConvConfig,
    RelativePosition,
};
use super::weights::{Checkpoint, Parameters};
use super::{Anatomy, Features, ImageEncoder, Normalisation, check_pixels, configured, limits};
use crate::ops::{self, depthwise::Placement};
use crate::trace::{Block, Partition, Tape, Traced, Windows};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The shape of a MaxViT, in timm's argument names; absent fields are those of `maxvit_small_tf_224`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaxVitConfig {
    pub img_size: usize,
    pub stem_width: usize,
    /// Width of each stage.
    pub embed_dim: Vec<usize>,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    pub transformer_dim_head: usize,
    /// The image size over this is the side of a window, and of a grid.
    pub transformer_partition_ratio: usize,
    pub transformer_norm_eps: f64,
    pub conv_norm_eps: f64,
    /// Width of the head's hidden layer.
    pub head_hidden_size: usize,
    /// Classes of the head; 0 for none.
    pub num_classes: usize,
    pub normalisation: Normalisation,
}

impl Default for MaxVitConfig {
    fn default() -> Self {
        Self {
            img_size: 224,
            stem_width: 64,
            embed_dim: vec![96, 192, 384, 768],
            depths: vec![2, 2, 5, 2],
            transformer_dim_head: 32,
            transformer_partition_ratio: 32,
            transformer_norm_eps: 1e-5,
            conv_norm_eps: 1e-3,
            head_hidden_size: 768,
            num_classes: 0,
            normalisation: Normalisation::IMAGENET,
        }
    }
}

impl MaxVitConfig {
    /// Tokens along a side in stage `stage`; the stem and each stage halve the image.
    pub fn side(&self, stage: usize) -> usize {
        self.img_size >> (stage + 2)
    }

    /// Tokens along a side of a window and of a grid.
    pub fn window(&self) -> usize {
        self.img_size / self.transformer_partition_ratio.max(1)
    }

    /// Check that the fields go together and the model is not absurdly large.
    ///
    /// # Errors
    /// When they do not: the field, its value and what is taken.
    pub(super) fn check(&self) -> Result<()> {
        limits::within("img_size", self.img_size, limits::SIDE)?;
        limits::within("stem_width", self.stem_width, limits::WIDTH)?;
        limits::within("head_hidden_size", self.head_hidden_size, limits::WIDTH)?;
        limits::within("num_classes", self.num_classes, limits::WORDS)?;
        limits::within(
            "transformer_partition_ratio",
            self.transformer_partition_ratio,
            limits::SIDE,
        )?;
        if self.transformer_partition_ratio == 0 {
            return Err(Error::argument(
                "transformer_partition_ratio",
                0,
                "at least 1",
            ));
        }
        let stages = self.depths.len();
        let depths = || format!("{:?}", self.depths);
        if stages == 0 || stages > 8 || self.depths.contains(&0) {
            let why = "one to eight stages, each with at least one block";
            return Err(Error::argument("depths", depths(), why));
        }
        if self.embed_dim.len() != stages {
            let why = format!(
                "as many stages as embed_dim, which has {}",
                self.embed_dim.len()
            );
            return Err(Error::argument("depths", depths(), why));
        }
        let mut parameters = 0.;
        for (&width, &depth) in self.embed_dim.iter().zip(&self.depths) {
            limits::within("embed_dim", width, limits::WIDTH)?;
            limits::within("depths", depth, limits::DEPTH)?;
            // Two transformers of 12 width^2 and a convolution of about 10.
            parameters += 34. * depth as f64 * (width as f64).powi(2);
        }
        limits::affordable("depths and embed_dim", parameters)?;
        limits::eps("transformer_norm_eps", self.transformer_norm_eps)?;
        limits::eps("conv_norm_eps", self.conv_norm_eps)?;
        let head = self.transformer_dim_head;
        if let Some(width) = (self.embed_dim.iter())
            .find(|width| head == 0 || **width < 4 || !width.is_multiple_of(head))
        {
            let why = format!("must divide the width {width} of every stage");
            return Err(Error::argument("transformer_dim_head", head, why));
        }
        if self.stem_width == 0 {
            return Err(Error::argument("stem_width", 0, "at least one channel"));
        }
        let window = self.window();
        let halved = self.img_size.is_multiple_of(4 << (stages - 1));
        let tokens = window.pow(2);
        if tokens > limits::TOKENS {
            let why = format!(
                "windows of {window} x {window} tokens; at most {} tokens are taken",
                limits::TOKENS
            );
            return Err(Error::argument(
                "transformer_partition_ratio",
                self.transformer_partition_ratio,
                why,
            ));
        }
        if window > 0 && halved && (0..stages).all(|s| self.side(s).is_multiple_of(window)) {
            return Ok(());
        }
        let why = format!(
            "each stage's grid of tokens must be whole windows of the image size over {}; a multiple of {} is",
            self.transformer_partition_ratio,
            self.transformer_partition_ratio.max(4 << (stages - 1)),
        );
        Err(Error::argument("img_size", self.img_size, why))
    }

    /// Read the shape of a timm `maxvit_*_tf_*` off its tensors. `given` holds what is known besides, under timm's
    /// argument names, and wins. The image size is not in the tensors: unless given, it is 32 windows, as in
    /// every published one.
    ///
    /// # Errors
    /// When the tensors are not such a model's, or `given` has a name or value timm would not take.
    pub fn infer(weights: &Checkpoint, given: &serde_json::Value) -> Result<Self> {
        let wrong = |key: &str| {
            let reason =
                format!("{key} has not the rank of a maxvit_*_tf_*'s; other MaxViTs are not built");
            Error::weights(weights.path(), reason)
        };
        let rows = |key: &str| {
            let dims = weights.tensor(key)?.dims();
            dims.first().copied().ok_or_else(|| wrong(key))
        };
        let count = |name: &dyn Fn(usize) -> String| {
            (0..)
                .take_while(|&i| weights.shape(&name(i)).is_some())
                .count()
        };
        let conv = |s: usize, i: usize| format!("stages.{s}.blocks.{i}.conv.conv3_1x1.weight");
        let stages = count(&|s| conv(s, 0));
        let embed_dim = (0..stages)
            .map(|s| rows(&conv(s, 0)))
            .collect::<Result<Vec<_>>>()?;
        let table = "stages.0.blocks.0.attn_block.attn.rel_pos.relative_position_bias_table";
        let &[heads, offsets, _] = weights.tensor(table)?.dims() else {
            return Err(wrong(table));
        };
        let window = offsets.div_ceil(2);
        let default = Self::default();
        let found = Self {
            img_size: window * default.transformer_partition_ratio,
            stem_width: rows("stem.conv1.weight")?,
            transformer_dim_head: embed_dim.first().map_or(0, |width| width / heads.max(1)),
            depths: (0..stages).map(|s| count(&|i| conv(s, i))).collect(),
            embed_dim,
            head_hidden_size: weights
                .shape("head.pre_logits.fc.weight")
                .map_or(default.head_hidden_size, |d| d[0]),
            num_classes: weights.shape("head.fc.weight").map_or(0, |d| d[0]),
            ..default
        };
        configured(&found, given, "a timm MaxViT's")
    }
}

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
        Self::new(config, Parameters::new(seed, &Device::Cpu).builder())
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
            Some(head) => {
                let hidden = head
                    .pre_logits
                    .forward(&head.norm.forward(&representation)?)?;
                Some(head.fc.forward(&hidden.nonlinear(Tensor::tanh)?)?)
            }
            None => None,
        };
        Ok(Features {
            tokens: x,
            representation,
            logits,
        })
    }
}
