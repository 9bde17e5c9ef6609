//! The shape of a vision transformer, and how it is read off weights.

use crate::models::layers::Activation;
use crate::models::limits::{self, affordable, within};
use crate::models::weights::Checkpoint;
use crate::models::{Normalisation, configured};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How tokens become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// The class token.
    #[default]
    Token,
    /// The mean of the patch tokens, or of all.
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
    /// Whether a mean is over class and register tokens as well.
    pub pool_include_prefix: bool,
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
            pool_include_prefix: false,
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
    pub(in crate::models) fn check(&self) -> Result<()> {
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
pub(in crate::models) fn head_width(width: usize) -> usize {
    match width {
        1152 => 72,
        1280 => 80,
        1408 => 88,
        1664 => 104,
        _ => width.clamp(1, 64),
    }
}
