//! The shape of a Swin transformer, and how it is read off weights.

use crate::models::layers::Activation;
use crate::models::limits;
use crate::models::weights::Checkpoint;
use crate::models::{Normalisation, configured};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The shape of a Swin transformer, in timm's argument names; absent fields take timm's defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwinConfig {
    pub img_size: usize,
    pub patch_size: usize,
    /// Width of the first stage; each later one has twice the width of that before.
    pub embed_dim: usize,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Heads of each stage.
    pub num_heads: Vec<usize>,
    /// Tokens along a side of a window; a stage with no more tokens than that is one window.
    pub window_size: usize,
    pub mlp_ratio: f64,
    pub qkv_bias: bool,
    pub act_layer: Activation,
    pub norm_eps: f64,
    /// Of the norms behind the patch embedding and before each patch merging; `None`: as `norm_eps`. transformers
    /// leaves these at torch's 1e-5 whatever its configuration says.
    pub embed_norm_eps: Option<f64>,
    /// Classes of the linear head; 0 for none.
    pub num_classes: usize,
    pub normalisation: Normalisation,
}

impl Default for SwinConfig {
    fn default() -> Self {
        Self {
            img_size: 224,
            patch_size: 4,
            embed_dim: 96,
            depths: vec![2, 2, 6, 2],
            num_heads: vec![3, 6, 12, 24],
            window_size: 7,
            mlp_ratio: 4.0,
            qkv_bias: true,
            act_layer: Activation::Gelu,
            norm_eps: 1e-5,
            embed_norm_eps: None,
            num_classes: 0,
            normalisation: Normalisation::IMAGENET,
        }
    }
}

impl SwinConfig {
    /// Tokens along a side in stage `stage`.
    pub fn side(&self, stage: usize) -> usize {
        (self.img_size / self.patch_size.max(1)) >> stage
    }

    /// Width of stage `stage`.
    pub fn width(&self, stage: usize) -> usize {
        self.embed_dim << stage
    }

    pub(super) fn embed_eps(&self) -> f64 {
        self.embed_norm_eps.unwrap_or(self.norm_eps)
    }

    /// The side of a window of stage `stage`, and how far every other block shifts it.
    pub(super) fn window(&self, stage: usize) -> (usize, usize) {
        match self.side(stage) <= self.window_size {
            true => (self.side(stage), 0),
            false => (self.window_size, self.window_size / 2),
        }
    }

    /// Check that the fields go together and the model is not absurdly large.
    ///
    /// # Errors
    /// When they do not: the field, its value and what is taken.
    pub(in crate::models) fn check(&self) -> Result<()> {
        limits::within("img_size", self.img_size, limits::SIDE)?;
        limits::within("patch_size", self.patch_size, limits::SIDE)?;
        limits::within("window_size", self.window_size, WINDOW)?;
        limits::within("embed_dim", self.embed_dim, limits::WIDTH)?;
        limits::within("num_classes", self.num_classes, limits::WORDS)?;
        let stages = self.depths.len();
        if stages == 0 || stages > 8 || self.depths.contains(&0) {
            let depths = format!("{:?}", self.depths);
            let why = "one to eight stages, each with at least one block";
            return Err(Error::argument("depths", depths, why));
        }
        let mut parameters = 3. * (self.patch_size as f64).powi(2) * self.embed_dim as f64;
        for (stage, &depth) in self.depths.iter().enumerate() {
            limits::within("depths", depth, limits::DEPTH)?;
            let width = self.width(stage);
            let hidden = limits::hidden("mlp_ratio", width, self.mlp_ratio)?;
            parameters += depth as f64 * width as f64 * (4. * width as f64 + 2. * hidden as f64);
        }
        limits::affordable("depths, embed_dim and patch_size", parameters)?;
        limits::eps("norm_eps", self.norm_eps)?;
        limits::eps("embed_norm_eps", self.embed_eps())?;
        if self.num_heads.len() != stages {
            let heads = format!("{:?}", self.num_heads);
            let why = format!("one number for each of the {stages} stages");
            return Err(Error::argument("num_heads", heads, why));
        }
        for (stage, &heads) in self.num_heads.iter().enumerate() {
            let width = self.width(stage);
            if heads == 0 || !width.is_multiple_of(heads) {
                let why = format!("must divide the width {width} of stage {stage}");
                return Err(Error::argument("num_heads", heads, why));
            }
        }
        let grid = self.side(0);
        let merged = grid > 0 && grid.is_multiple_of(1 << (stages - 1));
        let windowed = |stage| {
            let (window, _) = self.window(stage);
            window > 0 && self.side(stage).is_multiple_of(window)
        };
        let pairs = |stage| (self.side(stage) * self.window(stage).0).pow(2);
        if (0..stages).map(pairs).any(|pairs| pairs > PAIRS) {
            let why = format!(
                "with windows of {} it has too many pairs of tokens; a smaller image or window is taken",
                self.window_size
            );
            return Err(Error::argument("img_size", self.img_size, why));
        }
        if merged && (0..stages).all(windowed) {
            return Ok(());
        }
        let unit = (self.patch_size.max(1) * self.window_size.max(1)) << (stages - 1);
        let why = format!(
            "each stage's grid of patches must be whole windows of {}: a multiple of {unit} is",
            self.window_size
        );
        Err(Error::argument("img_size", self.img_size, why))
    }

