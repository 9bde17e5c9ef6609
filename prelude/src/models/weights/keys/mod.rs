//! Key names of other formats, turned into the house's: timm's names, CLIP's towers apart. A format is a table of
//! renamed tensors that is read both ways, so that a fault is told in the file's own names.

mod open_clip;
mod pattern;
mod rule;
mod timm;
mod transformers;
mod transformers5;

pub use open_clip::OPEN_CLIP;
pub use rule::{Reshape, Rule};
pub use timm::{DEIT3, OLD_SWIN, QV_BIAS, TIMM};
pub use transformers::{
    CLIP as TRANSFORMERS_CLIP, DINOV2 as TRANSFORMERS_DINOV2, SWIN as TRANSFORMERS_SWIN,
    VIT as TRANSFORMERS_VIT,
};
pub use transformers5::{
    DINOV2 as TRANSFORMERS5_DINOV2, SWIN as TRANSFORMERS5_SWIN, VIT as TRANSFORMERS5_VIT,
};

use candle_core::{Result, Tensor};
use pattern::matched;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a library names its tensors.
#[derive(Debug)]
pub struct Format {
    /// As messages call it.
    pub name: &'static str,
    /// What stands before most keys, depending on the class that was saved.
    prefixes: &'static [&'static str],
    /// Keys, behind the prefix, that only this format has together.
    pub(super) signatures: &'static [&'static str],
    tables: &'static [&'static [Rule]],
    /// Rules for keys without the prefix.
    outside: &'static [Rule],
    /// Tensors that are no weights of the model, or are for its pretraining.
    ignored: &'static [&'static str],
    /// Tensors of models that are not built, and why not.
    refused: &'static [(&'static str, &'static str)],
}

impl Format {
    /// What may stand before its keys; nothing where nothing does.
    pub(super) fn prefixes(&self) -> &'static [&'static str] {
        match self.prefixes {
            [] => &[""],
            some => some,
        }
    }
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
    // Version 5 before 4, as it has some of the same names.
    &transformers5::SWIN,
    &transformers5::DINOV2,
    &transformers5::VIT,
    &transformers::SWIN,
    &transformers::DINOV2,
    &transformers::VIT,
    &OLD_SWIN,
    &QV_BIAS,
    &DEIT3,
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
#[derive(Clone, Debug)]
pub struct Naming {
    pub format: &'static Format,
    /// What stands before its keys in the file; it is not part of the keys here.
    pub(super) wrapper: Arc<str>,
    pub(super) prefix: &'static str,
    /// Keys that the file has otherwise than behind the wrapper, as it has them.
    pub(super) origins: Arc<BTreeMap<String, String>>,
}

impl Naming {
    /// The keys of `format` behind `prefix`, as they are.
    pub fn bare(format: &'static Format, prefix: &'static str) -> Self {
        Self {
            format,
            wrapper: "".into(),
            prefix,
            origins: Arc::default(),
        }
    }

    /// What `root`, a key behind the wrapper, turns into.
    pub fn to_house(&self, root: &str) -> Turned {
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
        if renamed.is_none() && timm && timm::projects(root) {
            return Turned::Ignored;
        }
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
                Some((self.in_file(&format!("{prefix}{key}")), rule.reshape))
            });
            keys.collect::<Vec<_>>()
        };
        let tables = self.format.tables.iter();
        let mut keys: Vec<_> = tables
            .flat_map(|rules| behind(self.prefix, rules))
            .collect();
        keys.extend(behind("", self.format.outside));
        if keys.is_empty() {
            keys.push((self.in_file(name), Reshape::Same))
        }
        keys
    }

    /// What the file calls `key`, which is without its wrapper.
    pub(super) fn in_file(&self, key: &str) -> String {
        match self.origins.get(key) {
            Some(origin) => origin.clone(),
            None => format!("{}{key}", self.wrapper),
        }
    }

    /// Whether the class token of a model with registers has its position in the embedding of the patches: so in
    /// Facebook's and transformers' files, while timm adds it to the token.
    pub(super) fn class_has_position(&self, has: impl Fn(&str) -> bool) -> bool {
        let bare = Self::bare(self.format, self.prefix);
        let keys = bare.to_file("reg_token");
        (keys.iter()).any(|(key, _)| key.ends_with("register_tokens") && has(key))
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
    let naming = Naming::bare(format, prefix);
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
    Naming::bare(&OPEN_CLIP, "").to_file(name).remove(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_there_and_back() {
        let clip = &Naming::bare(&OPEN_CLIP, "");
        let vit = &Naming::bare(&TRANSFORMERS_VIT, "vit.");
        let swin = &Naming::bare(&OLD_SWIN, "");
        let vit5 = &Naming::bare(&TRANSFORMERS5_VIT, "");
        let bias = &Naming::bare(&QV_BIAS, "");
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
                "layers.1.downsample.norm.bias",
                "layers.2.downsample.norm.bias",
            ),
            (
                swin,
                "layers.1.blocks.0.norm1.bias",
                "layers.1.blocks.0.norm1.bias",
            ),
            (
                vit5,
                "layers.3.attention.v_proj.bias",
                "blocks.3.attn.qkv.bias",
            ),
            (bias, "blocks.3.attn.v_bias", "blocks.3.attn.qkv.bias"),
            (bias, "blocks.3.attn.qkv.weight", "blocks.3.attn.qkv.weight"),
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
    fn what_is_no_weight_of_the_model_is_left_out_and_what_is_not_built_is_refused() {
        let timm = Naming::bare(&TIMM, "");
        for key in [
            "decoder_blocks.0.norm1.weight",
            "mask_token",
            "head.0.weight",
            "head.mlp.2.bias",
            "head.last_layer.weight_v",
        ] {
            assert_eq!(timm.to_house(key), Turned::Ignored, "{key}");
        }
        for key in ["dist_token", "blocks.0.attn.relative_position_bias_table"] {
            assert!(matches!(timm.to_house(key), Turned::Refused(_)), "{key}");
        }
        for key in ["head.weight", "head.fc.weight"] {
            assert!(matches!(timm.to_house(key), Turned::Into(..)), "{key}");
        }
    }
}
