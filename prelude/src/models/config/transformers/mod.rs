//! transformers' `config.json`, and with it `preprocessor_config.json`.
//!
//! What a field that is left out stands for is the default of transformers' configuration class.

mod fields;

use super::claims::Claims;
use super::field::{NOTES, activation, read};
use super::{Reading, processor};
use fields::{ANY, CLIP, CLIP_TEXT, CLIP_VISION, SWIN, VIT, defaults};
use serde_json::{Value, json};

/// The kinds of models that are built, and their family.
const KINDS: [(&str, &str); 8] = [
    ("vit", "vit"),
    ("deit", "vit"),
    ("vit_mae", "vit"),
    ("vit_msn", "vit"),
    ("dinov2", "vit"),
    ("dinov2_with_registers", "vit"),
    ("swin", "swin"),
    ("clip", "clip"),
];

pub(super) fn reading(
    json: &Value,
    processor: Option<&Value>,
    family: &str,
) -> Result<Reading, String> {
    let kind = json["model_type"].as_str().unwrap_or_default();
    let shown = format!("model_type = {}", json["model_type"]);
    match KINDS.iter().find(|(known, _)| *known == kind) {
        Some((_, of)) if *of == family => {}
        Some((_, of)) => {
            return Err(format!(
                "{shown} is of the family {of}, but the weights beside it are of the family {family}: it is of another model"
            ));
        }
        None => {
            let known: Vec<_> = KINDS.iter().map(|(known, _)| *known).collect();
            return Err(format!("{shown} is not built, only {}", known.join(", ")));
        }
    }
    let mut claims = Claims::default();
    match family {
        "clip" => clip(json, &mut claims)?,
        _ => {
            let table = if family == "swin" { SWIN } else { VIT };
            read(json, "", "", &[table, ANY, NOTES], &mut claims)?;
            for (house, field, value) in defaults(kind) {
                claims.otherwise(house, field, value)
            }
            if family == "vit" {
                // What the kind of model has, whatever the fields.
                let kind = &json["model_type"];
                let scaled = kind.as_str().is_some_and(|kind| kind.starts_with("dinov2"));
                let means = if scaled { json!(1.) } else { Value::Null };
                claims.say("init_values", "model_type", kind, means);
                claims.say("class_token", "model_type", kind, json!(true));
                if json["num_register_tokens"].is_null() && kind != "dinov2_with_registers" {
                    claims.say("reg_tokens", "model_type", kind, json!(0))
                }
            }
        }
    }
    let picture = prepared(processor, kind)?.picture;
    Ok(Reading { claims, picture })
}

/// What the processor alone says, of a model of `kind`.
pub(super) fn prepared(processor: Option<&Value>, kind: &str) -> Result<Reading, String> {
    let picture = processor
        .map(|file| processor::picture(file, kind))
        .transpose();
    let picture = picture.map_err(|reason| format!("{}: {reason}", processor::NAME))?;
    Ok(Reading {
        picture: picture.unwrap_or_default(),
        ..Reading::default()
    })
}

fn clip(json: &Value, claims: &mut Claims) -> Result<(), String> {
    read(json, "", "", &[CLIP, ANY, NOTES], claims)?;
    claims.otherwise("embed_dim", "projection_dim", json!(512));
    let mut acts = Vec::new();
    for (tower, house, kind, table) in [
        (
            "vision_config",
            "vision_cfg",
            "clip_vision_model",
            CLIP_VISION,
        ),
        ("text_config", "text_cfg", "clip_text_model", CLIP_TEXT),
    ] {
        // Old files have the tower twice, and transformers takes this one whole (`CLIPConfig.__init__`).
        let old = format!("{tower}_dict");
        let (tower, config) = match &json[&old] {
            Value::Object(_) => (old.as_str(), &json[&old]),
            _ => (tower, &json[tower]),
        };
        let (at, inner) = (format!("{tower}."), format!("{house}."));
        read(config, &at, &inner, &[table, ANY, NOTES], claims)?;
        for (name, field, value) in defaults(kind) {
            claims.otherwise(&format!("{inner}{name}"), &format!("{at}{field}"), value)
        }
        let field = format!("{at}hidden_act");
        let act = &config["hidden_act"];
        // transformers' default; its CLIPs of other origin say otherwise.
        let name = act.as_str().unwrap_or("quick_gelu");
        let Some(built) = activation(name) else {
            return Err(format!(
                "{field} = {act} is not built; gelu, gelu_tanh, quick_gelu, relu and silu are"
            ));
        };
        acts.push((
            format!("{inner}act_layer"),
            field,
            json!(name),
            json!(built),
        ));
    }
    match (acts[0].3.as_str(), acts[1].3.as_str()) {
        // open_clip's name for it, which a person may turn over.
        (Some(one @ ("gelu" | "quick_gelu")), Some(other)) if one == other => claims.say(
            "quick_gelu",
            &acts[0].1,
            &acts[0].2,
            json!(one == "quick_gelu"),
        ),
        _ => {
            for (house, field, value, act) in acts {
                claims.say(&house, &field, &value, act)
            }
        }
    }
    heads(json, claims)?;
    end(json, claims)
}

/// open_clip has channels of a head where transformers has heads.
fn heads(json: &Value, claims: &mut Claims) -> Result<(), String> {
    let tower = if json["vision_config_dict"].is_object() {
        "vision_config_dict"
    } else {
        "vision_config"
    };
    let config = &json[tower];
    let field = format!("{tower}.num_attention_heads");
    let heads = match &config["num_attention_heads"] {
        Value::Null => json!(12),
        given => given.clone(),
    };
    let width = claims
        .of("vision_cfg.width")
        .and_then(Value::as_u64)
        .unwrap_or(768);
    match heads.as_u64() {
        Some(n) if n > 0 && width.is_multiple_of(n) => {
            claims.say("vision_cfg.head_width", &field, &heads, json!(width / n));
            Ok(())
        }
        _ => Err(format!(
            "{field} = {heads} does not divide the width {width}"
        )),
    }
}

/// Where a text is read out: at its end token, whose id was once 2 by mistake; transformers takes the highest id then
/// (`CLIPTextTransformer.forward`).
fn end(json: &Value, claims: &mut Claims) -> Result<(), String> {
    let tower = if json["text_config_dict"].is_object() {
        "text_config_dict"
    } else {
        "text_config"
    };
    let field = format!("{tower}.eos_token_id");
    let given = &json[tower]["eos_token_id"];
    let id = match given {
        Value::Null => 49407,
        given => given
            .as_u64()
            .ok_or_else(|| format!("{field} = {given} is not built: one id is"))?,
    };
    let how = if id == 2 { "argmax" } else { "eos" };
    claims.say("text_cfg.pool_type", &field, given, json!(how));
    if id != 2 {
        claims.say("text_cfg.eos_id", &field, &json!(id), json!(id))
    }
    Ok(())
}
