//! The fields of transformers' configuration classes, and their defaults.

use crate::models::config::field::{Rule, Table};
use serde_json::{Value, json};

use Rule::{Act, Harmless, Is, Only, Own, Side};

/// `PretrainedConfig`, which every configuration is: nothing in it is for a forward pass of these models but the
/// tokens' ids, and dropout and initialisation are for training.
pub(super) const ANY: Table = &[(
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
pub(super) const VIT: Table = &[
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
pub(super) const SWIN: Table = &[
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
pub(super) const CLIP: Table = &[
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
pub(super) const CLIP_VISION: Table = &[
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
pub(super) const CLIP_TEXT: Table = &[
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
pub(super) fn defaults(kind: &str) -> Vec<(&'static str, &'static str, Value)> {
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
