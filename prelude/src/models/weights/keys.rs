//! Key names of other formats, turned into the house's: timm's names for blocks, towers apart.

use candle_core::{Result, Tensor};

/// What a renamed tensor needs besides its new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reshape {
    /// As it is.
    Same,
    /// `in x out` to `out x in`.
    Transpose,
    /// Leading dimensions of 1 until there are three.
    Lead,
}

use Reshape::{Lead, Same, Transpose};

impl Reshape {
    /// From the other format's shape to the house's; none when the rank is wrong.
    pub(super) fn apply(self, tensor: Tensor) -> Result<Option<Tensor>> {
        Ok(match (self, tensor.rank()) {
            (Same, _) => Some(tensor),
            (Transpose, 2) => Some(tensor.t()?.contiguous()?),
            (Lead, rank @ 0..3) => {
                let mut dims = vec![1; 3 - rank];
                dims.extend(tensor.dims());
                Some(tensor.reshape(dims)?)
            }
            _ => None,
        })
    }

    /// From the house's shape to the other format's.
    pub fn undo(self, tensor: &Tensor) -> Result<Tensor> {
        match self {
            Same => Ok(tensor.clone()),
            Transpose => tensor.t()?.contiguous(),
            Lead => {
                let dims: Vec<_> = tensor
                    .dims()
                    .iter()
                    .copied()
                    .skip_while(|&d| d == 1)
                    .collect();
                tensor.reshape(dims)
            }
        }
    }
}

/// open_clip's names of whole tensors.
const OPEN_CLIP: &[(&str, &str, Reshape)] = &[
    ("visual.class_embedding", "visual.cls_token", Lead),
    ("visual.positional_embedding", "visual.pos_embed", Lead),
    (
        "visual.conv1.weight",
        "visual.patch_embed.proj.weight",
        Same,
    ),
    ("visual.proj", "visual_projection.weight", Transpose),
    (
        "token_embedding.weight",
        "text.token_embedding.weight",
        Same,
    ),
    ("positional_embedding", "text.positional_embedding", Same),
    ("text_projection", "text.text_projection.weight", Transpose),
    ("logit_scale", "logit_scale", Same),
];

/// open_clip's names of parts, replaced wherever they begin or occur.
const OPEN_CLIP_PARTS: &[(&str, &str)] = &[
    ("visual.transformer.resblocks.", "visual.blocks."),
    ("visual.ln_pre.", "visual.norm_pre."),
    ("visual.ln_post.", "visual.norm."),
    ("transformer.resblocks.", "text.blocks."),
    ("ln_final.", "text.ln_final."),
    (".ln_1.", ".norm1."),
    (".ln_2.", ".norm2."),
    (".attn.in_proj_", ".attn.qkv."),
    (".attn.out_proj.", ".attn.proj."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
];

/// Whether these are open_clip's names.
pub fn is_open_clip<'a>(mut keys: impl Iterator<Item = &'a str>) -> bool {
    keys.any(|key| key == "visual.conv1.weight" || key.starts_with("visual.transformer.resblocks."))
}

/// The house's name of open_clip's `key`, and how the tensor changes.
pub fn from_open_clip(key: &str) -> (String, Reshape) {
    if let Some((_, to, reshape)) = OPEN_CLIP.iter().find(|(from, ..)| *from == key) {
        return (to.to_string(), *reshape);
    }
    let mut name = key.to_string();
    for (from, to) in OPEN_CLIP_PARTS {
        let anywhere = from.starts_with('.');
        if anywhere || name.starts_with(from) {
            name = name.replacen(from, to, 1)
        }
    }
    (name, Same)
}

/// open_clip's name of the house's `name`, and how the tensor changes (`Lead` is undone by flattening).
pub fn to_open_clip(name: &str) -> (String, Reshape) {
    if let Some((from, _, reshape)) = OPEN_CLIP.iter().find(|(_, to, _)| *to == name) {
        return (from.to_string(), *reshape);
    }
    let mut key = name.to_string();
    for (from, to) in OPEN_CLIP_PARTS {
        let anywhere = from.starts_with('.');
        if anywhere || key.starts_with(to) {
            key = key.replacen(to, from, 1)
        }
    }
    (key, Same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_clip_names_there_and_back() {
        for key in [
            "visual.class_embedding",
            "visual.transformer.resblocks.3.attn.in_proj_weight",
            "visual.transformer.resblocks.3.mlp.c_proj.bias",
            "transformer.resblocks.0.ln_2.weight",
            "ln_final.bias",
            "visual.ln_post.weight",
            "text_projection",
        ] {
            let (name, reshape) = from_open_clip(key);
            assert_ne!(name, key);
            assert_eq!(to_open_clip(&name), (key.to_string(), reshape));
        }
        assert_eq!(
            from_open_clip("visual.transformer.resblocks.3.attn.in_proj_weight").0,
            "visual.blocks.3.attn.qkv.weight"
        );
        assert_eq!(
            from_open_clip("transformer.resblocks.0.ln_1.bias").0,
            "text.blocks.0.norm1.bias"
        );
    }
}
