//! open_clip's `open_clip_config.json`: `model_cfg` and `preprocess_cfg`.
//!
//! What a field that is left out stands for is open_clip's default (`CLIPVisionCfg`, `CLIPTextCfg`, `PreprocessCfg`).

use super::claims::Claims;
use super::field::{NOTES, Rule, Table, read, side};
use super::{Picture, Reading};
use crate::models::layers::Activation;
use serde_json::{Value, json};

use Rule::{Harmless, Is, Never, Only, Own, Side};

const ROOT: Table = &[(Own, &["model_cfg", "preprocess_cfg"])];

/// `open_clip.CLIP`'s arguments.
const MODEL: Table = &[
    (Is("embed_dim"), &["embed_dim"]),
    (Is("quick_gelu"), &["quick_gelu"]),
    (Own, &["vision_cfg", "text_cfg"]),
    (
        Harmless,
        &[
            "init_logit_scale",
            "init_logit_bias",
            "nonscalar_logit_scale",
            "cast_dtype",
            "output_dict",
            "precision",
            // Such a text tower has other names, which decide.
            "custom_text",
        ],
    ),
    (
        Never("only CLIP's two towers are"),
        &["multimodal_cfg", "audio_cfg"],
    ),
];

/// Custom attention blocks, which either tower may have.
const BLOCK: Table = &[
    (Only(&["\"default\""]), &["block_type"]),
    (
        Only(&["false"]),
        &[
            "qk_norm",
            "scaled_cosine_attn",
            "scale_heads",
            "scale_attn_inner",
            "scale_attn",
            "scale_fc",
        ],
    ),
    (Own, &["act_kwargs", "norm_kwargs"]),
    (Harmless, &["output_tokens"]),
];

/// `open_clip.CLIPVisionCfg`.
const VISION: Table = &[
    (Is("width"), &["width"]),
    (Is("head_width"), &["head_width"]),
    (Is("mlp_ratio"), &["mlp_ratio"]),
    (Is("ls_init_value"), &["ls_init_value"]),
    (Is("no_ln_pre"), &["no_ln_pre"]),
    (Is("final_ln_after_pool"), &["final_ln_after_pool"]),
    (Side("patch_size"), &["patch_size"]),
    (Side("image_size"), &["image_size"]),
    (
        Own,
        &[
            "layers",
            "pool_type",
            "input_patchnorm",
            "global_average_pool",
        ],
    ),
    (
        Only(&["false"]),
        &[
            "attentional_pool",
            "timm_model_pretrained",
            "timm_proj_bias",
        ],
    ),
    (
        Never("only open_clip's own towers are"),
        &["timm_model_name"],
    ),
    // Both kinds of positions are in the weights.
    (
        Only(&["\"learnable\"", "\"sin_cos_2d\""]),
        &["pos_embed_type"],
    ),
    (
        Harmless,
        &[
            "patch_dropout",
            "attn_pooler_queries",
            "attn_pooler_heads",
            "timm_pool",
            "timm_proj",
            "timm_drop",
            "timm_drop_path",
        ],
    ),
];

/// `open_clip.CLIPTextCfg`.
const TEXT: Table = &[
    (Is("context_length"), &["context_length"]),
    (Is("vocab_size"), &["vocab_size"]),
    (Is("width"), &["width"]),
    (Is("heads"), &["heads"]),
    (Is("layers"), &["layers"]),
    (Is("mlp_ratio"), &["mlp_ratio"]),
    (Is("ls_init_value"), &["ls_init_value"]),
    (Is("no_causal_mask"), &["no_causal_mask"]),
    (Own, &["pool_type", "eos_id"]),
    (Only(&["false"]), &["embed_cls", "proj_bias"]),
    (Only(&["\"linear\""]), &["proj_type"]),
    (Never("only open_clip's own towers are"), &["hf_model_name"]),
    (Only(&["{}"]), &["tokenizer_kwargs"]),
    (
        Harmless,
        &[
            // One position is picked: norming it before or after is the same.
            "final_ln_after_pool",
            // Only `embed_cls` reads it.
            "pad_id",
            // Texts are turned into ids by the tokenizer.json beside the weights.
            "hf_tokenizer_name",
            "tokenizer_mode",
            "hf_model_pretrained",
            "hf_proj_type",
            "hf_pooler_type",
            "proj",
            "pooler_type",
            "hf_model_config",
        ],
    ),
];

const PREPROCESS: Table = &[
    (
        Own,
        &[
            "size",
            "mean",
            "std",
            "interpolation",
            "resize_mode",
            "fill_color",
        ],
    ),
    (Only(&["\"RGB\""]), &["mode"]),
];

