//! Where in a file a model is: the dictionary it is in, and what stands before the keys of its tensors.
//!
//! Training code wraps a model in others (`module.`, `_orig_mod.`, `backbone.`, ...) and saves it among other things.
//! A known key is looked for behind any prefix, so that wrappers need no list.

use super::keys::{FORMATS, Format, TIMM};
use std::collections::{BTreeMap, HashSet};

/// Segments of a key that a wrapper adds anywhere in it, not only before it: DDP's and FSDP's modules, `torch.compile`,
/// checkpoints of activations, DeepSpeed.
const TRANSPARENT: [&str; 6] = [
    "module",
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_fpw_module",
    "_checkpoint_wrapped_module",
    "_forward_module",
];

/// A model in a file.
#[derive(Clone, Debug)]
pub(super) struct Root {
    /// The dictionaries it is in, from the outermost.
    pub entry: Vec<String>,
    /// What stands before its keys, as the file has it.
    pub wrapper: String,
    /// The root without transparent segments.
    plain: String,
    pub format: &'static Format,
    pub prefix: &'static str,
}

/// Whether a segment of the way to a model tells anything of it.
pub(super) fn tells(segment: &str) -> bool {
    !segment.is_empty() && !TRANSPARENT.contains(&segment)
}

/// `key` without transparent segments.
fn plain(key: &str) -> String {
    let kept: Vec<_> = (key.split('.'))
        .filter(|segment| !TRANSPARENT.contains(segment))
        .collect();
    kept.join(".")
}

/// Keys that only timm's models have, of which each is alone enough, and a CLIP's under the house's names.
const STEMS: [&str; 3] = [
    "visual_projection.weight",
    "patch_embed.proj.weight",
    "stages.0.blocks.0.attn_grid.attn.qkv.weight",
];

/// The models among tensors of these dictionaries and keys.
pub(super) fn find(names: &[(&[String], &str)]) -> Vec<Root> {
    let mut of_entry: BTreeMap<&[String], Vec<(String, &str)>> = BTreeMap::new();
    for (entry, key) in names {
        of_entry.entry(entry).or_default().push((plain(key), key))
    }
    let of_entry = of_entry.into_iter();
    of_entry
        .flat_map(|(entry, keys)| in_entry(entry, &keys))
        .collect()
}

fn in_entry(entry: &[String], keys: &[(String, &str)]) -> Vec<Root> {
    let all: HashSet<&str> = keys.iter().map(|(plain, _)| plain.as_str()).collect();
    let mut roots: Vec<Root> = Vec::new();
    let mut add = |format: &'static Format, prefix: &'static str, signatures: &[&str]| {
        let Some((first, rest)) = signatures.split_first() else {
            return;
        };
        let first = format!("{prefix}{first}");
        for (key, file) in keys {
            let Some(before) = key.strip_suffix(&first) else {
                continue;
            };
            let stands_apart = before.is_empty() || before.ends_with('.');
            let whole = rest
                .iter()
                .all(|key| all.contains(format!("{before}{prefix}{key}").as_str()));
            // A format that is tried later, or the same with less of a prefix, is the same model once more, and the
            // image tower of a CLIP is no model beside it.
            let place = format!("{before}{prefix}");
            let known = roots.iter().any(|root| {
                let known = format!("{}{}", root.plain, root.prefix);
                place == known || place == format!("{known}visual.")
            });
            if stands_apart && whole && !known {
                roots.push(Root {
                    entry: entry.to_vec(),
                    wrapper: file.strip_suffix(&first).unwrap_or(before).to_string(),
                    plain: before.to_string(),
                    format,
                    prefix,
                })
            }
        }
    };
    for format in FORMATS {
        for prefix in format.prefixes() {
            add(format, prefix, format.signatures)
        }
    }
    // A CLIP comes before the tower in it.
    add(&TIMM, "", &[STEMS[0], "visual.patch_embed.proj.weight"]);
    for stem in &STEMS[1..] {
        add(&TIMM, "", &[stem])
    }
    roots
}

impl Root {
    /// The key behind the wrapper, without transparent segments, of what the file calls `key` in `entry`.
    pub fn inner(&self, entry: &[String], key: &str) -> Option<String> {
        if entry != self.entry {
            return None;
        }
        plain(key).strip_prefix(&self.plain).map(str::to_string)
    }

    /// Whether it is the image tower of an open_clip model, whose text tower is beside it.
    pub fn is_trunk(&self) -> bool {
        self.plain.ends_with("visual.trunk.")
    }

    /// How a person names it: the way to it, without what says nothing. Empty for what is at the top of a file.
    pub fn label(&self) -> String {
        self.segments().join(".")
    }

    /// The segments of the way to it, but for what says nothing.
    pub fn segments(&self) -> Vec<&str> {
        let wrapper = self.plain.split('.');
        let all = self
            .entry
            .iter()
            .flat_map(|name| name.split('.'))
            .chain(wrapper);
        all.filter(|segment| tells(segment)).collect()
    }
}
