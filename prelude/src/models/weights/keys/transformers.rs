//! Names of the transformers library: queries, keys and values apart, one table a family.

use super::Format;
use super::rule::{Reshape, Rule, same, with};

pub(super) const PATCH: &str = "embeddings.patch_embeddings.projection.weight";
pub(super) const POOLER: &str = "pooler.dense.*";

/// `ViTModel`, `ViTForImageClassification`, `DeiTModel` without distillation; DINO's are these too.
pub const VIT: Format = Format {
    name: "transformers ViT",
    prefixes: &["vit.", "deit.", ""],
    signatures: &[PATCH, "encoder.layer.0.layernorm_before.weight"],
    tables: &[TOKENS, ATTENTION, VIT_BLOCK],
    outside: &[same("classifier.*", "head.*")],
    ignored: VIT_IGNORED,
    refused: VIT_REFUSED,
};

/// `Dinov2Model` and `Dinov2WithRegistersModel`.
pub const DINOV2: Format = Format {
    name: "transformers DINOv2",
    prefixes: &["dinov2.", "dinov2_with_registers.", ""],
    signatures: &[PATCH, "encoder.layer.0.norm1.weight"],
    tables: &[TOKENS, ATTENTION, DINOV2_BLOCK],
    // The head of its classifiers takes class token and mean together: it is not a head of the representation.
    outside: &[],
    ignored: &["embeddings.mask_token", "classifier.*"],
    refused: &[("encoder.layer.*.mlp.weights_in.*", SWIGLU)],
};

/// `SwinModel` and `SwinForImageClassification`.
pub const SWIN: Format = Format {
    name: "transformers Swin",
    prefixes: &["swin.", ""],
    signatures: &[PATCH, "encoder.layers.0.blocks.0.layernorm_before.weight"],
    tables: &[SWIN_WHOLE, SWIN_BLOCK],
    outside: &[same("classifier.*", "head.fc.*")],
    ignored: &[
        "embeddings.mask_token",
        "decoder.**",
        "encoder.layers.*.blocks.*.attention.self.relative_position_index",
    ],
    refused: &[(
        "encoder.layers.*.blocks.*.attention.self.logit_scale",
        "it is a Swin V2, whose attention is another",
    )],
};

/// `CLIPModel`.
pub const CLIP: Format = Format {
    name: "transformers CLIP",
    prefixes: &[""],
    signatures: &[
        "vision_model.embeddings.patch_embedding.weight",
        "text_projection.weight",
    ],
    tables: &[CLIP_WHOLE, CLIP_VISION, CLIP_TEXT],
    outside: &[],
    ignored: &[
        "vision_model.embeddings.position_ids",
        "text_model.embeddings.position_ids",
        "logit_bias",
    ],
    refused: &[],
};

/// Pooling for a head of its own, and what masked autoencoders are trained with.
pub(super) const VIT_IGNORED: &[&str] = &["embeddings.mask_token", POOLER, "decoder.**"];
pub(super) const VIT_REFUSED: &[(&str, &str)] = &[
    ("embeddings.distillation_token", DISTILLED),
    ("distillation_classifier.*", DISTILLED),
];

pub(super) const DISTILLED: &str = "it is a distilled DeiT, which has a second class token; take one without, such as deit_base_patch16_224.fb_in1k";
pub(super) const SWIGLU: &str =
    "its MLPs are SwiGLU, which is not built; smaller DINOv2 models have GELU";

pub(super) const TOKENS: &[Rule] = &[
    same("embeddings.cls_token", "cls_token"),
    same("embeddings.position_embeddings", "pos_embed"),
    same("embeddings.register_tokens", "reg_token"),
    same(
        "embeddings.patch_embeddings.projection.*",
        "patch_embed.proj.*",
    ),
    same("layernorm.*", "norm.*"),
];

const ATTENTION: &[Rule] = &[
    with(
        "encoder.layer.*.attention.attention.query.*",
        "blocks.*.attn.qkv.*",
        Reshape::Third(0),
    ),
    with(
        "encoder.layer.*.attention.attention.key.*",
        "blocks.*.attn.qkv.*",
        Reshape::Third(1),
    ),
    with(
        "encoder.layer.*.attention.attention.value.*",
        "blocks.*.attn.qkv.*",
        Reshape::Third(2),
    ),
    same(
        "encoder.layer.*.attention.output.dense.*",
        "blocks.*.attn.proj.*",
    ),
];

const VIT_BLOCK: &[Rule] = &[
    same("encoder.layer.*.layernorm_before.*", "blocks.*.norm1.*"),
    same("encoder.layer.*.layernorm_after.*", "blocks.*.norm2.*"),
    same("encoder.layer.*.intermediate.dense.*", "blocks.*.mlp.fc1.*"),
    same("encoder.layer.*.output.dense.*", "blocks.*.mlp.fc2.*"),
];

