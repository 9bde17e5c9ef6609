//! timm's `config.json`: `architecture`, `model_args`, `pretrained_cfg`.
//!
//! timm makes a model with the arguments of its architecture, those of `model_args` over them, and its class's
//! defaults for the rest (`timm.models._hub._parse_model_cfg`, `create_model`).

mod fields;

use super::architectures::{Architecture, architecture};
use super::claims::Claims;
use super::field::{NOTES, read, side};
use super::{Picture, Reading};
use crate::models::overlay;
use fields::{ANY, IMPLIED, MAXVIT, PRETRAINED, ROOT, SWIN, VIT, defaults};
use serde_json::{Value, json};

pub(super) fn reading(json: &Value, family: &str) -> Result<Reading, String> {
    // Before timm 0.9 the fields of `pretrained_cfg` were at the root.
    let nested = json.get("pretrained_cfg").filter(|cfg| !cfg.is_null());
    let pretrained = nested.unwrap_or(json);
    let mut picture = Picture::read(pretrained)?;
    picture.size = input_size(&pretrained["input_size"])?;
    let mut claims = Claims::default();
    let at = if nested.is_some() {
        "pretrained_cfg."
    } else {
        ""
    };
    match nested {
        Some(nested) => {
            read(nested, at, "", &[PRETRAINED, NOTES], &mut claims)?;
            read(json, "", "", &[ROOT, NOTES], &mut claims)?;
        }
        None => read(json, "", "", &[ROOT, PRETRAINED, NOTES], &mut claims)?,
    }
    let name = json["architecture"]
        .as_str()
        .or(pretrained["architecture"].as_str());
    let Some(name) = name else {
        return Err("it has no architecture; add timm's name of the model, such as \"vit_base_patch16_224\"".into());
    };
    let of_architecture = arguments(name, family)?;
    let given = &json["model_args"];
    let table = match family {
        "vit" => VIT,
        "swin" => SWIN,
        _ => MAXVIT,
    };
    // Defaults first, the file's own last: what is said later holds.
    let implied = overlay(defaults(family), &of_architecture);
    read(
        &implied,
        &format!("architecture = \"{name}\": "),
        "",
        &[table, ANY, IMPLIED],
        &mut claims,
    )?;
    read(given, "model_args.", "", &[table, ANY], &mut claims)?;
    // A null is what is not given; only for LayerScale it is a value.
    let mut set = given.clone();
    if let Some(fields) = set.as_object_mut() {
        fields.retain(|_, value| !value.is_null())
    }
    let all = overlay(implied, &set);
    if given["init_values"].is_null() && given.get("init_values").is_some() {
        claims.say(
            "init_values",
            "model_args.init_values",
            &Value::Null,
            Value::Null,
        )
    }
    let field = |argument: &str| match given.get(argument) {
        Some(_) => format!("model_args.{argument}"),
        None => format!("architecture = \"{name}\": {argument}"),
    };
    pooling(json, &all, family, &field, &mut claims)?;
    if let Some(layer) = all["norm_layer"].as_str().filter(|layer| !layer.is_empty()) {
        match layer.replace('_', "").to_lowercase().as_str() {
            // timm's own class, not torch's.
            "layernorm" => claims.say("norm_eps", &field("norm_layer"), &json!(layer), json!(1e-6)),
            _ => {
                return Err(format!(
                    "{} = \"{layer}\" is not built, only \"layernorm\"",
                    field("norm_layer")
                ));
            }
        }
    }
    if family == "swin" {
        let window = &all["window_size"];
        let sides: Vec<_> = match window {
            Value::Array(sides) => sides.iter().collect(),
            one => vec![one],
        };
        if sides.windows(2).any(|pair| pair[0] != pair[1]) {
            let field = field("window_size");
            return Err(format!(
                "{field} = {window} is not built: one size for all windows is"
            ));
        }
        claims.say(
            "window_size",
            &field("window_size"),
            window,
            sides[0].clone(),
        )
    }
    let sizes = [
        (given, "img_size", "model_args.img_size".to_string()),
        (pretrained, "input_size", format!("{at}input_size")),
        (
            &of_architecture,
            "img_size",
            format!("architecture = \"{name}\": img_size"),
        ),
    ];
    for (object, key, field) in sizes {
        let value = &object[key];
        if !value.is_null() {
            let size = match key {
                "input_size" => picture.size.unwrap_or_default(),
                _ => side(&field, value)?,
            };
            claims.say("img_size", &field, value, json!(size));
            break;
        }
    }
    Ok(Reading { claims, picture })
}

