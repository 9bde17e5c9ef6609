//! Key names of other formats, turned into the house's: timm's names, CLIP's towers apart. A format is a table of
//! renamed tensors that is read both ways, so that a fault is told in the file's own names.

mod open_clip;
mod pattern;
mod rule;
mod timm;
mod transformers;

pub use open_clip::OPEN_CLIP;
pub use rule::{Reshape, Rule};
pub use timm::{OLD_SWIN, TIMM};
pub use transformers::{
    CLIP as TRANSFORMERS_CLIP, DINOV2 as TRANSFORMERS_DINOV2, SWIN as TRANSFORMERS_SWIN,
    VIT as TRANSFORMERS_VIT,
};

use candle_core::{Result, Tensor};
use pattern::matched;
use std::collections::BTreeMap;

/// How a library names its tensors.
#[derive(Debug)]
pub struct Format {
    /// As messages call it.
    pub name: &'static str,
    /// What stands before most keys, depending on the class that was saved.
    prefixes: &'static [&'static str],
    /// Keys, behind the prefix, that only this format has together.
    signatures: &'static [&'static str],
    tables: &'static [&'static [Rule]],
    /// Rules for keys without the prefix.
    outside: &'static [Rule],
    /// Tensors that are no weights of the model, or are for its pretraining.
    ignored: &'static [&'static str],
    /// Tensors of models that are not built, and why not.
    refused: &'static [(&'static str, &'static str)],
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rule")
    }
}

/// The formats that are told by their keys; what is none of them is [`TIMM`].
pub const FORMATS: &[&Format] = &[
    &OPEN_CLIP,
    &transformers::CLIP,
    &transformers::SWIN,
    &transformers::DINOV2,
    &transformers::VIT,
    &OLD_SWIN,
];

/// What training code puts before every key of a model it wraps.
const WRAPPERS: &[&str] = &[
    "",
    "module.",
    "model.",
    "_orig_mod.",
    "backbone.",
    "module.backbone.",
    "teacher.backbone.",
];

/// What a key of a file turns into.
#[derive(Debug, PartialEq, Eq)]
pub enum Turned {
    /// A tensor of the model.
    Into(String, Reshape),
    /// Nothing: it is no weight of the model.
    Ignored,
    /// The model is of a kind that is not built, for this reason.
    Refused(&'static str),
    /// No rule is for it.
    Unknown,
}

/// A format as one file uses it.
#[derive(Clone, Copy, Debug)]
pub struct Naming {
    pub format: &'static Format,
    wrapper: &'static str,
    prefix: &'static str,
}

impl Naming {
    /// timm's names as they are.
    pub const HOUSE: Self = Self {
        format: &TIMM,
        wrapper: "",
        prefix: "",
    };

    /// The naming of a file that has the keys for which `has` is true.
    pub fn of(has: impl Fn(&str) -> bool) -> Self {
        for &wrapper in WRAPPERS {
            for &format in FORMATS {
                let prefixes = if format.prefixes.is_empty() {
                    &[""][..]
                } else {
                    format.prefixes
                };
                for &prefix in prefixes {
                    let whole = |key: &&str| has(&format!("{wrapper}{prefix}{key}"));
                    if format.signatures.iter().all(whole) {
                        return Self {
                            format,
                            wrapper,
                            prefix,
                        };
                    }
                }
            }
        }
        // timm's: whatever stands before the patch embedding or a CLIP's projection.
        let stem = [
            "patch_embed.proj.weight",
            "stem.conv1.weight",
            "visual_projection.weight",
        ];
        let wrapper = WRAPPERS
            .iter()
            .find(|wrapper| stem.iter().any(|key| has(&format!("{wrapper}{key}"))));
        Self {
            wrapper: wrapper.copied().unwrap_or(""),
            ..Self::HOUSE
        }
    }

    /// What the file's `key` turns into.
    pub fn to_house(&self, key: &str) -> Turned {
        let Some(root) = key.strip_prefix(self.wrapper) else {
            // Heads of self-supervised training beside the backbone.
            let backbone = self.wrapper.ends_with("backbone.");
            return if backbone {
                Turned::Ignored
            } else {
                Turned::Unknown
            };
        };
        let into = |rules: &'static [Rule], key: &str| {
            rules
                .iter()
                .find_map(|rule| Some(Turned::Into(rule.to_house(key)?, rule.reshape)))
        };
        let format = self.format;
        for key in [root.strip_prefix(self.prefix), Some(root)]
            .into_iter()
            .flatten()
        {
            if let Some((_, why)) = format
                .refused
                .iter()
                .find(|(p, _)| matched(p, key).is_some())
            {
                return Turned::Refused(why);
            }
            if format.ignored.iter().any(|p| matched(p, key).is_some()) {
                return Turned::Ignored;
            }
        }
        let inner = root.strip_prefix(self.prefix);
        let renamed = inner.and_then(|key| format.tables.iter().find_map(|rules| into(rules, key)));
        let renamed = renamed.or_else(|| into(format.outside, root));
        let timm = format.prefixes.is_empty() && format.name != OPEN_CLIP.name;
        match renamed {
            Some(turned) => turned,
            None if timm => Turned::Into(root.to_string(), Reshape::Same),
            None => Turned::Unknown,
        }
    }

