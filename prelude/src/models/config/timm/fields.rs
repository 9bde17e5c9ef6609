//! The fields of timm's configuration files.

use crate::models::config::field::{Rule, Table};
use serde_json::{Value, json};

use Rule::{Act, Harmless, Is, Never, Only, Own, Side};

/// The root of the file.
pub(super) const ROOT: Table = &[
    (
        Own,
        &[
            "architecture",
            "pretrained_cfg",
            "model_args",
            "global_pool",
        ],
    ),
    (Is("num_features"), &["num_features"]),
    (
        Harmless,
        &["num_classes", "label_names", "label_descriptions", "labels"],
    ),
];

/// `timm.models.PretrainedCfg`. The sizes under test are taken where timm is asked for them.
pub(super) const PRETRAINED: Table = &[
    (
        Own,
        &[
            "input_size",
            "mean",
            "std",
            "interpolation",
            "crop_pct",
            "crop_mode",
        ],
    ),
    (
        Harmless,
        &[
            "architecture",
            "classifier",
            "custom_load",
            "description",
            "file",
            "first_conv",
            "fixed_input_size",
            "hf_hub_filename",
            "hf_hub_id",
            "label_descriptions",
            "label_names",
            "label_offset",
            "license",
            "min_input_size",
            "notes",
            "num_classes",
            "origin_url",
            "paper_ids",
            "paper_name",
            "pool_size",
            "source",
            "state_dict",
            "tag",
            "test_crop_pct",
            "test_input_size",
            "test_pool_size",
            "url",
        ],
    ),
];

/// Arguments that every class has.
pub(super) const ANY: Table = &[
    (Own, &["img_size", "num_classes", "global_pool"]),
    (Only(&["3"]), &["in_chans"]),
    (
        Harmless,
        &[
            "attn_drop_rate",
            "checkpoint_path",
            "drop",
            "drop_block_rate",
            "drop_path_rate",
            "drop_rate",
            "fix_init",
            "patch_drop_rate",
            "device",
            "dtype",
            "pos_drop_rate",
            "pretrained",
            "proj_drop_rate",
            "scriptable",
            "weight_init",
            // A model of the size it was made for computes the same.
            "dynamic_img_size",
            "strict_img_size",
        ],
    ),
];

/// `timm.models.vision_transformer.VisionTransformer`.
pub(super) const VIT: Table = &[
    (Is("embed_dim"), &["embed_dim"]),
    (Is("depth"), &["depth"]),
    (Is("num_heads"), &["num_heads"]),
    (Is("mlp_ratio"), &["mlp_ratio"]),
    (Is("qkv_bias"), &["qkv_bias"]),
    (Is("proj_bias"), &["proj_bias"]),
    (Is("init_values"), &["init_values"]),
    (Is("class_token"), &["class_token"]),
    (Is("reg_tokens"), &["reg_tokens"]),
    (Is("no_embed_class"), &["no_embed_class"]),
    (Is("pre_norm"), &["pre_norm"]),
    (Is("final_norm"), &["final_norm"]),
    (Is("pool_include_prefix"), &["pool_include_prefix"]),
    (Side("patch_size"), &["patch_size"]),
    (Act("act_layer"), &["act_layer"]),
    (Own, &["fc_norm", "norm_layer"]),
    (Only(&["\"learn\""]), &["pos_embed"]),
    (
        Only(&["false"]),
        &[
            "qk_norm",
            "scale_attn_norm",
            "scale_mlp_norm",
            "dynamic_img_pad",
            "use_naflex",
        ],
    ),
    (
        Never("only timm's own default is"),
        &[
            "attn_layer",
            "block_fn",
            "embed_layer",
            "embed_norm_layer",
            "mlp_layer",
        ],
    ),
];

/// `timm.models.swin_transformer.SwinTransformer`; the last two are of older versions.
pub(super) const SWIN: Table = &[
    (Side("patch_size"), &["patch_size"]),
    (Is("embed_dim"), &["embed_dim"]),
    (Is("depths"), &["depths"]),
    (Is("num_heads"), &["num_heads"]),
    (Is("mlp_ratio"), &["mlp_ratio"]),
    (Is("qkv_bias"), &["qkv_bias"]),
    (Own, &["window_size"]),
    (
        Never("only torch's LayerNorm is"),
        &["norm_layer", "embed_layer", "head_dim"],
    ),
    (Only(&["false"]), &["always_partition", "ape"]),
    (Only(&["true"]), &["patch_norm"]),
];

/// `timm.models.maxxvit.MaxxVit`, as its `maxvit_*_tf_*` are.
pub(super) const MAXVIT: Table = &[
    (Is("stem_width"), &["stem_width"]),
    (Is("embed_dim"), &["embed_dim"]),
    (Is("depths"), &["depths"]),
    (Is("head_hidden_size"), &["head_hidden_size"]),
    (Is("transformer_dim_head"), &["transformer_dim_head"]),
    (
        Is("transformer_partition_ratio"),
        &["transformer_partition_ratio"],
    ),
    (Is("transformer_norm_eps"), &["transformer_norm_eps"]),
    (Is("conv_norm_eps"), &["conv_norm_eps"]),
    (
        Only(&["\"gelu_tanh\""]),
        &["transformer_act_layer", "conv_act_layer"],
    ),
    (Only(&["\"bias_tf\""]), &["transformer_rel_pos_type"]),
    (Only(&["\"same\""]), &["conv_padding"]),
    (
        Only(&["true"]),
        &[
            "stem_bias",
            "transformer_shortcut_bias",
            "transformer_attn_bias",
        ],
    ),
];

/// What stands for a norm layer in the table of architectures and in [`defaults`]; timm has no such argument.
pub(super) const IMPLIED: Table = &[(Is("norm_eps"), &["norm_eps"])];

/// What the class takes where neither architecture nor `model_args` say.
pub(super) fn defaults(family: &str) -> Value {
    match family {
        "vit" => json!({
            "patch_size": 16, "embed_dim": 768, "depth": 12, "num_heads": 12, "mlp_ratio": 4.0, "qkv_bias": true,
            "proj_bias": true, "class_token": true, "reg_tokens": 0, "no_embed_class": false, "pre_norm": false,
            "final_norm": true, "norm_eps": 1e-6, "init_values": 0, "global_pool": "token",
        }),
        "swin" => json!({
            "patch_size": 4, "embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7,
            "mlp_ratio": 4.0, "qkv_bias": true, "norm_eps": 1e-5, "global_pool": "avg",
        }),
        _ => json!({"global_pool": "avg"}),
    }
}
