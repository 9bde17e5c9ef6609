//! The models of the embedded zoo and how each is trained.

use crate::data::GeneratedSpec;
use crate::models::clip::VisionConfig;
use crate::models::text::TextConfig;
use crate::models::weights::Parameters;
use crate::models::{
    ClipConfig, ImageEncoder, MaxVit, MaxVitConfig, Normalisation, Swin, SwinConfig, Vit, VitConfig,
};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How long to train.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// Optimiser steps: the same command gives the same model.
    Steps(usize),
    /// Minutes on this machine.
    Minutes(f64),
}

/// A model's architecture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", content = "config", rename_all = "lowercase")]
pub enum Family {
    Vit(VitConfig),
    Swin(SwinConfig),
    MaxVit(MaxVitConfig),
    Clip(ClipConfig),
}

impl Family {
    /// The family's name and its configuration as JSON: the metadata of a weights file.
    pub fn named(&self) -> serde_json::Result<(String, String)> {
        Ok(match self {
            Self::Vit(config) => ("vit".to_string(), serde_json::to_string(config)?),
            Self::Swin(config) => ("swin".to_string(), serde_json::to_string(config)?),
            Self::MaxVit(config) => ("maxvit".to_string(), serde_json::to_string(config)?),
            Self::Clip(config) => ("clip".to_string(), serde_json::to_string(config)?),
        })
    }

    /// A fresh image encoder whose tensors are `parameters`.
    pub(super) fn encoder(&self, parameters: &Parameters) -> Result<Box<dyn ImageEncoder>> {
        let vb = parameters.builder();
        Ok(match self {
            Self::Vit(config) => Box::new(Vit::new(config, vb)?),
            Self::Swin(config) => Box::new(Swin::new(config, vb)?),
            Self::MaxVit(config) => Box::new(MaxVit::new(config, vb)?),
            Self::Clip(_) => {
                let why = "an image model without text; a CLIP is trained by ClipTask";
                return Err(Error::argument("family", "clip", why));
            }
        })
    }
}

/// Everything that decides a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The model's name in the zoo.
    pub name: String,
    #[serde(flatten)]
    pub family: Family,
    /// Of the first weights; the images have seeds of their own.
    pub seed: u64,
    pub budget: Budget,
    /// Images a step.
    pub batch: usize,
    /// Peak learning rate.
    pub rate: f64,
    pub training_images: GeneratedSpec,
    pub held_out_images: GeneratedSpec,
}

/// More than any run sees; the images are drawn on demand.
const PLENTY: usize = 1 << 32;

/// Images that accuracy is measured on.
pub const HELD_OUT: usize = 3000;

const CENTRED: Normalisation = Normalisation {
    mean: [0.5; 3],
    std: [0.25; 3],
};

impl Recipe {
    /// The models of the zoo, as [`Self::named`] knows them.
    pub const NAMES: [&str; 5] = ["vit", "dinov2", "swin", "maxvit", "clip"];

    /// The recipe called `name`, one of [`Self::NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "vit" => Some(Self::vit()),
            "dinov2" => Some(Self::dinov2()),
            "swin" => Some(Self::swin()),
            "maxvit" => Some(Self::maxvit()),
            "clip" => Some(Self::clip()),
            _ => None,
        }
    }

    /// `tiny_vit`: class token, 6 blocks.
    pub fn vit() -> Self {
        let config = VitConfig {
            img_size: 48,
            patch_size: 8,
            embed_dim: 96,
            depth: 6,
            num_heads: 6,
            normalisation: CENTRED,
            ..VitConfig::default()
        };
        Self::new("tiny_vit", Family::Vit(config), 1, 1600)
    }

    /// `tiny_dinov2`: LayerScale and register tokens.
    pub fn dinov2() -> Self {
        let config = VitConfig {
            img_size: 49,
            patch_size: 7,
            embed_dim: 96,
            depth: 6,
            num_heads: 6,
            init_values: Some(0.1),
            reg_tokens: 2,
            normalisation: CENTRED,
            ..VitConfig::default()
        };
        Self::new("tiny_dinov2", Family::Vit(config), 2, 2200)
    }

    /// `tiny_swin`: three stages, shifted windows in the first two.
    pub fn swin() -> Self {
        let config = SwinConfig {
            img_size: 48,
            patch_size: 4,
            embed_dim: 48,
            depths: vec![2, 4, 2],
            num_heads: vec![2, 4, 8],
            window_size: 3,
            normalisation: CENTRED,
            ..SwinConfig::default()
        };
        Self::new("tiny_swin", Family::Swin(config), 4, 1600)
    }

    /// `tiny_maxvit`: three stages of convolution, window and grid attention.
    pub fn maxvit() -> Self {
        let config = MaxVitConfig {
            img_size: 48,
            stem_width: 16,
            embed_dim: vec![24, 48, 96],
            depths: vec![1, 2, 2],
            transformer_dim_head: 12,
            transformer_partition_ratio: 16,
            normalisation: CENTRED,
            ..MaxVitConfig::default()
        };
        Self::new("tiny_maxvit", Family::MaxVit(config), 5, 1000)
    }

    /// `tiny_clip`: vision and text tower. In its images shape and place agree in 90 % of cases.
    pub fn clip() -> Self {
        let config = ClipConfig {
            embed_dim: 64,
            quick_gelu: false,
            vision_cfg: VisionConfig {
                layers: 6,
                width: 96,
                head_width: 16,
                mlp_ratio: 4.,
                patch_size: 8,
                image_size: 48,
                ..VisionConfig::default()
            },
            text_cfg: TextConfig {
                context_length: 24,
                vocab_size: crate::data::generated::vocabulary().len() + 4,
                width: 64,
                heads: 4,
                layers: 3,
                ..TextConfig::default()
            },
            normalisation: CENTRED,
        };
        let recipe = Self::new("tiny_clip", Family::Clip(config), 3, 3000);
        Self {
            training_images: GeneratedSpec::correlated(103, PLENTY, 0.9),
            ..recipe
        }
    }

    fn new(name: &str, family: Family, seed: u64, steps: usize) -> Self {
        Self {
            name: name.to_string(),
            family,
            seed,
            budget: Budget::Steps(steps),
            batch: 64,
            rate: 3e-3,
            training_images: GeneratedSpec::unbiased(100 + seed, PLENTY),
            held_out_images: GeneratedSpec::unbiased(900, HELD_OUT),
        }
    }
}