    /// The file's keys of the house's `name`, each with its change: three where queries, keys and values are apart.
    pub fn to_file(&self, name: &str) -> Vec<(String, Reshape)> {
        let behind = |prefix: &str, rules: &[Rule]| {
            let keys = rules.iter().filter_map(|rule| {
                let key = rule.to_file(name)?;
                Some((format!("{}{prefix}{key}", self.wrapper), rule.reshape))
            });
            keys.collect::<Vec<_>>()
        };
        let tables = self.format.tables.iter();
        let mut keys: Vec<_> = tables
            .flat_map(|rules| behind(self.prefix, rules))
            .collect();
        keys.extend(behind("", self.format.outside));
        if keys.is_empty() {
            keys.push((format!("{}{name}", self.wrapper), Reshape::Same))
        }
        keys
    }

    /// Whether the class token of a model with registers has its position in the embedding of the patches: so in
    /// Facebook's and transformers' files, while timm adds it to the token.
    pub(super) fn class_has_position(&self, has: impl Fn(&str) -> bool) -> bool {
        self.to_file("reg_token")
            .iter()
            .any(|(key, _)| key.ends_with("register_tokens") && has(key))
    }
}

/// The tensors of a model, under the house's names, as `format` names them behind `prefix` (`"vit."`, or nothing).
///
/// # Errors
/// When a tensor has not the rank that its name says.
pub fn export(
    tensors: &BTreeMap<String, Tensor>,
    format: &'static Format,
    prefix: &'static str,
) -> Result<BTreeMap<String, Tensor>> {
    let naming = Naming {
        format,
        wrapper: "",
        prefix,
    };
    let mut renamed = BTreeMap::new();
    for (name, tensor) in tensors {
        for (key, reshape) in naming.to_file(name) {
            renamed.insert(key, reshape.undo(tensor)?);
        }
    }
    Ok(renamed)
}

/// open_clip's name of the house's `name`, and how the tensor changes.
pub fn to_open_clip(name: &str) -> (String, Reshape) {
    let naming = Naming {
        format: &OPEN_CLIP,
        wrapper: "",
        prefix: "",
    };
    naming.to_file(name).remove(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The naming of a file with exactly these keys.
    fn naming(keys: &[&str]) -> Naming {
        Naming::of(|key| keys.contains(&key))
    }

    #[test]
    fn names_there_and_back() {
        let clip = naming(&["visual.conv1.weight"]);
        let vit = naming(&[
            "vit.embeddings.patch_embeddings.projection.weight",
            "vit.encoder.layer.0.layernorm_before.weight",
        ]);
        let swin = naming(&["module.layers.0.downsample.reduction.weight"]);
        for (naming, key, name) in [
            (clip, "visual.class_embedding", "visual.cls_token"),
            (
                clip,
                "visual.transformer.resblocks.3.attn.in_proj_weight",
                "visual.blocks.3.attn.qkv.weight",
            ),
            (
                clip,
                "transformer.resblocks.0.ln_1.bias",
                "text.blocks.0.norm1.bias",
            ),
            (clip, "text_projection", "text.text_projection.weight"),
            (
                vit,
                "vit.encoder.layer.11.output.dense.bias",
                "blocks.11.mlp.fc2.bias",
            ),
            (
                vit,
                "vit.encoder.layer.7.attention.attention.key.bias",
                "blocks.7.attn.qkv.bias",
            ),
            (vit, "classifier.weight", "head.weight"),
            (
                swin,
                "module.layers.1.downsample.norm.bias",
                "layers.2.downsample.norm.bias",
            ),
            (
                swin,
                "module.layers.1.blocks.0.norm1.bias",
                "layers.1.blocks.0.norm1.bias",
            ),
        ] {
            let Turned::Into(turned, reshape) = naming.to_house(key) else {
                panic!("{key}: {:?}", naming.to_house(key))
            };
            assert_eq!(turned, name);
            assert!(
                naming.to_file(name).contains(&(key.to_string(), reshape)),
                "{name}"
            );
        }
        assert_eq!(clip.to_house("visual.trunk"), Turned::Unknown);
        assert_eq!(vit.to_house("vit.pooler.dense.bias"), Turned::Ignored);
    }

    #[test]
    fn wrappers_and_prefixes_are_found() {
        let dino = naming(&["module.backbone.patch_embed.proj.weight"]);
        assert_eq!(
            dino.to_house("module.backbone.cls_token"),
            Turned::Into("cls_token".into(), Reshape::Same)
        );
        assert_eq!(dino.to_house("module.head.mlp.0.weight"), Turned::Ignored);
        assert!(matches!(
            dino.to_house("module.backbone.dist_token"),
            Turned::Refused(_)
        ));
        let plain = naming(&[
            "embeddings.patch_embeddings.projection.weight",
            "encoder.layer.0.norm1.weight",
        ]);
        assert_eq!(plain.format.name, "transformers DINOv2");
    }
}
