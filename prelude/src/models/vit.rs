//! The vision transformer: DeiT, DINO, DINOv2 (with and without registers), and the vision tower of CLIP.
//!
//! "An Image is Worth 16x16 Words" (Dosovitskiy et al. 2021); as timm's `VisionTransformer`, with its key names.

use super::layers::{self, Activation, BlockConfig, LayerNorm, Linear, PatchEmbed};
use super::weights::{Checkpoint, Parameters};
use super::{Anatomy, Features, ImageEncoder, Normalisation, check_pixels, configured, limits};
use crate::models::limits::{affordable, within};
use crate::trace::{Block, Tape, Traced};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

/// How tokens become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// The class token.
    #[default]
    Token,
    /// The mean of the patch tokens.
    Avg,
}

/// The shape of a vision transformer, in timm's argument names; absent fields take timm's defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VitConfig {
    pub img_size: usize,
    pub patch_size: usize,
    pub embed_dim: usize,
    pub depth: usize,
    pub num_heads: usize,
    pub mlp_ratio: f64,
    pub qkv_bias: bool,
    /// Biases of the attention's output and of the MLP.
    pub proj_bias: bool,
    /// LayerScale's value before training; `None` where the model has no LayerScale.
    pub init_values: Option<f64>,
    pub class_token: bool,
    pub reg_tokens: usize,
    /// Position embeddings are for patches only, not for class and register tokens.
    pub no_embed_class: bool,
    /// A norm before the first block (CLIP's `ln_pre`).
    pub pre_norm: bool,
    /// Whether the patch embedding has a bias; `None`: where there is no norm before the first block, as in timm.
    pub patch_bias: Option<bool>,
    pub global_pool: Pool,
    /// Whether there is a norm behind the last block.
    pub final_norm: bool,
    /// Whether that norm comes after pooling; `None`: after a mean, but before a token is picked, as in timm.
    pub fc_norm: Option<bool>,
    pub act_layer: Activation,
    pub norm_eps: f64,
    /// Classes of the linear head; 0 for none.
    pub num_classes: usize,
    pub normalisation: Normalisation,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self {
            img_size: 224,
            patch_size: 16,
            embed_dim: 768,
            depth: 12,
            num_heads: 12,
            mlp_ratio: 4.0,
            qkv_bias: true,
            proj_bias: true,
            init_values: None,
            class_token: true,
            reg_tokens: 0,
            no_embed_class: false,
            pre_norm: false,
            patch_bias: None,
            global_pool: Pool::Token,
            final_norm: true,
            fc_norm: None,
            act_layer: Activation::Gelu,
            norm_eps: 1e-6,
            num_classes: 0,
            normalisation: Normalisation::IMAGENET,
        }
    }
}

impl VitConfig {
    /// Patches along a side of the image.
    pub fn grid(&self) -> usize {
        self.img_size / self.patch_size.max(1)
    }

    /// Tokens before the patches: class token and registers.
    pub fn prefix_tokens(&self) -> usize {
        usize::from(self.class_token) + self.reg_tokens
    }

    /// Whether the last norm comes after pooling.
    pub fn norms_after_pooling(&self) -> bool {
        self.fc_norm.unwrap_or(self.global_pool == Pool::Avg)
    }

    /// Check that the fields go together and the model is not absurdly large.
    ///
    /// # Errors
    /// When they do not: the field, its value and what is taken.
    pub(super) fn check(&self) -> Result<()> {
        let fail = |name, value: usize, why: &str| Err(Error::argument(name, value, why));
        within("img_size", self.img_size, limits::SIDE)?;
        within("embed_dim", self.embed_dim, limits::WIDTH)?;
        within("depth", self.depth, limits::DEPTH)?;
        within("reg_tokens", self.reg_tokens, limits::TOKENS)?;
        within("num_classes", self.num_classes, limits::WORDS)?;
        if self.patch_size == 0 || self.grid() == 0 {
            return fail(
                "patch_size",
                self.patch_size,
                "between 1 and the image size",
            );
        }
        if self.num_heads == 0 || !self.embed_dim.is_multiple_of(self.num_heads) {
            return fail("num_heads", self.num_heads, "must divide embed_dim");
        }
        if self.depth == 0 {
            return fail("depth", self.depth, "at least one block");
        }
        let tokens = self.grid() * self.grid();
        if tokens > limits::TOKENS {
            let why = format!("{tokens} patches; at most {} are taken", limits::TOKENS);
            return fail("img_size", self.img_size, &why);
        }
        limits::eps("norm_eps", self.norm_eps)?;
        let hidden = limits::hidden("mlp_ratio", self.embed_dim, self.mlp_ratio)?;
        let block = self.embed_dim as f64 * (4. * self.embed_dim as f64 + 2. * hidden as f64);
        let patch = 3. * (self.patch_size as f64).powi(2) * self.embed_dim as f64;
        affordable(
            "depth, embed_dim and patch_size",
            self.depth as f64 * block + patch,
        )?;
        if self.global_pool == Pool::Token && !self.class_token {
            return fail("class_token", 0, "token pooling needs a class token");
        }
        Ok(())
    }

