//! Locate, then correct: switch off the components that carry the spurious feature and strengthen those that carry the
//! core one.
//!
//! z' = z - sum over S of (c_i - mean_i) + (a - 1) sum over T of (c_i - mean_i), where S are the first components by
//! spurious less core score, T the last ones, and a > 1 a factor common to T. The sizes of S and T and the factor are
//! chosen on the validation split; with T empty it is mean ablation.
//!
//! The name and the two steps are those of Yeo et al., "Debiasing CLIP: Interpreting and Correcting Bias in Attention
//! Heads" (2025). What is done here differs: they find heads by comparing groups of images and bring text directions into
//! the target heads by projection; here scores find the components, and the target ones are multiplied by a factor.

use super::ablation::distinct;
use super::{Ablation, GroupAccuracy, Grouped, Ranked};
use crate::check;
use crate::{Error, Result};

/// Settings of [`locate_then_correct`].
#[derive(Debug, Clone, PartialEq)]
pub struct CorrectionOptions {
    /// Numbers of components to switch off; when empty, every one from 0 to half of them.
    pub off: Vec<usize>,
    /// Numbers of components to strengthen; those above the number of components whose core score is the higher one are
    /// left out.
    pub strengthened: Vec<usize>,
    /// Factors to strengthen by.
    pub factors: Vec<f64>,
}

impl Default for CorrectionOptions {
    fn default() -> Self {
        Self {
            off: Vec::new(),
            strengthened: vec![0, 1, 2, 4, 8, 16],
            factors: vec![1.5, 2.0, 3.0],
        }
    }
}

/// What was chosen.
#[derive(Clone, PartialEq)]
pub struct Correction {
    /// How many components are switched off.
    pub off: usize,
    /// How many are strengthened.
    pub strengthened: usize,
    /// By what; 1 where none is.
    pub factor: f64,
    /// The factor of every component, in the model's order: 0, 1 or `factor` ([`Ablation::predict_scaled`]).
    pub weights: Vec<f64>,
    /// The groups of the split it was chosen on.
    pub chosen_on: GroupAccuracy,
}

/// Chooses what to switch off and what to strengthen by the worst group of the images of `ablation` (then by the average,
/// then fewer strengthened, a smaller factor, fewer switched off). `order` has the components by spurious less core score
/// ([`difference`](super::difference)).
///
/// # Errors
/// Lengths that differ, a label that is no class, a number of components above what is there, no number or no factor to
/// try, a factor that is not above 1.
pub fn locate_then_correct(
    ablation: &Ablation,
    order: &[Ranked],
    images: Grouped,
    options: &CorrectionOptions,
) -> Result<Correction> {
    let n = ablation.components();
    images.check(ablation.images(), ablation.classes())?;
    let sequence: Vec<usize> = order.iter().map(|r| r.index).collect();
    check::same("order", distinct(&sequence, n)?.len(), n, "components")?;
    check::same("order", sequence.len(), n, "components")?;
    let off = super::mitigation::candidates(&options.off, n)?;
    let targets = order.iter().rev().take_while(|r| r.score < 0.0).count();
    let changes = changes(options, targets)?;

    let mut best: Option<Correction> = None;
    for (strengthened, factor) in changes {
        let mut weights = vec![1.0; n];
        sequence[n - strengthened..]
            .iter()
            .for_each(|&i| weights[i] = factor);
        let answers = ablation.predict_prefixes_of(&sequence[..n - strengthened], &weights)?;
        for &off in off.iter().filter(|off| **off + strengthened <= n) {
            let chosen_on = images.count(&answers[off])?;
            let better = best.as_ref().is_none_or(|best| {
                let of = |a: &GroupAccuracy| (a.worst(), a.average());
                of(&chosen_on) > of(&best.chosen_on)
            });
            if better {
                let mut weights = weights.clone();
                sequence[..off].iter().for_each(|&i| weights[i] = 0.0);
                best = Some(Correction {
                    off,
                    strengthened,
                    factor,
                    weights,
                    chosen_on,
                });
            }
        }
    }
    best.ok_or_else(|| {
        let expected = format!("numbers that leave some of the {n} components to strengthen");
        Error::argument("off", format!("{:?}", options.off), expected)
    })
}

/// How many components to strengthen and by what, fewest first; at most `targets` of them.
fn changes(options: &CorrectionOptions, targets: usize) -> Result<Vec<(usize, f64)>> {
    let mut numbers = options.strengthened.clone();
    numbers.sort_unstable();
    numbers.dedup();
    let mut factors = options.factors.clone();
    factors.sort_by(f64::total_cmp);
    if let Some(factor) = factors.iter().find(|f| !(f.is_finite() && **f > 1.0)) {
        return Err(Error::argument("factors", factor, "above 1, such as 2"));
    }
    let some = numbers.iter().any(|k| *k > 0);
    if numbers.is_empty() || (some && factors.is_empty()) {
        let expected = "at least one number of components, 0 among them, and one factor, such as 2";
        let given = format!("{numbers:?} by {factors:?}");
        return Err(Error::argument("strengthened", given, expected));
    }
    let each = numbers.into_iter().filter(|k| *k <= targets);
    let each = each.flat_map(|k| match k {
        0 => vec![(0, 1.0)],
        _ => factors.iter().map(|f| (k, *f)).collect(),
    });
    let each: Vec<_> = each.collect();
    match each.is_empty() {
        false => Ok(each),
        true => Err(Error::argument(
            "strengthened",
            format!("{:?}", options.strengthened),
            format!(
                "some number up to {targets}, the components whose core score is the higher one; 0 strengthens none"
            ),
        )),
    }
}
