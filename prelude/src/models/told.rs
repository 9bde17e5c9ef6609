//! What the weights tell of a model's shape, in the fields of its family's configuration: a configuration that says
//! otherwise is of another model.

use super::clip::ClipConfig;
use super::config::claims::{Claims, at};
use super::config::{Beside, Picture, Settings};
use super::maxvit::MaxVitConfig;
use super::swin::SwinConfig;
use super::vit::VitConfig;
use super::weights::Checkpoint;
use crate::{Error, Result};
use serde_json::{Value, json};
use std::path::Path;

/// Fields that a person may give another value than the weights have.
const FREE: [&str; 2] = ["img_size", "window_size"];

/// Heads, and the width that they have to divide.
const HEADS: [(&str, &str); 3] = [
    ("num_heads", "embed_dim"),
    ("vision_cfg.head_width", "vision_cfg.width"),
    ("text_cfg.heads", "text_cfg.width"),
];

/// A ViT's.
pub(super) fn vit(weights: &Checkpoint) -> Result<Value> {
    let c = VitConfig::infer(weights, &Value::Null)?;
    let mut told = json!({
        "img_size": c.img_size, "patch_size": c.patch_size, "embed_dim": c.embed_dim, "num_features": c.embed_dim,
        "depth": c.depth, "mlp_ratio": c.mlp_ratio, "mlp_width": c.mlp_ratio * c.embed_dim as f64,
        "qkv_bias": c.qkv_bias, "proj_bias": c.proj_bias, "init_values": c.init_values, "class_token": c.class_token,
        "reg_tokens": c.reg_tokens, "pre_norm": c.pre_norm,
    });
    let has = |key: &str| weights.shape(key).is_some();
    if has("norm.weight") || has("fc_norm.weight") {
        told["final_norm"] = json!(true);
        told["fc_norm"] = json!(has("fc_norm.weight"))
    }
    let embedded = weights.shape("pos_embed").map_or(0, |dims| dims[1]);
    let square = |n: usize| n.isqrt().pow(2) == n;
    let prefix = c.prefix_tokens();
    // Where both counts are squares the configuration has to say which tokens have a position.
    if prefix > 0 && square(embedded) != square(embedded.saturating_sub(prefix)) {
        told["no_embed_class"] = json!(c.no_embed_class)
    }
    Ok(told)
}

/// A Swin's. The image size is not among it.
pub(super) fn swin(weights: &Checkpoint) -> Result<Value> {
    let c = SwinConfig::infer(weights, &Value::Null)?;
    let last = c.width(c.depths.len().saturating_sub(1));
    Ok(json!({
        "patch_size": c.patch_size, "embed_dim": c.embed_dim, "num_features": last, "depths": c.depths,
        "num_heads": c.num_heads, "window_size": c.window_size, "mlp_ratio": c.mlp_ratio,
        "mlp_width": c.mlp_ratio * c.embed_dim as f64, "qkv_bias": c.qkv_bias,
    }))
}

/// A MaxViT's. The image size is not among it.
pub(super) fn maxvit(weights: &Checkpoint) -> Result<Value> {
    let c = MaxVitConfig::infer(weights, &Value::Null)?;
    let mut told = json!({
        "stem_width": c.stem_width, "embed_dim": c.embed_dim, "num_features": c.embed_dim.last(), "depths": c.depths,
        "transformer_dim_head": c.transformer_dim_head,
    });
    if c.num_classes > 0 {
        told["head_hidden_size"] = json!(c.head_hidden_size)
    }
    Ok(told)
}

/// A CLIP's.
pub(super) fn clip(weights: &Checkpoint) -> Result<Value> {
    let c = ClipConfig::infer(weights, &Value::Null)?;
    let (v, t) = (&c.vision_cfg, &c.text_cfg);
    Ok(json!({
        "embed_dim": c.embed_dim,
        "vision_cfg": {
            "layers": v.layers, "width": v.width, "mlp_ratio": v.mlp_ratio, "mlp_width": v.mlp_ratio * v.width as f64,
            "patch_size": v.patch_size, "image_size": v.image_size, "ls_init_value": v.ls_init_value,
            "no_ln_pre": v.no_ln_pre,
        },
        "text_cfg": {
            "layers": t.layers, "width": t.width, "mlp_ratio": t.mlp_ratio, "mlp_width": t.mlp_ratio * t.width as f64,
            "vocab_size": t.vocab_size, "context_length": t.context_length, "ls_init_value": t.ls_init_value,
        },
    }))
}

