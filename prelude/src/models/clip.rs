//! CLIP: a vision transformer and a text transformer with one embedding space (Radford et al. 2021), as open_clip's
//! `CLIP`. The vision tower is the [`Vit`] with a norm before the first block and a projection after the last.

use super::layers::{Activation, Linear};
use super::text::{TextConfig, TextTransformer};
use super::vit::{self, Pool, Vit, VitConfig};
use super::weights::{Checkpoint, Parameters};
use super::{Anatomy, Features, ImageEncoder, Normalisation, configured, limits, overlay};
use crate::trace::{Block, Tape};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

/// How the image tower's tokens become one vector (open_clip `pool_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImagePool {
    /// The class token.
    #[default]
    Tok,
    /// The mean of the patch tokens.
    Avg,
}

/// The shape of the vision tower, in open_clip's names but for the last two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VisionConfig {
    pub layers: usize,
    pub width: usize,
    pub head_width: usize,
    pub mlp_ratio: f64,
    pub patch_size: usize,
    pub image_size: usize,
    /// LayerScale's value before training; `None` where the tower has no LayerScale.
    pub ls_init_value: Option<f64>,
    /// No norm before the first block.
    pub no_ln_pre: bool,
    pub pool_type: ImagePool,
    /// The last norm comes after pooling.
    pub final_ln_after_pool: bool,
    /// `None`: as [`ClipConfig::quick_gelu`] says.
    pub act_layer: Option<Activation>,
    pub norm_eps: f64,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            layers: 12,
            width: 768,
            head_width: 64,
            mlp_ratio: 4.0,
            patch_size: 16,
            image_size: 224,
            ls_init_value: None,
            no_ln_pre: false,
            pool_type: ImagePool::Tok,
            final_ln_after_pool: false,
            act_layer: None,
            norm_eps: 1e-5,
        }
    }
}

/// A CLIP model's shape: open_clip's model configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipConfig {
    pub embed_dim: usize,
    #[serde(default)]
    pub quick_gelu: bool,
    pub vision_cfg: VisionConfig,
    pub text_cfg: TextConfig,
    #[serde(default = "clip_normalisation")]
    pub normalisation: Normalisation,
}

fn clip_normalisation() -> Normalisation {
    Normalisation::CLIP
}

impl ClipConfig {
    /// Read the shape of a CLIP (house names) off its tensors. `given` is in open_clip's names and wins; heads are 64
    /// channels wide unless it says otherwise, as in open_clip's ViTs.
    ///
    /// # Errors
    /// When the tensors are not a CLIP's, or `given` has values open_clip would not take.
    pub fn infer(weights: &Checkpoint, given: &serde_json::Value) -> Result<Self> {
        let refuse = |e: serde_json::Error| {
            Error::argument("config", given, format!("not an open_clip ViT's: {e}"))
        };
        let dims = |key: &str, rank: usize| match weights.shape(key) {
            Some(dims) if dims.len() == rank => Ok(dims.to_vec()),
            _ => {
                let sample = weights.sample_keys();
                let key = &weights.naming().to_file(key)[0].0;
                let reason = format!(
                    "no tensor \"{key}\" of rank {rank}, so this is no CLIP; it has {sample}"
                );
                Err(Error::weights(weights.path(), reason))
            }
        };
        let depth = |prefix: &str| {
            let has = |i: &usize| {
                weights
                    .shape(&format!("{prefix}.{i}.norm1.weight"))
                    .is_some()
            };
            (0..).take_while(has).count()
        };
        let scaled = |key: &str| weights.shape(key).map(|_| 1e-5);
        let patch = dims("visual.patch_embed.proj.weight", 4)?;
        weights.square_patches("visual.patch_embed.proj.weight")?;
        let hidden = dims("visual.blocks.0.mlp.fc1.weight", 2)?[0];
        let positions = dims("visual.pos_embed", 3)?[1];
        let embedding = dims("text.token_embedding.weight", 2)?;
        let patches = positions.saturating_sub(1);
        let side = patches.isqrt();
        if side * side != patches {
            let key = &weights.naming().to_file("visual.pos_embed")[0].0;
            let reason = format!(
                "\"{key}\" has positions for {patches} patches, which are no square: only square images are built"
            );
            return Err(Error::weights(weights.path(), reason));
        }
        let config = serde_json::json!({
            "embed_dim": dims("visual_projection.weight", 2)?[0],
            "vision_cfg": {
                "layers": depth("visual.blocks"), "width": patch[0], "head_width": vit::head_width(patch[0]),
                "mlp_ratio": hidden as f64 / patch[0] as f64,
                "patch_size": patch[2], "image_size": side * patch[2],
                "ls_init_value": scaled("visual.blocks.0.ls1.gamma"),
                "no_ln_pre": weights.shape("visual.norm_pre.weight").is_none(),
            },
            "text_cfg": {
                "layers": depth("text.blocks"), "width": embedding[1], "vocab_size": embedding[0],
                "heads": (embedding[1] / 64).max(1),
                "mlp_ratio": dims("text.blocks.0.mlp.fc1.weight", 2)?[0] as f64 / embedding[1] as f64,
                "ls_init_value": scaled("text.blocks.0.ls1.gamma"),
                "context_length": dims("text.positional_embedding", 2)?[0],
            },
        });
        // timm's name for the size is understood as well.
        let mut given = given.clone();
        if let Some(size) = given.as_object_mut().and_then(|g| g.remove("img_size")) {
            let size = serde_json::json!({"vision_cfg": {"image_size": size}});
            given = overlay(given, &size)
        }
        let found: Self = serde_json::from_value(config).map_err(refuse)?;
        let known = serde_json::to_value(&found).map_err(refuse)?;
        if let Some(name) = stranger(&given, &known) {
            let why = format!("not an open_clip ViT's: there is no \"{name}\"");
            return Err(Error::argument("config", given, why));
        }
        configured(&found, &given, "an open_clip ViT's")
    }

