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

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Ablation, Grouped};
use crate::{Error, Result};

/// What of the groups' losses is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupLoss {
    /// The mean over groups of their mean cross-entropies, each group counting the same.
    Balanced,
    /// The largest of them, smoothed: log(mean over groups of exp(10 x loss)) / 10.
    Worst,
}

/// How sharply [`GroupLoss::Worst`] looks at the worst group.
const SHARPNESS: f64 = 10.0;

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
#[derive(Debug, Clone, PartialEq)]
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

struct Fitted {
    weights: Vec<f64>,
    loss: f64,
    iterations: usize,
    converged: bool,
}

/// Some of the images, their logits at a root mean square of 1.
struct Problem {
    classes: usize,
    /// B x C: with every weight at 0.
    rest: Vec<f64>,
    /// For each component B x C: what it adds for a weight of 1.
    shares: Vec<Vec<f64>>,
    labels: Vec<usize>,
    /// The group of each image, counted among those that have images.
    groups: Vec<usize>,
    sizes: Vec<f64>,
    loss: GroupLoss,
}

impl Problem {
    fn new(
        ablation: &Ablation,
        images: Grouped,
        rows: &[usize],
        options: &ScalingOptions,
    ) -> Result<Self> {
        let classes = ablation.classes();
        let take = |from: &[f64]| -> Vec<f64> {
            let row = |&i: &usize| &from[i * classes..(i + 1) * classes];
            rows.iter().flat_map(row).copied().collect()
        };
        let mut rest = take(ablation.logits());
        let mut shares: Vec<Vec<f64>> = ablation.shares().iter().map(|s| take(s)).collect();
        let scale = 1.0 / spread(&rest, classes);
        if !scale.is_finite() {
            return Err(Error::argument(
                "head",
                "the same logit for every class",
                "a head that tells classes apart on these images",
            ));
        }
        rest.iter_mut()
            .chain(shares.iter_mut().flatten())
            .for_each(|v| *v *= scale);
        for share in &shares {
            rest.iter_mut().zip(share).for_each(|(r, s)| *r -= s);
        }
        let mut count = vec![0usize; images.names.len()];
        rows.iter().for_each(|&i| count[images.groups[i]] += 1);
        let mut place = vec![0; count.len()];
        let mut sizes = Vec::new();
        for (group, &count) in count.iter().enumerate().filter(|(_, count)| **count > 0) {
            place[group] = sizes.len();
            sizes.push(count as f64);
        }
        Ok(Self {
            classes,
            rest,
            shares,
            labels: rows.iter().map(|&i| images.labels[i]).collect(),
            groups: rows.iter().map(|&i| place[images.groups[i]]).collect(),
            sizes,
            loss: options.loss,
        })
    }

    fn logits(&self, weights: &[f64]) -> Vec<f64> {
        let mut logits = self.rest.clone();
        for (share, weight) in self.shares.iter().zip(weights) {
            if *weight != 0.0 {
                logits
                    .iter_mut()
                    .zip(share)
                    .for_each(|(l, s)| *l += weight * s);
            }
        }
        logits
    }

    /// Loss and penalty, and what each image's softmax lacks times its weight in the loss (B x C), of which the gradient
    /// is made.
    fn value(&self, weights: &[f64], strength: f64) -> (f64, Vec<f64>) {
        let mut errors = self.logits(weights);
        let mut groups = vec![0.0; self.sizes.len()];
        for (i, row) in errors.chunks_exact_mut(self.classes).enumerate() {
            let high = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let right = row[self.labels[i]] - high;
            row.iter_mut().for_each(|v| *v = (*v - high).exp());
            let sum: f64 = row.iter().sum();
            groups[self.groups[i]] += (sum.ln() - right) / self.sizes[self.groups[i]];
            row.iter_mut().for_each(|v| *v /= sum);
            row[self.labels[i]] -= 1.0;
        }
        let count = groups.len() as f64;
        let (loss, parts): (f64, Vec<f64>) = match self.loss {
            GroupLoss::Balanced => (
                groups.iter().sum::<f64>() / count,
                vec![1.0 / count; groups.len()],
            ),
            GroupLoss::Worst => {
                let high = groups.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let each = groups.iter().map(|l| (SHARPNESS * (l - high)).exp());
                let each: Vec<f64> = each.collect();
                let sum: f64 = each.iter().sum();
                (
                    high + (sum / count).ln() / SHARPNESS,
                    each.iter().map(|e| e / sum).collect(),
                )
            }
        };
        for (i, row) in errors.chunks_exact_mut(self.classes).enumerate() {
            let group = self.groups[i];
            let part = parts[group] / self.sizes[group];
            row.iter_mut().for_each(|v| *v *= part);
        }
        let pull: f64 = weights.iter().map(|w| (w - 1.0).powi(2)).sum();
        (loss + strength / 2.0 * pull, errors)
    }

