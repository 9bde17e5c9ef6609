//! The 1000 classes and what they are called.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// WordNet id, number in the development kit (`ILSVRC2012_ID`), name in open_clip (`IMAGENET_CLASSNAMES`) and lemmas
/// in timm (`imagenet_synset_to_lemma.txt`) of each class in order.
const TABLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/imagenet.tsv"));

/// One class.
pub(super) struct Class {
    pub wnid: &'static str,
    kit: u32,
    pub name: &'static str,
    lemmas: &'static str,
}

/// In order.
pub(super) static CLASSES: LazyLock<Vec<Class>> = LazyLock::new(|| {
    let class = |line: &'static str| {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_default();
        let (wnid, kit) = (next(), next().parse().unwrap_or(0));
        Class {
            wnid,
            kit,
            name: next(),
            lemmas: next(),
        }
    };
    TABLE.lines().map(class).collect()
});

/// What a class may be called, in lower case without underscores; `None` where two classes share the name.
static KNOWN: LazyLock<HashMap<String, Option<usize>>> = LazyLock::new(|| {
    let mut known = HashMap::new();
    for (value, class) in CLASSES.iter().enumerate() {
        let lemmas = class.lemmas.split(", ").chain([class.lemmas]);
        let names: HashSet<_> = [class.wnid, class.name]
            .into_iter()
            .chain(lemmas)
            .map(plain)
            .collect();
        for name in names {
            let entry = known.entry(name).or_insert(Some(value));
            if *entry != Some(value) {
                *entry = None
            }
        }
    }
    known
});

fn plain(name: &str) -> String {
    name.trim().replace('_', " ").to_lowercase()
}

/// The class called `name`, or why there is none.
pub(super) fn class(name: &str) -> Result<usize, String> {
    if let Ok(number) = name.parse::<usize>() {
        return match CLASSES.get(number) {
            Some(_) => Ok(number),
            None => Err(format!("class {number} does not exist; they are 0 to 999")),
        };
    }
    match KNOWN.get(&plain(name)) {
        Some(Some(value)) => Ok(*value),
        Some(None) => Err(format!(
            "\"{name}\" is the name of two classes; use the WordNet id"
        )),
        None => Err(format!(
            "\"{name}\" is no class of ImageNet: neither a WordNet id such as n01440764, nor a name such as tench"
        )),
    }
}

/// A WordNet id, or a number of the development kit.
pub(super) fn kit_class(field: &str) -> Result<usize, String> {
    let Ok(kit) = field.parse::<u32>() else {
        return class(field);
    };
    match CLASSES.iter().position(|class| class.kit == kit) {
        Some(value) => Ok(value),
        None => Err(format!(
            "{kit} is no number of the development kit (1 to 1000); numbers from 0 go behind a file name"
        )),
    }
}