/// `told` without what a person may give another value: everything that is not of the weights' own shapes.
fn without(mut told: Value, names: &[&str]) -> Value {
    if let Some(fields) = told.as_object_mut() {
        for name in names {
            fields.remove(*name);
        }
    }
    if let Some(vision) = told.get_mut("vision_cfg").and_then(Value::as_object_mut) {
        vision.remove("image_size");
    }
    told
}

/// What the configuration file beside the weights says and they do not, held against `told`. Where `given` has an
/// image size, the file need not have that of the weights.
///
/// # Errors
/// When the file is not understood, or contradicts the weights: file, fields and both values.
pub(super) fn beside(
    beside: &Beside,
    family: &str,
    told: &Value,
    given: &Value,
) -> Result<Settings> {
    let reading = beside.reading(family)?;
    let refuse = |reason: String| Err(Error::weights(beside.path(), reason));
    let resized = given.get("img_size").or(at(given, "vision_cfg.image_size"));
    let shapes = match resized {
        Some(_) => without(told.clone(), &["img_size"]),
        None => told.clone(),
    };
    let (lines, own) = reading.claims.contradictions(&shapes);
    if !lines.is_empty() {
        let lines = listed(&lines);
        return refuse(match own {
            true if lines.starts_with_size() => format!(
                "{}; load_with(.., json!({{\"img_size\": ..}})) chooses one, and positions are resampled to it",
                lines.0
            ),
            true => format!("{}: it is of another model", lines.0),
            false => format!(
                "{}; it says only {}: it is of another model",
                lines.0,
                beside.says()
            ),
        });
    }
    if let Some(reason) = reading.claims.indivisible(told, &HEADS) {
        return refuse(reason);
    }
    let mut network = reading.claims.network(told);
    // A size of the person's own is not the file's.
    if resized.is_some() {
        network = without(network, &["img_size"])
    }
    Ok(Settings {
        network,
        picture: reading.picture,
    })
}

/// The configuration in a weights file's own metadata.
///
/// # Errors
/// When it is no JSON, or contradicts the weights.
pub(super) fn inside(weights: &Checkpoint, text: &str, told: &Value) -> Result<Settings> {
    let refuse =
        |reason: String| Error::weights(weights.path(), format!("the metadata's config {reason}"));
    let network: Value =
        serde_json::from_str(text).map_err(|e| refuse(format!("is not JSON: {e}")))?;
    let (lines, _) =
        Claims::of_config(&network).contradictions(&without(told.clone(), &["img_size"]));
    match lines.is_empty() {
        true => Ok(Settings {
            network,
            picture: Picture::default(),
        }),
        false => Err(refuse(format!("has {}", listed(&lines).0))),
    }
}

/// Check what a person says of the network.
///
/// # Errors
/// When it contradicts the weights.
pub(super) fn given(given: &Value, told: &Value) -> Result<()> {
    let (lines, _) = Claims::of_config(given).contradictions(&without(told.clone(), &FREE));
    match lines.is_empty() {
        true => Ok(()),
        false => {
            let why = format!("{}; leave it out", listed(&lines).0);
            Err(Error::argument("config", given, why))
        }
    }
}

/// `error` of a field as one of the configuration `file`, where it is not the person who gave the field.
pub(super) fn blamed(error: Error, file: Option<&Path>, given: &Value) -> Error {
    let (&Error::Argument { name, .. }, Some(file)) = (&error, file) else {
        return error;
    };
    let vision = name == "img_size" && at(given, "vision_cfg.image_size").is_some();
    // Of "config" serde has told the field already, and it may be anyone's.
    match vision || name == "config" || at(given, name).is_some() {
        true => error,
        false => Error::weights(file, error.to_string()),
    }
}

/// The first few contradictions, as one text.
struct Listed(String);

impl Listed {
    /// Whether nothing but the image size is another.
    fn starts_with_size(&self) -> bool {
        let first = self.0.split(" = ").next().unwrap_or_default();
        let size = ["img_size", "image_size", "input_size"];
        size.iter().any(|name| first.ends_with(name)) && !self.0.contains("), ")
    }
}

fn listed(lines: &[String]) -> Listed {
    let mut shown: Vec<_> = lines.iter().take(4).cloned().collect();
    if lines.len() > 4 {
        shown.push(format!("and {} more", lines.len() - 4))
    }
    Listed(shown.join(", "))
}
