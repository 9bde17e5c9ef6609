//! The tensors of one model of a file, without what stands before their keys.

use super::choice::{self, Chosen, choose};
use super::keys::Naming;
use super::roots::{self, Root};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names that a message lists.
const SHOWN: usize = 6;

/// One model of a file.
pub(super) struct Unwrapped {
    pub naming: Naming,
    /// Number and key of each of its tensors.
    pub tensors: Vec<(usize, String)>,
    /// The way to it, where the file has several models.
    pub label: Option<String>,
    /// What a person should know of the choice.
    pub remarks: Vec<String>,
    /// Two tensors have this key.
    pub twice: Vec<String>,
}

/// Why there is no model to take.
pub(super) enum Refused {
    /// Nothing is known.
    Unknown,
    /// For this reason.
    Because(String),
}

/// The model called `asked`, or the one that is taken without being asked, of the tensors `names`. `same` tells
/// whether two lists of tensors hold the very same numbers, and `file` is how a person calls the file.
pub(super) fn unwrap(
    names: &[(&[String], &str)],
    asked: Option<&str>,
    file: &str,
    same: impl Fn(&[usize], &[usize]) -> bool,
) -> Result<Unwrapped, Refused> {
    let roots = roots::find(names);
    if roots.is_empty() {
        return Err(Refused::Unknown);
    }
    let of: Vec<Vec<(usize, String)>> = owned(names, &roots);
    let numbers = |i: usize| of[i].iter().map(|(n, _)| *n).collect::<Vec<_>>();
    let argument = |root: &Root| {
        format!(
            "load_with(\"{file}\", json!({{\"weights\": \"{}\"}}))",
            root.label()
        )
    };
    let labels = |roots: &mut dyn Iterator<Item = &Root>| {
        let labels: Vec<_> = roots.map(named).collect();
        labels.join(", ")
    };
    let equal = |a: usize, b: usize| same(&numbers(a), &numbers(b));
    let chosen = match choose(&roots, asked, equal) {
        Chosen::One(i) => i,
        Chosen::None => {
            let asked = asked.unwrap_or("");
            let reason = format!(
                "it has no weights called \"{asked}\"; it has {}",
                labels(&mut roots.iter())
            );
            return Err(Refused::Because(reason));
        }
        Chosen::Several(several) => {
            let first = &roots[several[0]];
            let reason = format!(
                "it holds several models, {}; say which: {}",
                labels(&mut several.iter().map(|i| &roots[*i])),
                argument(first)
            );
            return Err(Refused::Because(reason));
        }
    };
    let root = &roots[chosen];
    let mut others: Vec<usize> = (0..roots.len())
        .filter(|i| *i != chosen && !equal(*i, chosen))
        .collect();
    others.dedup();
    let mut remarks = Vec::new();
    let rest = outside(names, root, &of);
    if asked.is_none() && root.is_trunk() && !rest.is_empty() {
        let reason = format!(
            "it is an open_clip model on a timm image tower, which is not built; the tower alone is loaded by its timm name, or by {}",
            argument(root)
        );
        return Err(Refused::Because(reason));
    }
    if let (Some(other), None) = (others.first(), asked) {
        remarks.push(format!(
            "the weights {} are taken ({}); it also has {}: {} takes those",
            named(root),
            choice::reason(root),
            labels(&mut others.iter().map(|i| &roots[*i])),
            argument(&roots[*other])
        ))
    }
    if !rest.is_empty() {
        let shown: Vec<_> = rest.iter().take(SHOWN).copied().collect();
        let more = if rest.len() > SHOWN { ", ..." } else { "" };
        remarks.push(format!(
            "{} tensors that are not behind \"{}\" are left out: {}{more}",
            rest.len(),
            root.wrapper,
            shown.join(", ")
        ))
    }
    let label = (!others.is_empty()).then(|| root.label());
    let mut unwrapped = keyed(names, root, of[chosen].clone());
    unwrapped.label = label;
    unwrapped.remarks = remarks;
    Ok(unwrapped)
}

/// The label of `root` as a message has it.
fn named(root: &Root) -> String {
    match root.label().as_str() {
        "" => "\"\" (at the top of the file)".into(),
        label => format!("\"{label}\""),
    }
}

/// The tensors of each root: those behind its wrapper, but for those of a root further in.
fn owned(names: &[(&[String], &str)], roots: &[Root]) -> Vec<Vec<(usize, String)>> {
    let mut of = vec![Vec::new(); roots.len()];
    for (n, (entry, key)) in names.iter().enumerate() {
        let inner = roots
            .iter()
            .enumerate()
            .filter_map(|(i, root)| Some((i, root.inner(entry, key)?)));
        if let Some((i, key)) = inner.min_by_key(|(_, key)| key.len()) {
            of[i].push((n, key))
        }
    }
    of
}

/// The keys of the dictionary of `root` that are of no model.
fn outside<'a>(
    names: &[(&[String], &'a str)],
    root: &Root,
    of: &[Vec<(usize, String)>],
) -> Vec<&'a str> {
    let owned: BTreeSet<usize> = of.iter().flatten().map(|(n, _)| *n).collect();
    let rest = names.iter().enumerate();
    let rest = rest.filter(|(n, (entry, _))| *entry == root.entry && !owned.contains(n));
    rest.map(|(_, (_, key))| *key).collect()
}