const DINOV2_BLOCK: &[Rule] = &[
    same("encoder.layer.*.norm1.*", "blocks.*.norm1.*"),
    same("encoder.layer.*.norm2.*", "blocks.*.norm2.*"),
    same("encoder.layer.*.mlp.fc1.*", "blocks.*.mlp.fc1.*"),
    same("encoder.layer.*.mlp.fc2.*", "blocks.*.mlp.fc2.*"),
    same("encoder.layer.*.layer_scale1.lambda1", "blocks.*.ls1.gamma"),
    same("encoder.layer.*.layer_scale2.lambda1", "blocks.*.ls2.gamma"),
];

pub(super) const SWIN_WHOLE: &[Rule] = &[
    same(
        "embeddings.patch_embeddings.projection.*",
        "patch_embed.proj.*",
    ),
    same("embeddings.norm.*", "patch_embed.norm.*"),
    same("layernorm.*", "norm.*"),
    // Patch merging ends a stage there and begins the next one here.
    same(
        "encoder.layers.*.downsample.norm.*",
        "layers.+.downsample.norm.*",
    ),
    same(
        "encoder.layers.*.downsample.reduction.*",
        "layers.+.downsample.reduction.*",
    ),
];

macro_rules! swin {
    ($($file:literal => $house:literal $reshape:expr;)*) => {
        &[$(with(
            concat!("encoder.layers.*.blocks.*.", $file),
            concat!("layers.*.blocks.*.", $house),
            $reshape,
        )),*]
    };
}

const SWIN_BLOCK: &[Rule] = swin! {
    "layernorm_before.*" => "norm1.*" Reshape::Same;
    "attention.self.query.*" => "attn.qkv.*" Reshape::Third(0);
    "attention.self.key.*" => "attn.qkv.*" Reshape::Third(1);
    "attention.self.value.*" => "attn.qkv.*" Reshape::Third(2);
    "attention.self.relative_position_bias_table" => "attn.relative_position_bias_table" Reshape::Same;
    "attention.output.dense.*" => "attn.proj.*" Reshape::Same;
    "layernorm_after.*" => "norm2.*" Reshape::Same;
    "intermediate.dense.*" => "mlp.fc1.*" Reshape::Same;
    "output.dense.*" => "mlp.fc2.*" Reshape::Same;
};

const CLIP_WHOLE: &[Rule] = &[
    with(
        "vision_model.embeddings.class_embedding",
        "visual.cls_token",
        Reshape::Lead,
    ),
    with(
        "vision_model.embeddings.position_embedding.weight",
        "visual.pos_embed",
        Reshape::Lead,
    ),
    same(
        "vision_model.embeddings.patch_embedding.weight",
        "visual.patch_embed.proj.weight",
    ),
    // Sic.
    same("vision_model.pre_layrnorm.*", "visual.norm_pre.*"),
    same("vision_model.post_layernorm.*", "visual.norm.*"),
    same("visual_projection.weight", "visual_projection.weight"),
    same(
        "text_model.embeddings.token_embedding.weight",
        "text.token_embedding.weight",
    ),
    same(
        "text_model.embeddings.position_embedding.weight",
        "text.positional_embedding",
    ),
    same("text_model.final_layer_norm.*", "text.ln_final.*"),
    same("text_projection.weight", "text.text_projection.weight"),
    with("logit_scale", "logit_scale", Reshape::Scalar),
];

macro_rules! clip {
    ($file:literal, $house:literal) => {
        &[
            same(
                concat!($file, ".*.layer_norm1.*"),
                concat!($house, ".*.norm1.*"),
            ),
            with(
                concat!($file, ".*.self_attn.q_proj.*"),
                concat!($house, ".*.attn.qkv.*"),
                Reshape::Third(0),
            ),
            with(
                concat!($file, ".*.self_attn.k_proj.*"),
                concat!($house, ".*.attn.qkv.*"),
                Reshape::Third(1),
            ),
            with(
                concat!($file, ".*.self_attn.v_proj.*"),
                concat!($house, ".*.attn.qkv.*"),
                Reshape::Third(2),
            ),
            same(
                concat!($file, ".*.self_attn.out_proj.*"),
                concat!($house, ".*.attn.proj.*"),
            ),
            same(
                concat!($file, ".*.layer_norm2.*"),
                concat!($house, ".*.norm2.*"),
            ),
            same(
                concat!($file, ".*.mlp.fc1.*"),
                concat!($house, ".*.mlp.fc1.*"),
            ),
            same(
                concat!($file, ".*.mlp.fc2.*"),
                concat!($house, ".*.mlp.fc2.*"),
            ),
        ]
    };
}

const CLIP_VISION: &[Rule] = clip!("vision_model.encoder.layers", "visual.blocks");
const CLIP_TEXT: &[Rule] = clip!("text_model.encoder.layers", "text.blocks");
