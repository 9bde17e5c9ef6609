//! Beyond switching components off: each is scaled by a weight of its own that is not negative, fitted on a validation
//! split.
//!
//! z' = z + sum over i of (w_i - 1)(c_i - mean_i), w_i >= 0: 0 is mean ablation, 1 leaves a component as it is, more
//! strengthens it. The head stays as it is, so there are as many parameters as components, a few dozen. They minimise
//!
//! > L(w) + strength / 2 * sum over i of (w_i - 1)^2
//!
//! where L is a loss of the groups' mean cross-entropies ([`GroupLoss`]). Logits are linear in w, so this is convex and
//! has one minimum, found by accelerated projected gradients (Beck and Teboulle 2009, with the restarts of O'Donoghue and
//! Candès 2015). Logits are brought to a root mean square of 1 for the fit, so that a strength means the same for a probe
//! as for a zero-shot head, whose logits are cosines. The strength is chosen by cross-validation within the split.

mod problem;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Ablation, Grouped};
use crate::{Error, Result};
use problem::Problem;

/// What of the groups' losses is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupLoss {
    /// The mean over groups of their mean cross-entropies, each group counting the same.
    Balanced,
    /// The largest of them, smoothed: log(mean over groups of exp(10 x loss)) / 10.
    Worst,
}

/// Settings of [`fit_scaling`].
#[derive(Debug, Clone, PartialEq)]
pub struct ScalingOptions {
    pub loss: GroupLoss,
    /// Strengths of the pull towards 1 to choose from; one alone is taken as it is.
    pub strengths: Vec<f64>,
    /// Parts of the split in the cross-validation that chooses the strength, stratified by group.
    pub folds: usize,
    /// Seed of the parts.
    pub seed: u64,
    /// At most so many iterations a fit.
    pub iterations: usize,
    /// A fit ends when no entry of the projected gradient is larger, measured in strengths where these are above 1.
    pub tolerance: f64,
}

impl Default for ScalingOptions {
    fn default() -> Self {
        Self {
            loss: GroupLoss::Worst,
            strengths: vec![1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001],
            folds: 5,
            seed: 0,
            iterations: 1000,
            tolerance: 1e-5,
        }
    }
}

/// Weights of the components, and how they came about.
#[derive(Clone, PartialEq)]
pub struct Scaling {
    /// One for each component, in the model's order ([`Ablation::predict_scaled`]).
    pub weights: Vec<f64>,
    /// The strength chosen.
    pub strength: f64,
    /// (strength, worst group's accuracy, average) in the cross-validation, for each strength; empty for one alone.
    pub tried: Vec<(f64, f64, f64)>,
    /// Loss and penalty at the minimum.
    pub loss: f64,
    pub iterations: usize,
    /// Whether the minimum was reached within the iterations.
    pub converged: bool,
}

/// Fits the weights on the images of `ablation`. The strength is the one whose held-out predictions have the best worst
/// group (then the best average, then the stronger one).
///
/// # Errors
/// Lengths that differ, a label that is no class, a strength that is not positive or none, fewer than 2 folds, a group
/// with a single image where a strength is to be chosen, logits that are all alike.
pub fn fit_scaling(
    ablation: &Ablation,
    images: Grouped,
    options: &ScalingOptions,
) -> Result<Scaling> {
    images.check(ablation.images(), ablation.classes())?;
    let strengths = checked(options)?;
    let all: Vec<usize> = (0..ablation.images()).collect();
    let problem = Problem::new(ablation, images, &all, options)?;
    let tried = match strengths.len() {
        1 => Vec::new(),
        _ => cross_validated(ablation, images, &strengths, options)?,
    };
    let better =
        |best: (f64, f64, f64), next: &(f64, f64, f64)| match (next.1, next.2) > (best.1, best.2) {
            true => *next,
            false => best,
        };
    let strength = tried.iter().fold((strengths[0], -1.0, -1.0), better).0;
    let mut start = vec![1.0; ablation.components()];
    let mut fitted = None;
    for strength in strengths.into_iter().filter(|s| *s >= strength) {
        let found = problem.minimum(start, strength, options);
        start = found.weights.clone();
        fitted = Some(found);
    }
    let fitted = fitted.ok_or_else(|| Error::argument("strengths", "[]", "at least one"))?;
    if !fitted.converged {
        eprintln!(
            "the components' weights are not at their optimum after {} iterations; raise ScalingOptions.iterations",
            fitted.iterations
        );
    }
    Ok(Scaling {
        weights: fitted.weights,
        strength,
        tried,
        loss: fitted.loss,
        iterations: fitted.iterations,
        converged: fitted.converged,
    })
}