    /// Read the shape of a timm ViT off its tensors. `given` holds what is known besides, under timm's argument
    /// names, and wins. The number of heads is not in the tensors: unless given, it is that of the published ViTs of
    /// this width.
    ///
    /// # Errors
    /// When the tensors are not a ViT's, or `given` has a name or value timm would not take.
    pub fn infer(weights: &Checkpoint, given: &serde_json::Value) -> Result<Self> {
        let dims = |key: &str| {
            weights.shape(key).ok_or_else(|| {
                let (sample, naming) = (weights.sample_keys(), weights.naming());
                let (key, format) = (&naming.to_file(key)[0].0, naming.format.name);
                let reason = format!(
                    "no tensor \"{key}\", so this is no ViT in {format} names; it has {sample}"
                );
                Error::weights(weights.path(), reason)
            })
        };
        let has = |key: &str| weights.shape(key).is_some();
        let (&[width, _, patch_size, _], &[_, embedded, _], &[hidden, _]) = (
            dims("patch_embed.proj.weight")?,
            dims("pos_embed")?,
            dims("blocks.0.mlp.fc1.weight")?,
        ) else {
            let reason = "patch_embed.proj.weight, pos_embed or blocks.0.mlp.fc1.weight has not a ViT's rank";
            return Err(Error::weights(weights.path(), reason));
        };
        let class_token = has("cls_token");
        let reg_tokens = weights.shape("reg_token").map_or(0, |d| d[1]);
        let prefix = usize::from(class_token) + reg_tokens;
        let side = |n: usize| (n as f64).sqrt().round() as usize;
        let square = |n: usize| side(n) * side(n) == n;
        let img_size = given["img_size"].as_u64().map(|n| n as usize);
        // Prefix tokens may have no position of their own: the image size tells, where it is the one of the weights,
        // or else which count is a square.
        let no_embed_class = prefix > 0
            && match img_size.map(|size| (size / patch_size.max(1)).pow(2)) {
                Some(patches) if patches == embedded => true,
                Some(patches) if patches + prefix == embedded => false,
                _ => square(embedded) && !square(embedded.saturating_sub(prefix)),
            };
        let patches = match no_embed_class {
            true => embedded,
            false => embedded.saturating_sub(prefix),
        };
        weights.square_patches("patch_embed.proj.weight")?;
        if !square(patches) {
            let key = &weights.naming().to_file("pos_embed")[0].0;
            let reason = format!(
                "\"{key}\" has positions for {patches} patches, which are no square: only square images are built"
            );
            return Err(Error::weights(weights.path(), reason));
        }
        let depth = (0..)
            .take_while(|i| has(&format!("blocks.{i}.norm1.weight")))
            .count();
        let found = Self {
            img_size: side(patches) * patch_size,
            patch_size,
            embed_dim: width,
            depth,
            num_heads: (width / head_width(width)).max(1),
            mlp_ratio: hidden as f64 / width as f64,
            qkv_bias: has("blocks.0.attn.qkv.bias"),
            // A bias that is missing here is still listed among the faults where the other is there.
            proj_bias: has("blocks.0.attn.proj.bias") || has("blocks.0.mlp.fc1.bias"),
            init_values: has("blocks.0.ls1.gamma").then_some(1e-5),
            class_token,
            reg_tokens,
            no_embed_class,
            pre_norm: has("norm_pre.weight"),
            // timm's ViTs have 1e-6, but those with CLIP's norm before the blocks 1e-5.
            norm_eps: if has("norm_pre.weight") { 1e-5 } else { 1e-6 },
            patch_bias: Some(has("patch_embed.proj.bias")),
            global_pool: match class_token && !has("fc_norm.weight") {
                true => Pool::Token,
                false => Pool::Avg,
            },
            final_norm: true,
            fc_norm: Some(has("fc_norm.weight")),
            num_classes: weights.shape("head.weight").map_or(0, |d| d[0]),
            ..Self::default()
        };
        configured(&found, given, "a timm ViT's")
    }
}

/// Channels of a head of the published ViTs `width` wide: 64, but for the largest (so400m, huge, giant, gigantic).
pub(super) fn head_width(width: usize) -> usize {
    match width {
        1152 => 72,
        1280 => 80,
        1408 => 88,
        1664 => 104,
        _ => width.clamp(1, 64),
    }
}

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
        Self::new(config, parameters.builder())
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
                (Pool::Avg, true) => "mean, then norm",
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