    /// Read the shape of a timm Swin off its tensors. `given` holds what is known besides, under timm's argument
    /// names, and wins. The image size is not in the tensors: unless given, the last stage is one window, as in
    /// every published Swin.
    ///
    /// # Errors
    /// When the tensors are not a Swin's, or `given` has a name or value timm would not take.
    pub fn infer(weights: &Checkpoint, given: &serde_json::Value) -> Result<Self> {
        let patch = weights.tensor("patch_embed.proj.weight")?.dims().to_vec();
        let hidden = weights.tensor("layers.0.blocks.0.mlp.fc1.weight")?.dims();
        let (&[embed_dim, _, patch_size, _], &[hidden, _]) = (&patch[..], hidden) else {
            let reason =
                "patch_embed.proj.weight or layers.0.blocks.0.mlp.fc1.weight has not a Swin's rank";
            return Err(Error::weights(weights.path(), reason));
        };
        weights.square_patches("patch_embed.proj.weight")?;
        let count = |name: &dyn Fn(usize) -> String| {
            (0..)
                .take_while(|&i| weights.shape(&name(i)).is_some())
                .count()
        };
        let stages = count(&|s| format!("layers.{s}.blocks.0.norm1.weight"));
        let depths = (0..stages)
            .map(|s| count(&|i| format!("layers.{s}.blocks.{i}.norm1.weight")))
            .collect();
        let tables = (0..stages)
            .map(|s| {
                let key = format!("layers.{s}.blocks.0.attn.relative_position_bias_table");
                match *weights.tensor(&key)?.dims() {
                    [offsets, heads] => Ok((offsets, heads)),
                    _ => {
                        let reason = format!("{key} has not a Swin's rank");
                        Err(Error::weights(weights.path(), reason))
                    }
                }
            })
            .collect::<Result<Vec<_>>>()?;
        // (2 w - 1)^2 offsets in a window of w x w.
        let window_size = tables.first().map_or(0, |(offsets, _)| {
            ((*offsets as f64).sqrt().round() as usize).div_ceil(2)
        });
        let found = Self {
            img_size: (window_size * patch_size) << stages.saturating_sub(1),
            patch_size,
            embed_dim,
            depths,
            num_heads: tables.iter().map(|(_, heads)| *heads).collect(),
            window_size,
            mlp_ratio: hidden as f64 / embed_dim as f64,
            qkv_bias: weights.shape("layers.0.blocks.0.attn.qkv.bias").is_some(),
            num_classes: weights.shape("head.fc.weight").map_or(0, |d| d[0]),
            ..Self::default()
        };
        configured(&found, given, "a timm Swin's")
    }
}

/// Tokens along a side of a window; its tokens all attend to each other.
const WINDOW: usize = 64;
/// Pairs of tokens that attend to each other, in all windows of a stage.
const PAIRS: usize = 1 << 28;
