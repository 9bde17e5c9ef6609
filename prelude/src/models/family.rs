//! The families of architectures: how a weights file is known as one of them, and how a model is built from it.

use super::clip::{Clip, ClipConfig};
use super::vit::{Vit, VitConfig};
use super::weights::Checkpoint;
use super::{ImageEncoder, overlay};
use crate::{Error, Result};
use candle_core::Device;
use serde_json::Value;

/// A built model.
pub enum Network {
    /// Images only.
    Image(Box<dyn ImageEncoder>),
    /// Images and text in one space.
    Clip(Box<Clip>),
}

/// A family of architectures.
pub struct Family {
    /// As a weights file's metadata names it.
    pub name: &'static str,
    /// A tensor that no other family has.
    signature: &'static str,
    build: fn(Checkpoint, &Value, &Device) -> Result<Network>,
}

/// Every family there is: one line each.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "clip",
        signature: "visual_projection.weight",
        build: clip,
    },
    Family {
        name: "vit",
        signature: "patch_embed.proj.weight",
        build: vit,
    },
];

/// Build the model a weights file holds. Its configuration is taken from the file's metadata where it has any, and
/// read off the shapes otherwise; `given` holds what is known besides, in timm's or open_clip's names, and wins.
///
/// # Errors
/// When the file is of no known family, or its tensors do not fit.
pub fn build(
    weights: Checkpoint,
    given: &Value,
    device: &Device,
) -> Result<(&'static str, Network)> {
    let weights = weights.renamed()?;
    let named = weights.metadata().get("family").cloned();
    let family = FAMILIES.iter().find(|family| match &named {
        Some(name) => name.trim_matches('"') == family.name,
        None => weights.shape(family.signature).is_some(),
    });
    let Some(family) = family else {
        let known: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
        let reason = match named {
            Some(name) => format!("family \"{name}\" is not one of {}", known.join(", ")),
            None => format!(
                "its keys are of no known family ({}) in timm's or open_clip's names; it has {}",
                known.join(", "),
                weights.sample_keys()
            ),
        };
        return Err(Error::weights(weights.path(), reason));
    };
    let config = match weights.metadata().get("config") {
        Some(text) => serde_json::from_str(text).map_err(|e| {
            Error::weights(
                weights.path(),
                format!("the metadata's config is not JSON: {e}"),
            )
        })?,
        None => Value::Object(Default::default()),
    };
    let config = overlay(config, given);
    Ok((family.name, (family.build)(weights, &config, device)?))
}

fn vit(weights: Checkpoint, given: &Value, device: &Device) -> Result<Network> {
    let config = VitConfig::infer(&weights, given)?;
    // DINOv2's mask token is for its pretraining only; heads of single factors belong to the training command.
    let mut unused = vec!["mask_token", "factors."];
    if config.num_classes == 0 {
        unused.push("head.")
    }
    let weights = weights.without(&unused);
    let vit = weights.build("this ViT", device, |vb| Vit::new(&config, vb))?;
    Ok(Network::Image(Box::new(vit)))
}

fn clip(weights: Checkpoint, given: &Value, device: &Device) -> Result<Network> {
    let config = ClipConfig::infer(&weights, given)?;
    let clip = weights.build("this CLIP", device, |vb| Clip::new(&config, vb))?;
    Ok(Network::Clip(Box::new(clip)))
}
