//! Label columns: one value for each image.

use crate::{Error, Result};
use std::collections::BTreeSet;

/// One label for each image of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Index into `names`, one for each image.
    pub values: Vec<u32>,
    /// What each value is called.
    pub names: Vec<String>,
}

impl Labels {
    /// Labels by their names; the values count the different names in sorted order.
    pub fn from_names(labels: Vec<String>) -> Self {
        let names: BTreeSet<&String> = labels.iter().collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        let value = |label| names.binary_search(label).unwrap_or_default() as u32;
        Self {
            values: labels.iter().map(value).collect(),
            names,
        }
    }

    /// Class numbers without names: each is called by its digits.
    pub fn from_numbers(values: Vec<u32>) -> Self {
        let count = values.iter().max().map_or(0, |&most| most + 1);
        Self {
            values,
            names: (0..count).map(|value| value.to_string()).collect(),
        }
    }

    /// The labels of the images at `indices`.
    pub(super) fn at(&self, indices: &[usize]) -> Self {
        Self {
            values: indices.iter().map(|&i| self.values[i]).collect(),
            names: self.names.clone(),
        }
    }

    /// The value called `name`.
    pub(super) fn value(&self, name: &str) -> Option<u32> {
        let at = self.names.iter().position(|known| known == name)?;
        Some(at as u32)
    }
}

/// The set has no column of this name.
pub(super) fn no_column(set: &str, column: &str, known: &[String]) -> Error {
    let known = if known.is_empty() {
        "it has none".to_string()
    } else {
        format!("it has {}", known.join(", "))
    };
    Error::data(set, format!("there is no label \"{column}\"; {known}"))
}

/// The largest class number that is believed; beyond it a column holds something else than classes.
const MOST_CLASSES: i128 = 1_000_000;

/// `value` as a class number; `place` says where it stands.
pub(super) fn class_number(value: i128, place: impl Fn() -> String) -> Result<u32> {
    match value {
        0..MOST_CLASSES => Ok(value as u32),
        -1 => Err(Error::data(
            place(),
            "-1 stands for an unknown label; take a split that is labelled",
        )),
        _ => Err(Error::data(
            place(),
            format!("{value} is no class number (0 to {})", MOST_CLASSES - 1),
        )),
    }
}