/// The strengths, strongest first, each once.
fn checked(options: &ScalingOptions) -> Result<Vec<f64>> {
    let sound = |s: &f64| s.is_finite() && *s > 0.0;
    if options.strengths.is_empty() || !options.strengths.iter().all(sound) {
        let expected = "one or more positive numbers, such as 0.01; without a pull towards 1 separable groups have no best weights";
        let given = format!("{:?}", options.strengths);
        return Err(Error::argument("strengths", given, expected));
    }
    if options.folds < 2 {
        return Err(Error::argument("folds", options.folds, "2 or more"));
    }
    if options.iterations == 0 {
        return Err(Error::argument("iterations", 0, "at least 1"));
    }
    if !(options.tolerance.is_finite() && options.tolerance > 0.0) {
        let expected = "a small positive number, such as 1e-5";
        return Err(Error::argument("tolerance", options.tolerance, expected));
    }
    let mut strengths = options.strengths.clone();
    strengths.sort_by(|a, b| b.total_cmp(a));
    strengths.dedup();
    Ok(strengths)
}

/// Worst group and average of the held-out predictions of each strength.
fn cross_validated(
    ablation: &Ablation,
    images: Grouped,
    strengths: &[f64],
    options: &ScalingOptions,
) -> Result<Vec<(f64, f64, f64)>> {
    let fold = folds(images, options)?;
    let held_out = |part: usize| -> Result<Vec<Vec<f64>>> {
        let rest: Vec<usize> = (0..fold.len()).filter(|i| fold[*i] != part).collect();
        let problem = Problem::new(ablation, images, &rest, options)?;
        let mut start = vec![1.0; ablation.components()];
        let each = strengths.iter().map(|&strength| {
            start = problem.minimum(start.clone(), strength, options).weights;
            start.clone()
        });
        Ok(each.collect())
    };
    let weights: Vec<Vec<Vec<f64>>> = (0..options.folds)
        .into_par_iter()
        .map(held_out)
        .collect::<Result<_>>()?;
    let tried = strengths.iter().enumerate().map(|(s, &strength)| {
        let answers = weights
            .iter()
            .map(|of_part| ablation.predict_scaled(&of_part[s]))
            .collect::<Result<Vec<_>>>()?;
        let predicted: Vec<usize> = (0..fold.len()).map(|i| answers[fold[i]][i]).collect();
        let accuracy = images.count(&predicted)?;
        Ok((strength, accuracy.worst(), accuracy.average()))
    });
    tried.collect()
}

/// The part each image is in, each group dealt out to all parts.
fn folds(images: Grouped, options: &ScalingOptions) -> Result<Vec<usize>> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut fold = vec![0; images.groups.len()];
    let mut next = 0;
    for (group, name) in images.names.iter().enumerate() {
        let mut members: Vec<usize> = (0..fold.len())
            .filter(|i| images.groups[*i] == group)
            .collect();
        if members.len() == 1 {
            return Err(Error::data(
                "for validation",
                format!(
                    "group \"{name}\" has 1 image, and the strength of the scaling is chosen by holding images out; \
                     take a larger validation split, or one strength alone"
                ),
            ));
        }
        members.shuffle(&mut rng);
        for i in members {
            fold[i] = next % options.folds;
            next += 1;
        }
    }
    Ok(fold)
}
