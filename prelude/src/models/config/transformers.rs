//! transformers' `config.json` and `preprocessor_config.json`.

use super::{Picture, Settings};
use crate::data::{CropMode, Interpolation};
use serde_json::{Value, json};

pub(super) fn settings(
    json: &Value,
    processor: &Value,
    family: &str,
    width: Option<usize>,
) -> Result<Settings, String> {
    let network = match family {
        "clip" => clip(json)?,
        _ => image(json, family, width)?,
    };
    Ok(Settings {
        network,
        picture: picture(processor)?,
    })
}

/// `ViTConfig`, `DeiTConfig`, `Dinov2Config` and `SwinConfig`.
fn image(json: &Value, family: &str, width: Option<usize>) -> Result<Value, String> {
    let field = if family == "vit" {
        "hidden_size"
    } else {
        "embed_dim"
    };
    if let (Some(said), Some(width)) = (json[field].as_u64(), width)
        && said != width as u64
    {
        return Err(format!(
            "{field} = {said}, but the weights beside it are {width} wide: it is of another model"
        ));
    }
    let activation = activation(json, "gelu")?;
    let mut network = json!({});
    if let Some(eps) = json["layer_norm_eps"].as_f64() {
        network["norm_eps"] = json!(eps)
    }
    match family {
        "vit" => {
            network["act_layer"] = json!(activation);
            if let Some(heads) = json["num_attention_heads"].as_u64() {
                network["num_heads"] = json!(heads)
            }
        }
        _ if activation != "gelu" => {
            return Err(format!(
                "hidden_act = \"{activation}\" is not built for {family}"
            ));
        }
        _ => {
            if let Some(size) = json["image_size"].as_u64() {
                network["img_size"] = json!(size)
            }
        }
    }
    Ok(network)
}

/// `CLIPConfig`.
fn clip(json: &Value) -> Result<Value, String> {
    let (vision, text) = (&json["vision_config"], &json["text_config"]);
    // transformers' default; its CLIPs of other origin say otherwise.
    let activation_of = |config| activation(config, "quick_gelu");
    let activations = [activation_of(vision)?, activation_of(text)?];
    if activations[0] != activations[1] {
        return Err(format!(
            "hidden_act is \"{}\" for images and \"{}\" for text: one for both is built",
            activations[0], activations[1]
        ));
    }
    let mut network = json!({ "quick_gelu": activations[0] == "quick_gelu" });
    // Their defaults, where a file leaves them out.
    let width = vision["hidden_size"].as_u64().unwrap_or(768);
    let heads = vision["num_attention_heads"].as_u64().unwrap_or(12).max(1);
    network["vision_cfg"] = json!({ "head_width": width / heads });
    network["text_cfg"] = json!({ "heads": text["num_attention_heads"].as_u64().unwrap_or(8) });
    Ok(network)
}

fn activation(config: &Value, default: &str) -> Result<String, String> {
    match config["hidden_act"].as_str().unwrap_or(default) {
        known @ ("gelu" | "quick_gelu") => Ok(known.into()),
        other => Err(format!(
            "hidden_act = \"{other}\": gelu and quick_gelu are built"
        )),
    }
}

/// A processor's fields: `size` and `crop_size` are numbers, or objects of `shortest_edge`, `height`, `width`.
fn picture(processor: &Value) -> Result<Picture, String> {
    let named = json!({ "mean": processor["image_mean"], "std": processor["image_std"] });
    let mut picture = Picture::read(&named)?;
    // Pillow's numbers.
    picture.interpolation = match processor["resample"].as_u64() {
        Some(0) => Some(Interpolation::Nearest),
        Some(1) => Some(Interpolation::Lanczos),
        Some(2) => Some(Interpolation::Bilinear),
        Some(3) => Some(Interpolation::Bicubic),
        _ => None,
    };
    let side = |value: &Value| {
        let edges = [value, &value["shortest_edge"], &value["height"]];
        edges.into_iter().find_map(Value::as_u64)
    };
    let cropped = processor["do_center_crop"].as_bool();
    match (side(&processor["size"]), side(&processor["crop_size"])) {
        (Some(size), Some(crop)) if cropped != Some(false) && crop <= size && size > 0 => {
            picture.crop_pct = Some(crop as f64 / size as f64)
        }
        (Some(_), _) => picture.crop_pct = Some(1.0),
        _ => {}
    }
    if processor["size"].get("height").is_some() && processor["size"].get("shortest_edge").is_none()
    {
        // Both sides are given: the picture's own proportions are not kept.
        picture.crop_mode = Some(CropMode::Squash)
    }
    Ok(picture)
}
