//! timm's names, which are the house's: only what older files call otherwise is in the tables.

use super::Format;
use super::rule::{Reshape, Rule, same, with};
use super::transformers::{DISTILLED, SWIGLU};

/// timm as it is now, and what files of every age hold besides the weights.
pub const TIMM: Format = Format {
    name: "timm",
    prefixes: &[],
    signatures: &[],
    tables: &[RENAMED],
    outside: &[],
    ignored: IGNORED,
    refused: REFUSED,
};

/// timm's Swin before its version 0.9, and Microsoft's own files: patch merging ends a stage, and the head is plain.
pub const OLD_SWIN: Format = Format {
    name: "timm Swin before 0.9",
    prefixes: &[],
    signatures: &[
        "layers.0.downsample.reduction.weight",
        "patch_embed.proj.weight",
    ],
    tables: &[OLD_SWIN_WHOLE],
    outside: &[],
    ignored: IGNORED,
    refused: REFUSED,
};

/// Biases of queries and values apart, and none for keys (BEiT's and EVA's blocks, timm `qkv_bias` with `q_bias`).
pub const QV_BIAS: Format = Format {
    name: "timm with q_bias and v_bias",
    prefixes: &[],
    signatures: &[
        "blocks.0.attn.q_bias",
        "blocks.0.attn.v_bias",
        "patch_embed.proj.weight",
    ],
    tables: &[RENAMED, BIASES, GAMMA],
    outside: &[],
    ignored: IGNORED,
    refused: REFUSED,
};

/// LayerScale as DeiT III's own files name it.
pub const DEIT3: Format = Format {
    name: "DeiT III",
    prefixes: &[],
    signatures: &["blocks.0.gamma_1", "patch_embed.proj.weight"],
    tables: &[RENAMED, GAMMA],
    outside: &[],
    ignored: IGNORED,
    refused: REFUSED,
};

const GAMMA: &[Rule] = &[
    same("blocks.*.gamma_1", "blocks.*.ls1.gamma"),
    same("blocks.*.gamma_2", "blocks.*.ls2.gamma"),
];

const BIASES: &[Rule] = &[
    with(
        "blocks.*.attn.q_bias",
        "blocks.*.attn.qkv.bias",
        Reshape::Third(0),
    ),
    with(
        "blocks.*.attn.k_bias",
        "blocks.*.attn.qkv.bias",
        Reshape::Third(1),
    ),
    with(
        "blocks.*.attn.v_bias",
        "blocks.*.attn.qkv.bias",
        Reshape::Third(2),
    ),
];

const RENAMED: &[Rule] = &[
    // Facebook's own DINOv2 files.
    same("register_tokens", "reg_token"),
];

const OLD_SWIN_WHOLE: &[Rule] = &[
    same("layers.*.downsample.norm.*", "layers.+.downsample.norm.*"),
    same(
        "layers.*.downsample.reduction.*",
        "layers.+.downsample.reduction.*",
    ),
    same("head.weight", "head.fc.weight"),
    same("head.bias", "head.fc.bias"),
];

const IGNORED: &[&str] = &[
    "mask_token",
    // The decoder of a masked autoencoder (MAE, SimMIM).
    "decoder_pos_embed",
    "decoder_embed.*",
    "decoder_blocks.**",
    "decoder_norm.*",
    "decoder_pred.*",
    "decoder.**",
    // Heads of self-supervised training.
    "head.mlp.**",
    "head.last_layer.**",
    "head.prototypes.**",
    "dino_head.**",
    "ibot_head.**",
    "projector.**",
    "projection_head.**",
    // A layer between representation and head that timm leaves out as well.
    "pre_logits.fc.*",
    "layers.*.blocks.*.attn_mask",
    "layers.*.blocks.*.attn.relative_position_index",
    "stages.*.blocks.*.*.attn.rel_pos.relative_position_index",
    "stages.*.blocks.*.conv.*.num_batches_tracked",
    "stages.*.blocks.*.*.norm.num_batches_tracked",
    "stem.norm1.num_batches_tracked",
];

const REFUSED: &[(&str, &str)] = &[
    ("dist_token", DISTILLED),
    ("head_dist.*", DISTILLED),
    ("blocks.*.mlp.w12.*", SWIGLU),
    (
        "blocks.*.attn.q_norm.*",
        "it norms queries and keys, which is not built",
    ),
    (
        "blocks.*.attn.relative_position_bias_table",
        "its attention has relative positions (BEiT), which is not built",
    ),
    (
        "rel_pos_bias.**",
        "its attention has relative positions (BEiT), which is not built",
    ),
    (
        "blocks.*.attn.rel_pos_h",
        "its attention has relative positions (SAM, ViTDet), which is not built",
    ),
    (
        "rope.**",
        "it turns queries and keys by their positions (EVA-02, DINOv3), which is not built",
    ),
    (
        "rope_embed.**",
        "it turns queries and keys by their positions (DINOv3), which is not built",
    ),
    (
        "attn_pool.**",
        "it pools by attention (SigLIP), which is not built",
    ),
    (
        "layers.*.blocks.*.attn.logit_scale",
        "it is a Swin V2, whose attention is another",
    ),
];

/// Whether `key` is of a head of several layers, numbered as `nn.Sequential` does, that a model was trained through
/// (MoCo v3): no head of the representation.
pub(super) fn projects(key: &str) -> bool {
    let layer = key
        .strip_prefix("head.")
        .and_then(|rest| rest.split('.').next());
    layer.is_some_and(|layer| layer.parse::<u32>().is_ok())
}