    fn vision(&self) -> Result<VitConfig> {
        let v = &self.vision_cfg;
        if v.head_width == 0 || !v.width.is_multiple_of(v.head_width) {
            return Err(Error::argument(
                "vision_cfg.head_width",
                v.head_width,
                "must divide the width",
            ));
        }
        Ok(VitConfig {
            img_size: v.image_size,
            patch_size: v.patch_size,
            embed_dim: v.width,
            depth: v.layers,
            num_heads: v.width / v.head_width,
            mlp_ratio: v.mlp_ratio,
            init_values: v.ls_init_value,
            pre_norm: !v.no_ln_pre,
            patch_bias: Some(false),
            global_pool: match v.pool_type {
                ImagePool::Tok => Pool::Token,
                ImagePool::Avg => Pool::Avg,
            },
            fc_norm: Some(v.final_ln_after_pool),
            act_layer: self.activation(v.act_layer),
            norm_eps: v.norm_eps,
            normalisation: self.normalisation,
            ..VitConfig::default()
        })
    }

    /// The activation of a tower that says `own`.
    fn activation(&self, own: Option<Activation>) -> Activation {
        own.unwrap_or(match self.quick_gelu {
            true => Activation::QuickGelu,
            false => Activation::Gelu,
        })
    }

    /// Check that the fields go together and the model is not absurdly large.
    ///
    /// # Errors
    /// When they do not: the field, its value and what is taken.
    pub(super) fn check(&self) -> Result<()> {
        limits::within("embed_dim", self.embed_dim, limits::WIDTH)?;
        self.vision()?.check()?;
        self.text_cfg.check()
    }
}

/// A field of `given` that `known` does not have, at any depth.
fn stranger(given: &serde_json::Value, known: &serde_json::Value) -> Option<String> {
    let (given, known) = (given.as_object()?, known.as_object()?);
    given
        .iter()
        .find_map(|(name, value)| match known.get(name) {
            Some(known) => Some(format!("{name}.{}", stranger(value, known)?)),
            None => Some(name.clone()),
        })
}

/// A CLIP model.
#[derive(Clone, Debug)]
pub struct Clip {
    config: ClipConfig,
    visual: Vit,
    visual_projection: Linear,
    text: TextTransformer,
    logit_scale: Tensor,
}

impl Clip {
    /// Weights under the house's names; [`super::weights::keys`] turns open_clip's into them.
    ///
    /// # Errors
    /// When the configuration contradicts itself or a tensor is missing or mis-shaped.
    pub fn new(config: &ClipConfig, vb: VarBuilder) -> Result<Self> {
        config.check()?;
        let d = config.embed_dim;
        let text = &config.text_cfg;
        let width = config.vision_cfg.width;
        // ln(1 / 0.07), CLIP's start.
        let scale = Init::Const(2.659_26);
        Ok(Self {
            // open_clip's last norm has one name wherever it comes.
            visual: Vit::with_norm(&config.vision()?, "norm", vb.pp("visual"))?,
            visual_projection: Linear::new(vb.pp("visual_projection"), width, d, false)?,
            text: TextTransformer::new(text, d, config.activation(text.act_layer), vb.pp("text"))?,
            logit_scale: vb.get_with_hints((), "logit_scale", scale)?,
            config: config.clone(),
        })
    }

    /// A model with seeded random weights: for tests and benches.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn random(config: &ClipConfig, seed: u64) -> Result<Self> {
        Self::new(config, Parameters::new(seed, &Device::Cpu).constants())
    }

    /// The configuration.
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// Text embeddings of token ids, B x context_length -> B x d, not normalised.
    ///
    /// # Errors
    /// As [`TextTransformer::forward`].
    pub fn encode_text(&self, ids: &Tensor) -> Result<Tensor> {
        self.text.forward(ids)
    }

    /// The same for texts that end with the token `end` of their tokenizer, where the configuration knows the end
    /// token by its being the highest id alone.
    ///
    /// # Errors
    /// As [`TextTransformer::forward`], and when a text does not have the token.
    pub fn encode_text_ending(&self, ids: &Tensor, end: u32) -> Result<Tensor> {
        self.text.forward_ending(ids, end)
    }

    /// What the text tower's forward pass is made of.
    pub fn text_anatomy(&self) -> Anatomy {
        let own = self.config.text_cfg.act_layer;
        self.text.anatomy(self.config.activation(own))
    }

    /// ln of the factor that turns cosines into logits.
    pub fn logit_scale(&self) -> &Tensor {
        &self.logit_scale
    }
}

impl ImageEncoder for Clip {
    fn image_size(&self) -> usize {
        self.visual.image_size()
    }

    fn width(&self) -> usize {
        self.config.embed_dim
    }

    fn blocks(&self) -> Vec<Block> {
        self.visual.blocks()
    }

    fn token_grid(&self) -> (usize, usize) {
        self.visual.token_grid()
    }

    fn tokens_before(&self) -> Vec<String> {
        self.visual.tokens_before()
    }

    fn normalisation(&self) -> Normalisation {
        self.config.normalisation
    }

    fn device(&self) -> &Device {
        self.visual.device()
    }

    fn anatomy(&self) -> Anatomy {
        self.visual.anatomy()
    }

    /// The representation is `encode_image`, not normalised.
    fn forward(&self, pixels: &Tensor, tape: &Tape) -> Result<Features> {
        let features = self.visual.forward(pixels, tape)?;
        Ok(Features {
            representation: self.visual_projection.forward(&features.representation)?,
            ..features
        })
    }
}