/// `tensors` of `root` by keys of one model: blocks that are in chunks have one number, as DINOv2 trains them.
fn keyed(names: &[(&[String], &str)], root: &Root, tensors: Vec<(usize, String)>) -> Unwrapped {
    let chunks = Chunks::of(tensors.iter().map(|(_, key)| key.as_str()));
    let (mut origins, mut twice) = (BTreeMap::new(), Vec::new());
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for (n, inner) in tensors {
        let key = chunks.flat(&inner).unwrap_or(inner);
        let file = names[n].1;
        if !seen.insert(key.clone()) {
            twice.push(file.to_string());
            continue;
        }
        if file.strip_prefix(root.wrapper.as_str()) != Some(&key) {
            origins.insert(key.clone(), file.to_string());
        }
        kept.push((n, key))
    }
    Unwrapped {
        naming: Naming {
            format: root.format,
            wrapper: root.wrapper.clone().into(),
            prefix: root.prefix,
            origins: Arc::new(origins),
        },
        tensors: kept,
        label: None,
        remarks: Vec::new(),
        twice,
    }
}

/// `blocks.0.5.norm1.weight`: a block in a chunk (`BlockChunk` of DINOv2's training, which fills a chunk with empty
/// places, so that a block keeps its number; where it does not, chunks follow each other).
struct Chunks {
    /// The number of the first block of each chunk less that of its first key.
    offsets: BTreeMap<usize, usize>,
}

impl Chunks {
    fn of<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        let mut chunks: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (chunk, block, _) in keys.filter_map(chunked) {
            chunks.entry(chunk).or_default().insert(block);
        }
        let blocks: usize = chunks.values().map(BTreeSet::len).sum();
        let apart: BTreeSet<_> = chunks.values().flatten().collect();
        let mut before = 0;
        let offsets = chunks.iter().map(|(chunk, of)| {
            let offset = if apart.len() == blocks { 0 } else { before };
            before += of.last().map_or(0, |last| last + 1);
            (*chunk, offset)
        });
        Self {
            offsets: offsets.collect(),
        }
    }

    fn flat(&self, key: &str) -> Option<String> {
        let (chunk, block, rest) = chunked(key)?;
        Some(format!(
            "blocks.{}.{rest}",
            self.offsets.get(&chunk)? + block
        ))
    }
}

/// Chunk, block and rest of the key of a block in a chunk.
fn chunked(key: &str) -> Option<(usize, usize, &str)> {
    let (chunk, rest) = key.strip_prefix("blocks.")?.split_once('.')?;
    let (block, rest) = rest.split_once('.')?;
    Some((chunk.parse().ok()?, block.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_chunks_have_one_number() {
        let flat = |keys: &[&str]| {
            let chunks = Chunks::of(keys.iter().copied());
            keys.iter()
                .map(|key| chunks.flat(key).unwrap_or(key.to_string()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            flat(&[
                "blocks.0.0.a",
                "blocks.0.1.a",
                "blocks.1.2.a",
                "blocks.1.3.a",
                "norm.a"
            ]),
            [
                "blocks.0.a",
                "blocks.1.a",
                "blocks.2.a",
                "blocks.3.a",
                "norm.a"
            ]
        );
        assert_eq!(
            flat(&[
                "blocks.0.0.a",
                "blocks.0.1.a",
                "blocks.1.0.a",
                "blocks.1.1.a"
            ]),
            ["blocks.0.a", "blocks.1.a", "blocks.2.a", "blocks.3.a"]
        );
        assert_eq!(
            flat(&["blocks.0.a", "layers.0.blocks.1.2"]),
            ["blocks.0.a", "layers.0.blocks.1.2"]
        );
    }

    #[test]
    fn wrappers_of_any_order_and_depth_come_off_and_are_known_again() {
        let keys = [
            "a._orig_mod.module.net.vit.patch_embed.proj.weight",
            "a._orig_mod.module.net.vit.blocks.0._checkpoint_wrapped_module.norm1.weight",
            "a._orig_mod.module.net.vit.norm.weight",
            "a._orig_mod.module.head.weight",
        ];
        let names: Vec<(&[String], &str)> = keys.iter().map(|key| (&[][..], *key)).collect();
        let Ok(model) = unwrap(&names, None, "f", |_, _| false) else {
            panic!("there is a model")
        };
        let found: Vec<_> = model.tensors.iter().map(|(_, key)| key.as_str()).collect();
        assert_eq!(
            found,
            [
                "patch_embed.proj.weight",
                "blocks.0.norm1.weight",
                "norm.weight"
            ]
        );
        for (name, key) in found.iter().zip(keys) {
            assert_eq!(model.naming.to_file(name)[0].0, key);
        }
        assert_eq!(model.remarks.len(), 1);
        assert!(
            model.remarks[0].contains("a._orig_mod.module.head.weight"),
            "{:?}",
            model.remarks
        );
    }
}