pub(super) fn reading(json: &Value) -> Result<Reading, String> {
    let mut claims = Claims::default();
    let model = &json["model_cfg"];
    read(json, "", "", &[ROOT, NOTES], &mut claims)?;
    read(model, "model_cfg.", "", &[MODEL, NOTES], &mut claims)?;
    for (tower, table) in [("vision_cfg", VISION), ("text_cfg", TEXT)] {
        let (at, house) = (format!("model_cfg.{tower}."), format!("{tower}."));
        let config = &model[tower];
        read(config, &at, &house, &[table, BLOCK], &mut claims)?;
        for (name, value) in defaults(tower) {
            claims.otherwise(&format!("{house}{name}"), &format!("{at}{name}"), value)
        }
        let eps = kwargs(config, &at, "norm_kwargs", "eps")?.unwrap_or(json!(1e-5));
        claims.say(
            &format!("{house}norm_eps"),
            &format!("{at}norm_kwargs.eps"),
            &eps,
            eps.clone(),
        );
        if let Some(how) = kwargs(config, &at, "act_kwargs", "approximate")? {
            let field = format!("{at}act_kwargs.approximate");
            let quick = model["quick_gelu"] == json!(true);
            let act = match how.as_str() {
                Some("tanh") if !quick => Activation::GeluTanh,
                Some("none") if !quick => Activation::Gelu,
                _ => {
                    return Err(format!(
                        "{field} = {how} is not built: with quick_gelu = false tanh and none are"
                    ));
                }
            };
            claims.say(&format!("{house}act_layer"), &field, &how, json!(act))
        }
    }
    vision(&model["vision_cfg"], &mut claims)?;
    text(&model["text_cfg"], &mut claims)?;
    Ok(Reading {
        claims,
        picture: picture(&json["preprocess_cfg"])?,
    })
}

fn defaults(tower: &str) -> Vec<(&'static str, Value)> {
    match tower {
        "vision_cfg" => vec![
            ("layers", json!(12)),
            ("width", json!(768)),
            ("head_width", json!(64)),
            ("mlp_ratio", json!(4.0)),
            ("patch_size", json!(16)),
            ("image_size", json!(224)),
            ("ls_init_value", Value::Null),
            ("no_ln_pre", json!(false)),
        ],
        _ => vec![
            ("context_length", json!(77)),
            ("vocab_size", json!(49408)),
            ("width", json!(512)),
            ("heads", json!(8)),
            ("layers", json!(12)),
            ("mlp_ratio", json!(4.0)),
            ("ls_init_value", Value::Null),
        ],
    }
}

/// The one keyword argument `name` that `key` may have.
fn kwargs(config: &Value, at: &str, key: &str, name: &str) -> Result<Option<Value>, String> {
    let fields = match &config[key] {
        Value::Null => return Ok(None),
        Value::Object(fields) => fields,
        other => return Err(format!("{at}{key} = {other} is no object")),
    };
    match fields.iter().find(|(field, _)| *field != name) {
        Some((field, value)) => Err(format!(
            "{at}{key}.{field} = {value} is not built, only {name} is"
        )),
        None => Ok(fields.get(name).cloned()),
    }
}

fn vision(config: &Value, claims: &mut Claims) -> Result<(), String> {
    let field = |name: &str| format!("model_cfg.vision_cfg.{name}");
    match &config["layers"] {
        Value::Null => {}
        layers @ Value::Array(_) => {
            return Err(format!(
                "{} = {layers} is a ResNet, which is not built",
                field("layers")
            ));
        }
        layers => claims.say(
            "vision_cfg.layers",
            &field("layers"),
            layers,
            layers.clone(),
        ),
    }
    let pool = &config["pool_type"];
    let means = match pool.as_str() {
        None if pool.is_null() => "tok",
        Some(built @ ("tok" | "avg")) => built,
        _ => {
            return Err(format!(
                "{} = {pool} is not built, only tok and avg",
                field("pool_type")
            ));
        }
    };
    claims.say(
        "vision_cfg.pool_type",
        &field("pool_type"),
        pool,
        json!(means),
    );
    if config["global_average_pool"] == json!(true) {
        return Err(format!(
            "{} = true is of old versions of open_clip; write pool_type = \"avg\"",
            field("global_average_pool")
        ));
    }
    if config["input_patchnorm"] == json!(true) {
        return Err(format!("{} = true is not built", field("input_patchnorm")));
    }
    Ok(())
}

fn text(config: &Value, claims: &mut Claims) -> Result<(), String> {
    let field = |name: &str| format!("model_cfg.text_cfg.{name}");
    let pool = &config["pool_type"];
    let means = match pool.as_str() {
        None if pool.is_null() => "argmax",
        Some(built @ ("argmax" | "first" | "last" | "eos")) => built,
        _ => {
            return Err(format!(
                "{} = {pool} is not built, only argmax, first, last and eos",
                field("pool_type")
            ));
        }
    };
    claims.say(
        "text_cfg.pool_type",
        &field("pool_type"),
        pool,
        json!(means),
    );
    if means == "eos" {
        let id = match &config["eos_id"] {
            Value::Null => json!(2),
            id => id.clone(),
        };
        claims.say("text_cfg.eos_id", &field("eos_id"), &id, id.clone())
    }
    Ok(())
}

/// `open_clip.transform.PreprocessCfg`.
fn picture(config: &Value) -> Result<Picture, String> {
    let mut picture = match config {
        Value::Null => return Ok(Picture::default()),
        config => Picture::read(config)?,
    };
    read(
        config,
        "preprocess_cfg.",
        "",
        &[PREPROCESS, NOTES],
        &mut Claims::default(),
    )?;
    if !config["size"].is_null() {
        picture.size = Some(side("preprocess_cfg.size", &config["size"])?)
    }
    let fill = &config["fill_color"];
    picture.fill = match fill {
        Value::Null => Some([0; 3]),
        fill => match (
            fill.as_u64().and_then(|v| u8::try_from(v).ok()),
            serde_json::from_value(fill.clone()),
        ) {
            (Some(grey), _) => Some([grey; 3]),
            (None, Ok(colour)) => Some(colour),
            _ => {
                return Err(format!(
                    "preprocess_cfg.fill_color = {fill} is no colour: a number up to 255, or three"
                ));
            }
        },
    };
    Ok(picture)
}
