//! Names of `state_dict()` in version 5 of the transformers library (`save_pretrained` still writes those of version
//! 4): queries, keys, values and output of an attention side by side, an MLP's layers as timm's.

use super::Format;
use super::rule::{Reshape, Rule, same, with};
use super::transformers::{PATCH, POOLER, SWIGLU, SWIN_WHOLE, TOKENS, VIT_IGNORED, VIT_REFUSED};

/// `ViTModel`, `ViTForImageClassification`, `DeiTModel` without distillation.
pub const VIT: Format = Format {
    name: "transformers 5 ViT",
    prefixes: &["vit.", "deit.", ""],
    signatures: &[PATCH, "layers.0.layernorm_before.weight"],
    tables: &[TOKENS, VIT_BLOCK],
    outside: &[same("classifier.*", "head.*")],
    ignored: VIT_IGNORED,
    refused: VIT_REFUSED,
};

/// `Dinov2Model` and `Dinov2WithRegistersModel`.
pub const DINOV2: Format = Format {
    name: "transformers 5 DINOv2",
    prefixes: &["dinov2.", "dinov2_with_registers.", ""],
    signatures: &[PATCH, "encoder.layer.0.attention.q_proj.weight"],
    tables: &[TOKENS, DINOV2_BLOCK],
    outside: &[],
    ignored: &["embeddings.mask_token", "classifier.*", POOLER],
    refused: &[("encoder.layer.*.mlp.weights_in.*", SWIGLU)],
};

/// `SwinModel` and `SwinForImageClassification`.
pub const SWIN: Format = Format {
    name: "transformers 5 Swin",
    prefixes: &["swin.", ""],
    signatures: &[PATCH, "encoder.layers.0.blocks.0.attention.q_proj.weight"],
    tables: &[SWIN_WHOLE, SWIN_BLOCK],
    outside: &[same("classifier.*", "head.fc.*")],
    ignored: &["embeddings.mask_token", "decoder.**"],
    refused: &[],
};

macro_rules! block {
    ($file:literal, $house:literal; $($from:literal => $to:literal $reshape:expr;)*) => {
        &[
            with(concat!($file, ".attention.q_proj.*"), concat!($house, ".attn.qkv.*"), Reshape::Third(0)),
            with(concat!($file, ".attention.k_proj.*"), concat!($house, ".attn.qkv.*"), Reshape::Third(1)),
            with(concat!($file, ".attention.v_proj.*"), concat!($house, ".attn.qkv.*"), Reshape::Third(2)),
            same(concat!($file, ".attention.o_proj.*"), concat!($house, ".attn.proj.*")),
            same(concat!($file, ".mlp.fc1.*"), concat!($house, ".mlp.fc1.*")),
            same(concat!($file, ".mlp.fc2.*"), concat!($house, ".mlp.fc2.*")),
            $(with(concat!($file, ".", $from), concat!($house, ".", $to), $reshape),)*
        ]
    };
}

const VIT_BLOCK: &[Rule] = block! { "layers.*", "blocks.*";
    "layernorm_before.*" => "norm1.*" Reshape::Same;
    "layernorm_after.*" => "norm2.*" Reshape::Same;
};

const DINOV2_BLOCK: &[Rule] = block! { "encoder.layer.*", "blocks.*";
    "norm1.*" => "norm1.*" Reshape::Same;
    "norm2.*" => "norm2.*" Reshape::Same;
    "layer_scale1.lambda1" => "ls1.gamma" Reshape::Same;
    "layer_scale2.lambda1" => "ls2.gamma" Reshape::Same;
};

const SWIN_BLOCK: &[Rule] = block! { "encoder.layers.*.blocks.*", "layers.*.blocks.*";
    "layernorm_before.*" => "norm1.*" Reshape::Same;
    "layernorm_after.*" => "norm2.*" Reshape::Same;
    "attention.relative_position_bias.relative_position_bias_table" => "attn.relative_position_bias_table" Reshape::Same;
};
