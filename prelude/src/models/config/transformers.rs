//! transformers' `config.json`, and with it `preprocessor_config.json`.
//!
//! What a field that is left out stands for is the default of transformers' configuration class.

use super::claims::Claims;
use super::field::{NOTES, Rule, Table, activation, read};
use super::{Reading, processor};
use serde_json::{Value, json};

use Rule::{Act, Harmless, Is, Only, Own, Side};

/// `PretrainedConfig`, which every configuration is: nothing in it is for a forward pass of these models but the
/// tokens' ids, and dropout and initialisation are for training.
const ANY: Table = &[(
    Harmless,
    &[
        "add_cross_attention",
        "architectures",
        "attention_dropout",
        "attention_probs_dropout_prob",
        "attn_implementation",
        "auto_map",
        "bad_words_ids",
        "begin_suppress_tokens",
        "bos_token_id",
        "chunk_size_feed_forward",
        "classifier_dropout",
        "cross_attention_hidden_size",
        "decoder_start_token_id",
        "diversity_penalty",
        "do_sample",
        "drop_path_rate",
        "dropout",
        "dtype",
        "early_stopping",
        "encoder_no_repeat_ngram_size",
        "encoder_stride",
        "exponential_decay_length_penalty",
        "finetuning_task",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "gradient_checkpointing",
        "hidden_dropout_prob",
        "id2label",
        "initializer_factor",
        "initializer_range",
        "is_decoder",
        "is_encoder_decoder",
        "label2id",
        "layerscale_value",
        "length_penalty",
        "max_length",
        "min_length",
        "model_type",
        "no_repeat_ngram_size",
        "num_beam_groups",
        "num_beams",
        "num_labels",
        "num_return_sequences",
        "out_features",
        "out_indices",
        "output_attentions",
        "output_hidden_states",
        "output_scores",
        "pad_token_id",
        "prefix",
        "problem_type",
        "pruned_heads",
        "remove_invalid_values",
        "repetition_penalty",
        "return_dict",
        "return_dict_in_generate",
        "sep_token_id",
        "stage_names",
        "suppress_tokens",
        "task_specific_params",
        "temperature",
        "tf_legacy_loss",
        "tie_encoder_decoder",
        "tie_word_embeddings",
        "tokenizer_class",
        "top_k",
        "top_p",
        "torch_dtype",
        "torchscript",
        "transformers_version",
        "typical_p",
        "use_bfloat16",
        "use_cache",
    ],
)];

/// `ViTConfig`, `DeiTConfig`, `ViTMSNConfig`, `ViTMAEConfig`, `Dinov2Config` and `Dinov2WithRegistersConfig`.
const VIT: Table = &[
    (Is("embed_dim"), &["hidden_size"]),
    (Is("depth"), &["num_hidden_layers"]),
    (Is("num_heads"), &["num_attention_heads"]),
    (Is("mlp_width"), &["intermediate_size"]),
    (Is("mlp_ratio"), &["mlp_ratio"]),
    (Is("qkv_bias"), &["qkv_bias"]),
    (Is("norm_eps"), &["layer_norm_eps"]),
    (Is("reg_tokens"), &["num_register_tokens"]),
    (Act("act_layer"), &["hidden_act"]),
    (Side("patch_size"), &["patch_size"]),
    (Side("img_size"), &["image_size"]),
    (Only(&["3"]), &["num_channels"]),
    (Only(&["false"]), &["use_swiglu_ffn"]),
    (
        Harmless,
        &[
            // Of the pooler, the decoder, the mask and the backbone's other outputs; z is the normed class token.
            "pooler_act",
            "pooler_output_size",
            "decoder_hidden_size",
            "decoder_intermediate_size",
            "decoder_num_attention_heads",
            "decoder_num_hidden_layers",
            "mask_ratio",
            "norm_pix_loss",
            "use_mask_token",
            "apply_layernorm",
            "reshape_hidden_states",
        ],
    ),
];

/// `SwinConfig`.
const SWIN: Table = &[
    (Is("embed_dim"), &["embed_dim"]),
    (Is("depths"), &["depths"]),
    (Is("num_heads"), &["num_heads"]),
    (Is("window_size"), &["window_size"]),
    (Is("mlp_ratio"), &["mlp_ratio"]),
    (Is("qkv_bias"), &["qkv_bias"]),
    (Is("norm_eps"), &["layer_norm_eps"]),
    (Is("num_features"), &["hidden_size"]),
    (Act("act_layer"), &["hidden_act"]),
    (Side("patch_size"), &["patch_size"]),
    (Side("img_size"), &["image_size"]),
    (Only(&["3"]), &["num_channels"]),
    (Only(&["false"]), &["use_absolute_embeddings"]),
    // Sic.
    (Only(&["true"]), &["patch_norm", "path_norm"]),
    (Harmless, &["num_layers"]),
];

