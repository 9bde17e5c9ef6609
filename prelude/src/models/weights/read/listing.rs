//! What a file holds, before any tensor is read.

use super::objects::Found;
use super::slot::Slot;
use std::collections::{BTreeMap, HashMap};

/// Entries of a file that are shown in a message.
const SHOWN: usize = 10;

/// The tensors of a file and what else there is.
#[derive(Default)]
pub(in crate::models::weights) struct Listing {
    pub(super) slots: Vec<Slot>,
    /// A safetensors header's metadata.
    pub metadata: HashMap<String, String>,
    /// Classes of whole modules that were pickled, with the way to each.
    pub(super) modules: Vec<(String, String)>,
    pub(super) others: Vec<String>,
    pub(super) class: Option<String>,
}

impl Listing {
    pub(super) fn new(slots: Vec<Slot>, found: Found) -> Self {
        Self {
            slots,
            modules: found.modules,
            others: found.others,
            class: found.class,
            ..Self::default()
        }
    }

    /// Dictionary and key of each tensor.
    pub fn names(&self) -> Vec<(&[String], &str)> {
        let names = self.slots.iter();
        names
            .map(|slot| (&*slot.entry, slot.key.as_str()))
            .collect()
    }

    /// Whether the two lists of tensors hold the very same numbers.
    pub fn same(&self, one: &[usize], other: &[usize]) -> bool {
        let place = |i: &usize| {
            let slot = &self.slots[*i];
            (slot.place.as_ref().ok(), slot.shape.as_slice())
        };
        let equal = |(a, b): (&usize, &usize)| place(a) == place(b) && place(a).0.is_some();
        one.len() == other.len() && one.iter().zip(other).all(equal)
    }

    /// The entries that are there, for messages.
    pub fn entries(&self) -> String {
        let mut of: BTreeMap<&[String], Vec<&str>> = BTreeMap::new();
        for slot in &self.slots {
            of.entry(&slot.entry).or_default().push(&slot.key)
        }
        let mut parts: Vec<String> = Vec::new();
        for (entry, keys) in &of {
            let first: Vec<_> = keys
                .iter()
                .take(3)
                .map(|key| format!("\"{key}\""))
                .collect();
            let more = if keys.len() > first.len() {
                ", ..."
            } else {
                ""
            };
            let first = format!("{}{more}", first.join(", "));
            parts.push(match entry.is_empty() {
                true => first,
                false => {
                    let tensors = if keys.len() == 1 { "tensor" } else { "tensors" };
                    format!(
                        "\"{}\" ({} {tensors}: {first})",
                        entry.join("."),
                        keys.len()
                    )
                }
            })
        }
        let more = parts.len().saturating_sub(SHOWN);
        parts.truncate(SHOWN);
        if more > 0 {
            parts.push(format!("{more} dictionaries more"))
        }
        let others: Vec<_> = (self.others.iter().take(SHOWN))
            .map(|name| format!("\"{name}\""))
            .collect();
        if !others.is_empty() {
            parts.push(format!("no tensors in {}", others.join(", ")))
        }
        match parts.is_empty() {
            true => "nothing: the file is empty".into(),
            false => parts.join("; "),
        }
    }
}
