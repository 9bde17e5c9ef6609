//! open_clip's `open_clip_config.json`: `model_cfg` and `preprocess_cfg`.

use super::{Picture, Settings};
use serde_json::{Value, json};

pub(super) fn settings(json: &Value) -> Result<Settings, String> {
    let model = &json["model_cfg"];
    for (tower, key) in [
        ("vision_cfg", "timm_model_name"),
        ("text_cfg", "hf_model_name"),
    ] {
        if let Some(name) = model[tower][key].as_str() {
            return Err(format!(
                "{tower}.{key} = \"{name}\": only open_clip's own towers are built"
            ));
        }
    }
    let mut network = json!({});
    for key in ["embed_dim", "quick_gelu"] {
        if let Some(value) = model.get(key) {
            network[key] = value.clone()
        }
    }
    for (tower, key) in [("vision_cfg", "head_width"), ("text_cfg", "heads")] {
        if let Some(value) = model[tower].get(key) {
            network[tower] = json!({ key: value })
        }
    }
    let picture = match json.get("preprocess_cfg") {
        Some(preprocess) => Picture::read(preprocess)?,
        None => Picture::default(),
    };
    Ok(Settings { network, picture })
}
