//! What a model is built with although neither its weights nor a configuration say so: said when it is loaded.

use super::config::Picture;
use super::config::claims::at;
use super::{ImageEncoder, Network};
use crate::data::Preprocess;
use serde_json::{Value, json};

/// Where a model comes from, and what is said of it.
pub(super) struct Known<'a> {
    /// As `load_with` takes it.
    pub path: String,
    pub family: &'a str,
    /// Whether there is a configuration: its library's defaults are for what it leaves out.
    pub configured: bool,
    /// What is said of the network by the file, a configuration, the name or the person.
    pub network: &'a Value,
    /// What is said of how pictures are prepared.
    pub picture: &'a Picture,
}

/// One sentence for each thing that was assumed, with the argument that changes it.
pub(super) fn assumed(known: &Known, network: &Network, preprocess: &Preprocess) -> Vec<String> {
    let call = |arguments: Value| format!("load_with({:?}, json!({arguments}))", known.path);
    let silent =
        |field: &str| !known.configured && at(known.network, field).is_none_or(Value::is_null);
    let encoder = network.encoder();
    let mut all = match network {
        Network::Clip(clip) => {
            let mut all = Vec::new();
            let (c, act) = (clip.config(), encoder.anatomy().activation);
            if silent("quick_gelu") && silent("vision_cfg.act_layer") {
                let quick = call(json!({"quick_gelu": !c.quick_gelu}));
                all.push(format!(
                    "{act} is assumed; OpenAI's weights have quick_gelu: {quick}"
                ))
            }
            let (width, head) = (c.vision_cfg.width, c.vision_cfg.head_width);
            if silent("vision_cfg.head_width") {
                let other = call(json!({"vision_cfg": {"head_width": head}}));
                all.push(format!(
                    "heads for images are assumed to be {} of {head} channels: {other} changes it",
                    width / head.max(1)
                ))
            }
            if silent("text_cfg.heads") {
                let other = call(json!({"text_cfg": {"heads": c.text_cfg.heads}}));
                all.push(format!(
                    "heads for texts are assumed to be {}: {other} changes it",
                    c.text_cfg.heads
                ))
            }
            if silent("vision_cfg.norm_eps") {
                let eps = c.vision_cfg.norm_eps;
                let other =
                    call(json!({"vision_cfg": {"norm_eps": eps}, "text_cfg": {"norm_eps": eps}}));
                all.push(format!("norm eps {eps:e} is assumed: {other} changes it"))
            }
            all
        }
        Network::Image(encoder) => image(known.family, encoder.as_ref(), &silent, &call),
    };
    all.extend(picture(known, encoder, preprocess, &call));
    all.extend(size(known, encoder, &call));
    all
}

fn image(
    family: &str,
    encoder: &dyn ImageEncoder,
    silent: &dyn Fn(&str) -> bool,
    call: &dyn Fn(Value) -> String,
) -> Vec<String> {
    let anatomy = encoder.anatomy();
    let mut all = Vec::new();
    let mut say = |what: String, arguments: Value| {
        all.push(format!("{what}: {} changes it", call(arguments)));
    };
    let eps = anatomy.norm_eps;
    match family {
        "vit" => {
            if let (true, &[heads]) = (silent("num_heads"), &anatomy.heads[..]) {
                let each = encoder.width() / heads.max(1);
                say(
                    format!("heads are assumed to be {heads} of {each} channels"),
                    json!({"num_heads": heads}),
                )
            }
            if silent("act_layer") {
                let act = anatomy.activation;
                say(format!("{act} is assumed"), json!({"act_layer": act}))
            }
            if silent("norm_eps") {
                say(
                    format!("norm eps {eps:e} is assumed"),
                    json!({"norm_eps": eps}),
                )
            }
            if silent("global_pool") && anatomy.pooling == "class token" {
                say(
                    "the class token is assumed to be the representation".into(),
                    json!({"global_pool": "token"}),
                )
            }
        }
        _ => {
            if silent("img_size") {
                let size = encoder.image_size();
                say(
                    format!("images of {size} px are assumed"),
                    json!({"img_size": size}),
                )
            }
            let name = if family == "swin" {
                "norm_eps"
            } else {
                "transformer_norm_eps"
            };
            if silent(name) {
                let mut arguments = json!({});
                arguments[name] = json!(eps);
                say(format!("norm eps {eps:e} is assumed"), arguments)
            }
            if family == "swin" && silent("act_layer") && silent("norm_eps") {
                let act = anatomy.activation;
                say(format!("{act} is assumed"), json!({"act_layer": act}))
            }
        }
    }
    all
}

/// How pictures are prepared, as far as nothing says it.
fn picture(
    known: &Known,
    encoder: &dyn ImageEncoder,
    preprocess: &Preprocess,
    call: &dyn Fn(Value) -> String,
) -> Option<String> {
    let (said, mut arguments, mut what) = (known.picture, json!({}), Vec::new());
    let normalisation = encoder.normalisation();
    if said.mean.is_none() {
        arguments["mean"] = json!(normalisation.mean.map(written));
        what.push(format!("mean {:?}", normalisation.mean))
    }
    if said.std.is_none() {
        arguments["std"] = json!(normalisation.std.map(written));
        what.push(format!("std {:?}", normalisation.std))
    }
    // open_clip crops nothing whatever its files say.
    if said.crop_pct.is_none() && known.family != "clip" {
        arguments["crop_pct"] = json!(preprocess.crop);
        what.push(format!("crop_pct {}", preprocess.crop))
    }
    if said.interpolation.is_none() && known.family != "clip" {
        arguments["interpolation"] = json!(preprocess.interpolation);
        what.push(
            arguments["interpolation"]
                .as_str()
                .unwrap_or_default()
                .to_string(),
        )
    }
    (!what.is_empty()).then(|| {
        let what = what.join(", ");
        format!(
            "pictures are prepared with {what}, which is assumed: {} changes it",
            call(arguments)
        )
    })
}

/// Images of another size than the configuration prepares.
fn size(
    known: &Known,
    encoder: &dyn ImageEncoder,
    call: &dyn Fn(Value) -> String,
) -> Option<String> {
    let (prepared, size) = (known.picture.size?, encoder.image_size() as u64);
    let own = |field| at(known.network, field).is_some();
    let chosen = match known.family {
        // A file's size is held against the weights, so what is left is the person's.
        "vit" | "clip" => own("img_size") || own("vision_cfg.image_size"),
        _ => false,
    };
    if prepared == size || chosen {
        return None;
    }
    let what = format!(
        "the configuration prepares images of {prepared} px, and the model takes {size}: {size} is taken"
    );
    Some(match known.family {
        "vit" | "clip" => format!(
            "{what}; {} takes the other",
            call(json!({"img_size": prepared}))
        ),
        _ => what,
    })
}

/// The number as it is written, 0.485 and not the 0.48500001430511475 that its 32 bits are.
fn written(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(value.into())
}
