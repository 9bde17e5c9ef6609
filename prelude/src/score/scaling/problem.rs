//! The convex problem behind the fitted weights, and its minimum.

use super::{GroupLoss, ScalingOptions};
use crate::score::{Ablation, Grouped};
use crate::{Error, Result};

/// How sharply [`GroupLoss::Worst`] looks at the worst group.
const SHARPNESS: f64 = 10.0;

/// Where a fit ended.
pub(super) struct Fitted {
    pub weights: Vec<f64>,
    pub loss: f64,
    pub iterations: usize,
    pub converged: bool,
}

/// Some of the images, their logits at a root mean square of 1.
pub(super) struct Problem {
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
    pub fn new(
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

    /// Accelerated projected gradients from `start`, with backtracking and restarts.
    pub fn minimum(&self, start: Vec<f64>, strength: f64, options: &ScalingOptions) -> Fitted {
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
