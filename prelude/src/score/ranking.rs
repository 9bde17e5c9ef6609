//! Components in the order of their scores.

use crate::check;
use crate::decompose::{ComponentNames, Origin};
use crate::{Error, Result};
use std::ops::Deref;

/// A component and its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Its place in the stack of contributions.
    pub index: usize,
    /// Its name, such as `block 11 head 3`.
    pub name: String,
    /// Its score.
    pub score: f64,
}

/// Its name, so that ranked components can be given where names are wanted.
impl AsRef<str> for Ranked {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

/// Components in an order, and what their scores were made of: a list (`&ranking` is taken where a `&[Ranked]` is wanted).
#[derive(Clone, PartialEq)]
pub struct Ranking {
    rows: Vec<Ranked>,
    origin: Option<Origin>,
}

impl Ranking {
    pub(crate) fn of(rows: Vec<Ranked>, origin: Option<Origin>) -> Self {
        Self { rows, origin }
    }

    /// What the contributions were made of; none where they were put together by hand.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }
}

/// A list put together by hand, of unknown origin.
impl From<Vec<Ranked>> for Ranking {
    fn from(rows: Vec<Ranked>) -> Self {
        Self { rows, origin: None }
    }
}

impl ComponentNames for Ranking {
    fn patterns(&self) -> Vec<&str> {
        self.rows.iter().map(AsRef::as_ref).collect()
    }

    fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }
}

impl Deref for Ranking {
    type Target = [Ranked];

    fn deref(&self) -> &[Ranked] {
        &self.rows
    }
}

/// All components, highest score first; equal scores keep the order of the stack.
///
/// # Errors
/// As many names as scores are wanted, no score may be NaN, and not all of several may be 0, which is no order.
pub fn rank(names: &[String], scores: &[f64]) -> Result<Vec<Ranked>> {
    check::same("names", names.len(), scores.len(), "components")?;
    if let Some(i) = scores.iter().position(|s| s.is_nan()) {
        return Err(Error::argument(
            "scores",
            format!("NaN for {}", names[i]),
            "numbers; look at the contributions they came from",
        ));
    }
    if scores.len() > 1 && scores.iter().all(|s| *s == 0.0) {
        return Err(Error::argument(
            "scores",
            format!("{} times 0", scores.len()),
            "scores that differ, for there to be an order; look at the features and contributions they came from",
        ));
    }
    let mut ranked: Vec<Ranked> = names
        .iter()
        .zip(scores)
        .enumerate()
        .map(|(index, (name, &score))| Ranked {
            index,
            name: name.clone(),
            score,
        })
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(ranked)
}

/// The `k` components with the highest scores.
///
/// # Errors
/// As [`rank`]; a `k` of 0 or above the number of components.
pub fn top(names: &[String], scores: &[f64], k: usize) -> Result<Vec<Ranked>> {
    if k == 0 || k > scores.len() {
        return Err(Error::argument(
            "k",
            k,
            format!("from 1 to {}, the number of components", scores.len()),
        ));
    }
    let mut ranked = rank(names, scores)?;
    ranked.truncate(k);
    Ok(ranked)
}
