//! What contributions were made of, and whether two values are about the same components.

use super::{Component, DecomposeOptions, Granularity};
use crate::identity::{ImagesId, ModelId};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What contributions, and all that is made of them, were made of: a model's weights, what of it was decomposed and how,
/// and the images.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub model: ModelId,
    pub options: DecomposeOptions,
    pub images: ImagesId,
}

impl Origin {
    /// Why the components of the two do not mean the same; none when they do. The images may differ.
    ///
    /// Source tokens are kept beside the heads and do not change them, so [`Granularity::Heads`] and
    /// [`Granularity::Tokens`] agree.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if let Some(reason) = self.model.difference(&other.model) {
            return Some(reason);
        }
        let (a, b) = (&self.options, &other.options);
        let heads = |granularity| match granularity {
            Granularity::Tokens => Granularity::Heads,
            other => other,
        };
        let first = |options: &DecomposeOptions| match options.first_block {
            Some(block) => block.to_string(),
            None => "the first".to_string(),
        };
        let pairs = [
            (
                "granularity",
                format!("{:?}", heads(a.granularity)),
                format!("{:?}", heads(b.granularity)),
            ),
            (
                "sharing",
                format!("{:?}", a.sharing),
                format!("{:?}", b.sharing),
            ),
            (
                "target",
                format!("{:?}", a.target),
                format!("{:?}", b.target),
            ),
            ("first block", first(a), first(b)),
        ];
        let differ = pairs.into_iter().find(|(_, a, b)| a != b)?;
        let (name, a, b) = differ;
        Some(format!("the options differ ({name}: {a} and {b})"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.model, self.images)
    }
}

/// One of two values that are used together: what it is called, its components where they are known, and what it was
/// made of where that is known.
#[derive(Debug)]
pub(crate) struct Side<'a> {
    pub what: &'a str,
    pub components: Option<&'a [Component]>,
    pub origin: Option<&'a Origin>,
    /// Of how many components these are a part, where they are not all.
    pub part_of: Option<usize>,
}

impl fmt::Display for Side<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.origin, self.components) {
            (Some(origin), _) => write!(f, "{} of {}", self.what, origin.model),
            (None, Some(components)) => write!(
                f,
                "{} of unknown origin ({} components)",
                self.what,
                components.len()
            ),
            (None, None) => write!(f, "{} of unknown origin", self.what),
        }
    }
}

/// Refuses two values whose components do not mean the same, or of which one is a part of the components only. Where the
/// origin of one is unknown, the names of the components decide.
pub(crate) fn same_components(
    doing: &'static str,
    one: Side,
    other: Side,
    remedy: &str,
) -> Result<()> {
    for side in [&one, &other] {
        if let (Some(all), Some(components)) = (side.part_of, side.components) {
            return Err(Error::argument(
                "components",
                format!("{} of {all}", components.len()),
                format!(
                    "{doing} takes all {all} components of the decomposition; select from what comes of it"
                ),
            ));
        }
    }
    let reason = match (one.origin, other.origin) {
        (Some(a), Some(b)) => a.difference(b),
        _ => None,
    };
    let reason = reason.or_else(|| names_differ(one.components?, other.components?));
    match reason {
        Some(reason) => Err(unrelated(doing, &one, &other, reason, remedy)),
        None => Ok(()),
    }
}

/// Refuses two values that are not about the same images, where both are known.
pub(crate) fn same_images(
    doing: &'static str,
    one: (&str, Option<&ImagesId>),
    other: (&str, Option<&ImagesId>),
    remedy: &str,
) -> Result<()> {
    let ((what_a, Some(a)), (what_b, Some(b))) = (one, other) else {
        return Ok(());
    };
    match a.difference(b) {
        Some(reason) => Err(unrelated(
            doing,
            &format!("{what_a} of {}", a.set),
            &format!("{what_b} of {}", b.set),
            reason,
            remedy,
        )),
        None => Ok(()),
    }
}

pub(crate) fn unrelated(
    doing: &'static str,
    one: &impl ToString,
    other: &impl ToString,
    reason: String,
    remedy: &str,
) -> Error {
    Error::Mismatch {
        doing,
        one: one.to_string(),
        other: other.to_string(),
        reason,
        remedy: remedy.to_string(),
    }
}

fn names_differ(a: &[Component], b: &[Component]) -> Option<String> {
    if a.len() != b.len() {
        return Some(format!("{} and {} components", a.len(), b.len()));
    }
    let i = (0..a.len()).find(|&i| a[i] != b[i])?;
    Some(format!(
        "component {i} is \"{}\" in one and \"{}\" in the other",
        a[i], b[i]
    ))
}
