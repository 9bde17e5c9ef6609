//! The families of architectures: how a weights file is known as one of them, and how a model is built from it.

use super::clip::{Clip, ClipConfig};
use super::config::{Beside, Picture, Settings};
use super::maxvit::{MaxVit, MaxVitConfig};
use super::swin::{Swin, SwinConfig};
use super::vit::{Vit, VitConfig};
use super::weights::Checkpoint;
use super::{ImageEncoder, assumed, overlay, told};
use crate::data::Preprocess;
use crate::facts::{self, Facts};
use crate::{Error, Result};
use candle_core::Device;
use serde_json::{Value, json};

/// A built model.
pub enum Network {
    /// Images only.
    Image(Box<dyn ImageEncoder>),
    /// Images and text in one space.
    Clip(Box<Clip>),
}

facts::shows!(Network, |it| Facts::new(match it {
    Self::Image(encoder) => format!("image encoder of width {}", encoder.width()),
    Self::Clip(clip) => format!("CLIP, image encoder of width {}", clip.width()),
}));

/// A family of architectures.
pub struct Family {
    /// As a weights file's metadata names it.
    pub name: &'static str,
    /// A tensor that no other family has.
    signature: &'static str,
    /// The share of the resized side that the centre crop keeps, where no configuration says.
    crop: fn(&Checkpoint) -> f64,
    /// What the weights tell of the configuration.
    told: fn(&Checkpoint) -> Result<Value>,
    build: fn(Checkpoint, &Value, &Device) -> Result<Network>,
}

facts::shows!(Family, |it| Facts::new(format!("family \"{}\"", it.name))
    .row("known by its tensor", it.signature));

/// Every family there is: one line each.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "clip",
        signature: "visual_projection.weight",
        crop: |_| 1.0,
        told: told::clip,
        build: clip,
    },
    Family {
        name: "swin",
        signature: "layers.0.blocks.0.attn.relative_position_bias_table",
        crop: |_| 0.9,
        told: told::swin,
        build: swin,
    },
    Family {
        name: "maxvit",
        signature: "stages.0.blocks.0.attn_grid.attn.qkv.weight",
        crop: |_| 0.95,
        told: told::maxvit,
        build: maxvit,
    },
    Family {
        name: "vit",
        signature: "patch_embed.proj.weight",
        crop: vit_crop,
        told: told::vit,
        build: vit,
    },
];

/// A built model.
pub struct Built {
    pub family: &'static str,
    /// Of the weights file, and of what its configuration says besides.
    pub hash: String,
    pub network: Network,
    /// How pictures are brought to its size.
    pub preprocess: Preprocess,
    /// What neither the weights nor a configuration decided, one sentence each.
    pub assumed: Vec<String>,
}

facts::shows!(Built, |it| Facts::new(format!(
    "a model of the family \"{}\"",
    it.family
))
.row("network", &it.network)
.row("preprocessing", format!("{:?}", it.preprocess))
.row("assumed", facts::list(&it.assumed, 110)));

/// Build the model a weights file holds. Its configuration is read off the shapes; over that goes `published`, what is
/// known of the model by its name, then the file's metadata or the configuration beside it, then `given`, in timm's
/// or open_clip's names. What is said and contradicts the shapes is refused.
///
/// # Errors
/// When the file is of no known family, its tensors do not fit, or a configuration is not understood or of another
/// model.
pub fn build(
    weights: Checkpoint,
    published: &Settings,
    given: &Value,
    device: &Device,
) -> Result<Built> {
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
                "its keys are of no known family ({}) in timm's, open_clip's or transformers' names; it has {}",
                known.join(", "),
                weights.sample_keys()
            ),
        };
        return Err(Error::weights(weights.path(), reason));
    };
    let (asked, given) = Picture::split(given)?;
    let shapes = (family.told)(&weights)?;
    told::given(&given, &shapes)?;
    let (mut file, mut configured) = (None, false);
    let said = match weights.metadata().get("config") {
        Some(text) => told::inside(&weights, text, &shapes)?,
        None => match Beside::find(weights.path(), weights.naming().format)? {
            Some(beside) => {
                file = Some(beside.path().to_path_buf());
                configured = beside.configured();
                told::beside(&beside, family.name, &shapes, &given)?
            }
            None => Settings::default(),
        },
    };
    let picture = asked.or(said.picture).or(published.picture);
    let mut config = published.network.clone();
    let inside = weights.metadata().contains_key("config");
    let mut outside = config.clone();
    let mut of_file = said.network;
    if given.get("quick_gelu").is_some() {
        // The person's word is for both towers.
        for tower in ["vision_cfg", "text_cfg"] {
            if let Some(tower) = of_file.get_mut(tower).and_then(Value::as_object_mut) {
                tower.remove("act_layer");
            }
        }
    }
    for (over, from_file) in [
        (&of_file, inside),
        (&picture.network(), false),
        (&given, false),
    ] {
        config = overlay(config, over);
        if !from_file {
            outside = overlay(outside, over)
        }
    }
    let hash = hash(weights.hash(), &outside);
    let default = Preprocess {
        crop: (family.crop)(&weights),
        ..Preprocess::default()
    };
    let mut assumed = weights.assumed().to_vec();
    let path = weights.path().display().to_string();
    let network = (family.build)(weights, &config, device)
        .map_err(|error| told::blamed(error, file.as_deref(), &given))?;
    let bars = match &network {
        // open_clip's are black, timm's have the mean's colour.
        Network::Clip(_) => [0; 3],
        Network::Image(encoder) => encoder
            .normalisation()
            .mean
            .map(|m| (255. * m).round() as u8),
    };
    let preprocess = picture
        .preprocess(default, bars)
        .map_err(|error| match asked.crop_pct {
            Some(_) => error,
            None => told::blamed(error, file.as_deref(), &given),
        })?;
    // The metadata of files that were trained here says everything.
    if !inside {
        let known = assumed::Known {
            path,
            family: family.name,
            configured,
            network: &config,
            picture: &picture,
        };
        assumed.extend(assumed::assumed(&known, &network, &preprocess))
    }
    Ok(Built {
        family: family.name,
        hash,
        preprocess,
        network,
        assumed,
    })
}

