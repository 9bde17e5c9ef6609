//! timm's names, which are the house's: only what older files call otherwise is in the tables.

use super::Format;
use super::rule::{Rule, same};
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
    signatures: &["layers.0.downsample.reduction.weight"],
    tables: &[OLD_SWIN_WHOLE],
    outside: &[],
    ignored: IGNORED,
    refused: REFUSED,
};

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
        "attn_pool.**",
        "it pools by attention (SigLIP), which is not built",
    ),
    (
        "layers.*.blocks.*.attn.logit_scale",
        "it is a Swin V2, whose attention is another",
    ),
    (
        "visual.trunk.**",
        "it is an open_clip model on a timm image tower; load the tower alone by its timm name",
    ),
];
