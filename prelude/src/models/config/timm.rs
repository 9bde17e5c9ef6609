//! timm's `config.json`: `architecture`, `pretrained_cfg`, `model_args`.

use super::{Picture, Settings};
use serde_json::{Value, json};

/// Arguments of timm's models that weights do not tell, by family.
fn arguments(family: &str) -> &'static [&'static str] {
    match family {
        "vit" => &["num_heads", "no_embed_class"],
        _ => &[],
    }
}

pub(super) fn settings(json: &Value, family: &str) -> Result<Settings, String> {
    // Before timm 0.9 the fields of `pretrained_cfg` were at the root.
    let pretrained = json.get("pretrained_cfg").unwrap_or(json);
    let mut network = json!({});
    for name in arguments(family) {
        if let Some(value) = json["model_args"].get(name) {
            network[name] = value.clone()
        }
    }
    let architecture = json["architecture"].as_str().unwrap_or("");
    if family == "vit" && architecture.contains("quickgelu") {
        network["act_layer"] = json!("quick_gelu")
    }
    // A Swin's and a MaxViT's windows do not tell the size of the whole.
    let size = &json["model_args"]["img_size"];
    let sizes = [size, &size[0], &pretrained["input_size"][2]];
    let size = sizes.into_iter().find_map(Value::as_u64);
    if let (Some(size), "swin" | "maxvit") = (size, family) {
        network["img_size"] = json!(size)
    }
    Ok(Settings {
        network,
        picture: Picture::read(pretrained)?,
    })
}