    fn gradient(&self, errors: &[f64], weights: &[f64], strength: f64) -> Vec<f64> {
        let each = self.shares.iter().zip(weights).map(|(share, weight)| {
            let along: f64 = share.iter().zip(errors).map(|(s, e)| s * e).sum();
            along + strength * (weight - 1.0)
        });
        each.collect()
    }

    fn minimum(&self, start: Vec<f64>, strength: f64, options: &ScalingOptions) -> Fitted {
        let mut weights = start;
        let mut ahead = weights.clone();
        let (mut momentum, mut curvature) = (1.0f64, strength.max(1e-3));
        let mut loss = self.value(&weights, strength).0;
        for iteration in 1..=options.iterations {
            let (here, errors) = self.value(&ahead, strength);
            let gradient = self.gradient(&errors, &ahead, strength);
            let (next, next_loss) = loop {
                let step = ahead.iter().zip(&gradient);
                let next: Vec<f64> = step.map(|(w, g)| (w - g / curvature).max(0.0)).collect();
                let next_loss = self.value(&next, strength).0;
                let moved = next.iter().zip(&ahead).map(|(a, b)| a - b);
                let (along, square) = moved
                    .zip(&gradient)
                    .fold((0.0, 0.0), |(a, s), (m, g)| (a + m * g, s + m * m));
                let bound = here + along + curvature / 2.0 * square;
                // A bound that fails by rounding alone would double the curvature for ever.
                if next_loss <= bound + 1e-12 * here.abs().max(1.0) || curvature > 1e12 {
                    break (next, next_loss);
                }
                curvature *= 2.0;
            };
            let apart = |a: &[f64], b: &[f64]| -> Vec<f64> {
                a.iter().zip(b).map(|(a, b)| a - b).collect()
            };
            let (step, progress) = (apart(&next, &ahead), apart(&next, &weights));
            let close = options.tolerance * strength.max(1.0);
            let still = step.iter().all(|s| s.abs() * curvature <= close);
            let uphill: f64 = step.iter().zip(&progress).map(|(s, p)| s * p).sum();
            if uphill < 0.0 {
                momentum = 1.0;
                ahead = next.clone();
            } else {
                let following = (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt()) / 2.0;
                let factor = (momentum - 1.0) / following;
                let beyond = next.iter().zip(&progress);
                ahead = beyond.map(|(n, p)| (n + factor * p).max(0.0)).collect();
                momentum = following;
            }
            (weights, loss) = (next, next_loss);
            if still {
                return Fitted {
                    weights,
                    loss,
                    iterations: iteration,
                    converged: true,
                };
            }
            curvature *= 0.9;
        }
        Fitted {
            weights,
            loss,
            iterations: options.iterations,
            converged: false,
        }
    }
}

/// Root mean square of the logits about each image's mean over classes.
fn spread(logits: &[f64], classes: usize) -> f64 {
    let of = |row: &[f64]| -> f64 {
        let mean = row.iter().sum::<f64>() / classes as f64;
        row.iter().map(|v| (v - mean).powi(2)).sum()
    };
    let sum: f64 = logits.chunks_exact(classes).map(of).sum();
    (sum / logits.len() as f64).sqrt()
}