/// The arguments of the architecture `name`, which the weights are to be of.
fn arguments(name: &str, family: &str) -> Result<Value, String> {
    let shown = format!("architecture = \"{name}\"");
    match architecture(name) {
        Architecture::Built(of, arguments) if of == family => Ok(arguments),
        Architecture::Built(of, _) => Err(format!(
            "{shown} is of the family {of}, but the weights beside it are of the family {family}: it is of another model"
        )),
        Architecture::Unbuilt(why) => Err(format!("{shown} is not built: {why}")),
        Architecture::Unknown => Err(format!(
            "{shown} is none that timm had when this was made; if it is a plain ViT, Swin or MaxViT, write the timm \
             name of such a model and its model_args, or take the file away and say with load_with what the weights do \
             not tell (num_heads, act_layer, norm_eps, mean, std, crop_pct)"
        )),
    }
}

/// `global_pool` and `fc_norm`.
fn pooling(
    json: &Value,
    all: &Value,
    family: &str,
    field: &dyn Fn(&str) -> String,
    claims: &mut Claims,
) -> Result<(), String> {
    let pool = &all["global_pool"];
    let built = if family == "vit" {
        &["token", "avg"][..]
    } else {
        &["avg"]
    };
    let shown = field("global_pool");
    let why = |field: &str, pool: &Value| {
        let why = match pool.as_str() {
            Some("max" | "avgmax") => "a maximum has no linear parts",
            Some("map") => "it pools by attention",
            Some("") => "it gives tokens, not one vector",
            _ => "timm has it not",
        };
        format!(
            "{field} = {pool} is not built ({why}), only {}; load_with's json!({{\"global_pool\": \"avg\"}}) pools \
             otherwise once the field is taken out of the file",
            built.join(" and ")
        )
    };
    if !pool.as_str().is_some_and(|pool| built.contains(&pool)) {
        return Err(why(&shown, pool));
    }
    // The root's is what the model had when it was saved; timm makes it anew without it.
    let root = &json["global_pool"];
    if !root.is_null() && root != pool {
        return Err(
            match root.as_str().is_some_and(|pool| built.contains(&pool)) {
                true => format!(
                    "global_pool = {root} at the root, but {shown} is {pool}; make them one"
                ),
                false => why("global_pool", root),
            },
        );
    }
    if family == "vit" {
        claims.say("global_pool", &shown, pool, pool.clone());
        let after = all["fc_norm"].as_bool().unwrap_or(pool == "avg");
        let norms = all["final_norm"] != json!(false);
        let (field, value) = match all["fc_norm"].is_null() {
            true => (shown, pool),
            false => (field("fc_norm"), &all["fc_norm"]),
        };
        if norms {
            claims.say(
                "fc_norm",
                &format!("{field} = {value}: fc_norm"),
                &json!(after),
                json!(after),
            )
        }
    }
    Ok(())
}

/// The side of `[channels, height, width]`.
fn input_size(value: &Value) -> Result<Option<u64>, String> {
    match value.as_array().map(Vec::as_slice) {
        None if value.is_null() => Ok(None),
        Some([channels, height, width]) if *channels == 3 && height == width && height.is_u64() => {
            Ok(height.as_u64())
        }
        _ => Err(format!(
            "input_size = {value} is not built: three channels and a square, such as [3, 224, 224], are"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration files that timm writes for its own models (`save_for_hf`).
    #[test]
    fn every_architecture_that_is_built_can_be_read() {
        let rows = include_str!("../architectures.tsv").lines().skip(1);
        let mut read = 0;
        for row in rows.map(|row| row.split('\t').collect::<Vec<_>>()) {
            let (name, family) = (row[0], row[1]);
            if family == "-" || family == "=" {
                continue;
            }
            let arguments: Value = serde_json::from_str(row[2]).unwrap();
            let pool = arguments.get("global_pool").cloned();
            let pool = pool.unwrap_or(json!(if family == "vit" { "token" } else { "avg" }));
            let file = json!({
                "architecture": name, "num_classes": 0, "num_features": 768, "global_pool": pool,
                "pretrained_cfg": {
                    "tag": "x", "custom_load": false, "input_size": [3, 224, 224], "fixed_input_size": true,
                    "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center", "mean": [0.5, 0.5, 0.5],
                    "std": [0.5, 0.5, 0.5], "num_classes": 0, "pool_size": null, "first_conv": "patch_embed.proj",
                    "classifier": "head", "license": "mit",
                },
            });
            match reading(&file, family) {
                Ok(reading) => {
                    read += 1;
                    assert_eq!(reading.claims.of("img_size"), Some(&json!(224)), "{name}");
                    let heads = if family == "maxvit" {
                        "transformer_dim_head"
                    } else {
                        "num_heads"
                    };
                    assert!(reading.claims.of(heads).is_some(), "{name}");
                }
                Err(why) => assert!(
                    why.contains("scale_") || why.contains("attn_layer"),
                    "{name}: {why}"
                ),
            }
        }
        assert!(read > 140, "{read}");
    }
}
