//! The shape of a MaxViT, and how it is read off weights.

use crate::models::limits;
use crate::models::weights::Checkpoint;
use crate::models::{Normalisation, configured};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

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
    pub(in crate::models) fn check(&self) -> Result<()> {
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
