//! open_clip's names: towers of `resblocks`, the text tower at the root.

use super::Format;
use super::rule::{Reshape, Rule, same, with};

/// As `open_clip.CLIP` names its parameters, and OpenAI's CLIP before it.
pub const OPEN_CLIP: Format = Format {
    name: "open_clip",
    prefixes: &[],
    signatures: &["visual.conv1.weight"],
    tables: &[WHOLE, VISUAL, TEXT],
    outside: &[],
    // Buffers of OpenAI's own files.
    ignored: &[
        "attn_mask",
        "input_resolution",
        "context_length",
        "vocab_size",
        // Of a sigmoid loss: it moves logits and no embedding.
        "logit_bias",
    ],
    refused: &[
        ("visual.attn_pool.**", "its image tower pools by attention"),
        ("text.transformer.**", "its text tower is a custom one"),
    ],
};

const WHOLE: &[Rule] = &[
    with("visual.class_embedding", "visual.cls_token", Reshape::Lead),
    with(
        "visual.positional_embedding",
        "visual.pos_embed",
        Reshape::Lead,
    ),
    same("visual.conv1.weight", "visual.patch_embed.proj.weight"),
    with(
        "visual.proj",
        "visual_projection.weight",
        Reshape::Transpose,
    ),
    same("visual.ln_pre.*", "visual.norm_pre.*"),
    same("visual.ln_post.*", "visual.norm.*"),
    same("token_embedding.weight", "text.token_embedding.weight"),
    same("positional_embedding", "text.positional_embedding"),
    with(
        "text_projection",
        "text.text_projection.weight",
        Reshape::Transpose,
    ),
    same("ln_final.*", "text.ln_final.*"),
    with("logit_scale", "logit_scale", Reshape::Scalar),
];

macro_rules! blocks {
    ($file:literal, $house:literal) => {
        &[
            same(concat!($file, ".*.ln_1.*"), concat!($house, ".*.norm1.*")),
            same(
                concat!($file, ".*.attn.in_proj_weight"),
                concat!($house, ".*.attn.qkv.weight"),
            ),
            same(
                concat!($file, ".*.attn.in_proj_bias"),
                concat!($house, ".*.attn.qkv.bias"),
            ),
            same(
                concat!($file, ".*.attn.out_proj.*"),
                concat!($house, ".*.attn.proj.*"),
            ),
            same(
                concat!($file, ".*.ls_1.gamma"),
                concat!($house, ".*.ls1.gamma"),
            ),
            same(concat!($file, ".*.ln_2.*"), concat!($house, ".*.norm2.*")),
            same(
                concat!($file, ".*.mlp.c_fc.*"),
                concat!($house, ".*.mlp.fc1.*"),
            ),
            same(
                concat!($file, ".*.mlp.c_proj.*"),
                concat!($house, ".*.mlp.fc2.*"),
            ),
            same(
                concat!($file, ".*.ls_2.gamma"),
                concat!($house, ".*.ls2.gamma"),
            ),
        ]
    };
}

const VISUAL: &[Rule] = blocks!("visual.transformer.resblocks", "visual.blocks");
const TEXT: &[Rule] = blocks!("transformer.resblocks", "text.blocks");