/// The weights' hash, changed by a configuration from outside the file: the same weights at another image size are
/// another model to every cache.
fn hash(weights: &str, config: &Value) -> String {
    if *config == json!({}) {
        return weights.to_string();
    }
    // The order of the fields says nothing.
    let mut config = config.clone();
    config.sort_all_objects();
    let both = format!("{weights} {config}");
    blake3::hash(both.as_bytes()).to_hex().to_string()
}

impl Network {
    /// The image encoder.
    pub fn encoder(&self) -> &dyn ImageEncoder {
        match self {
            Self::Image(encoder) => encoder.as_ref(),
            Self::Clip(clip) => clip.as_ref(),
        }
    }
}

/// timm's share of the centre crop: all of it for DINOv2, which is told by LayerScale over patches of 14 pixels.
fn vit_crop(weights: &Checkpoint) -> f64 {
    let patch = weights
        .shape("patch_embed.proj.weight")
        .and_then(|dims| dims.last());
    match weights.shape("blocks.0.ls1.gamma").is_some() && patch == Some(&14) {
        true => 1.0,
        false => 0.9,
    }
}

fn vit(weights: Checkpoint, given: &Value, device: &Device) -> Result<Network> {
    let config = VitConfig::infer(&weights, given)?;
    config.check()?;
    // Heads of single factors belong to the training command.
    let mut unused = vec!["factors."];
    if config.num_classes == 0 {
        unused.push("head.")
    }
    let prefix = match config.no_embed_class {
        true => 0,
        false => config.prefix_tokens(),
    };
    let weights = weights.without(&unused);
    let weights = weights.with_positions("pos_embed", prefix, config.grid())?;
    let vit = weights.build("this ViT", device, |vb| Vit::new(&config, vb))?;
    Ok(Network::Image(Box::new(vit)))
}

fn swin(weights: Checkpoint, given: &Value, device: &Device) -> Result<Network> {
    let config = SwinConfig::infer(&weights, given)?;
    let own = SwinConfig::infer(&weights, &Value::Null)?.window_size;
    if config.window_size != own {
        let why = format!(
            "the weights' windows are {own} tokens wide, and their tables of relative positions are not resampled; leave it out"
        );
        return Err(Error::argument("window_size", config.window_size, why));
    }
    let mut unused = vec!["factors."];
    if config.num_classes == 0 {
        unused.push("head.")
    }
    let weights = weights.without(&unused);
    let swin = weights.build("this Swin", device, |vb| Swin::new(&config, vb))?;
    Ok(Network::Image(Box::new(swin)))
}

fn maxvit(weights: Checkpoint, given: &Value, device: &Device) -> Result<Network> {
    let config = MaxVitConfig::infer(&weights, given)?;
    let mut unused = vec!["factors."];
    if config.num_classes == 0 {
        unused.push("head.")
    }
    let weights = weights.without(&unused);
    let maxvit = weights.build("this MaxViT", device, |vb| MaxVit::new(&config, vb))?;
    Ok(Network::Image(Box::new(maxvit)))
}

fn clip(weights: Checkpoint, given: &Value, device: &Device) -> Result<Network> {
    let config = ClipConfig::infer(&weights, given)?;
    config.check()?;
    let side = config.vision_cfg.image_size / config.vision_cfg.patch_size.max(1);
    let weights = weights.with_positions("visual.pos_embed", 1, side)?;
    let clip = weights.build("this CLIP", device, |vb| Clip::new(&config, vb))?;
    Ok(Network::Clip(Box::new(clip)))
}