/// `CLIPConfig`.
const CLIP: Table = &[
    (Is("embed_dim"), &["projection_dim"]),
    (
        Own,
        &[
            "vision_config",
            "text_config",
            "vision_config_dict",
            "text_config_dict",
        ],
    ),
    (Harmless, &["logit_scale_init_value"]),
];

/// `CLIPVisionConfig`; only towers that stand alone read their own `projection_dim`.
const CLIP_VISION: Table = &[
    (Is("width"), &["hidden_size"]),
    (Is("layers"), &["num_hidden_layers"]),
    (Is("mlp_width"), &["intermediate_size"]),
    (Is("norm_eps"), &["layer_norm_eps"]),
    (Side("patch_size"), &["patch_size"]),
    (Side("image_size"), &["image_size"]),
    (Own, &["num_attention_heads", "hidden_act"]),
    (Only(&["3"]), &["num_channels"]),
    (Harmless, &["projection_dim", "eos_token_id"]),
];

/// `CLIPTextConfig`.
const CLIP_TEXT: Table = &[
    (Is("width"), &["hidden_size"]),
    (Is("layers"), &["num_hidden_layers"]),
    (Is("mlp_width"), &["intermediate_size"]),
    (Is("norm_eps"), &["layer_norm_eps"]),
    (Is("heads"), &["num_attention_heads"]),
    (Is("vocab_size"), &["vocab_size"]),
    (Is("context_length"), &["max_position_embeddings"]),
    (Own, &["hidden_act", "eos_token_id"]),
    (Harmless, &["projection_dim"]),
];

/// Values of the classes for fields that tables turn into one of the family's.
fn defaults(kind: &str) -> Vec<(&'static str, &'static str, Value)> {
    let eps = match kind {
        "vit" | "deit" | "vit_mae" => 1e-12,
        "vit_msn" | "dinov2" | "dinov2_with_registers" => 1e-6,
        _ => 1e-5,
    };
    let patch = match kind {
        "dinov2" => 14,
        "swin" => 4,
        "clip_vision_model" => 32,
        _ => 16,
    };
    let mut all = vec![("norm_eps", "layer_norm_eps", json!(eps))];
    if kind != "clip_text_model" {
        all.push(("patch_size", "patch_size", json!(patch)));
    }
    match kind {
        "swin" => all.extend([
            ("embed_dim", "embed_dim", json!(96)),
            ("depths", "depths", json!([2, 2, 6, 2])),
            ("num_heads", "num_heads", json!([3, 6, 12, 24])),
            ("window_size", "window_size", json!(7)),
            ("mlp_ratio", "mlp_ratio", json!(4.0)),
            ("qkv_bias", "qkv_bias", json!(true)),
            ("act_layer", "hidden_act", json!("gelu")),
            ("img_size", "image_size", json!(224)),
            // Not of the configuration (`SwinEmbeddings`, `SwinPatchMerging`).
            ("embed_norm_eps", "layer_norm_eps", json!(1e-5)),
        ]),
        "clip_vision_model" => all.extend([
            ("width", "hidden_size", json!(768)),
            ("layers", "num_hidden_layers", json!(12)),
            ("mlp_width", "intermediate_size", json!(3072)),
            ("image_size", "image_size", json!(224)),
        ]),
        "clip_text_model" => all.extend([
            ("width", "hidden_size", json!(512)),
            ("layers", "num_hidden_layers", json!(12)),
            ("mlp_width", "intermediate_size", json!(2048)),
            ("heads", "num_attention_heads", json!(8)),
            ("vocab_size", "vocab_size", json!(49408)),
            ("context_length", "max_position_embeddings", json!(77)),
        ]),
        _ => {
            all.extend([
                ("embed_dim", "hidden_size", json!(768)),
                ("depth", "num_hidden_layers", json!(12)),
                ("num_heads", "num_attention_heads", json!(12)),
                ("qkv_bias", "qkv_bias", json!(true)),
                ("act_layer", "hidden_act", json!("gelu")),
                ("img_size", "image_size", json!(224)),
            ]);
            match kind.starts_with("dinov2") {
                true => all.push(("mlp_ratio", "mlp_ratio", json!(4))),
                false => all.push(("mlp_width", "intermediate_size", json!(3072))),
            }
            if kind == "dinov2_with_registers" {
                all.push(("reg_tokens", "num_register_tokens", json!(4)))
            }
        }
    }
    all
}

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
