//! How sure a group accuracy is: percentile bootstrap intervals, stratified by group (Efron and Tibshirani, "An
//! Introduction to the Bootstrap", chapter 13).
//!
//! A draw takes from each group as many of its images as it has, with replacement; the statistic is computed anew on each
//! draw, and the interval lies between two quantiles of what came out. Every draw resamples the same images whatever is
//! predicted for them, so that the difference of two classifiers on the same images is resampled in pairs
//! ([`Bootstrap::change`]): that interval, not the overlap of two, says whether one is better.
//!
//! What varies here is the choice of test images alone. Neither the probe nor the choice of components is made again, and
//! another training set would move the accuracies too. The worst group of a draw is the worst *of that draw*: where two
//! groups are about as bad, its interval lies a little low.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::check;
use crate::{Error, Result};

/// Settings of [`Bootstrap`].
#[derive(Debug, Clone, PartialEq)]
pub struct BootstrapOptions {
    /// Number of resamples.
    pub draws: usize,
    /// Share of the resamples between the ends of an interval.
    pub level: f64,
    /// Seed of the resamples.
    pub seed: u64,
}

impl Default for BootstrapOptions {
    fn default() -> Self {
        Self {
            draws: 1000,
            level: 0.95,
            seed: 0,
        }
    }
}

/// The two ends of an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// An interval for each quantity of a [`GroupAccuracy`](super::GroupAccuracy), or for the change of each.
#[derive(Clone, PartialEq)]
pub struct GroupIntervals {
    /// Of each group; none for one without images.
    pub groups: Vec<Option<Interval>>,
    /// Of [`GroupAccuracy::worst`](super::GroupAccuracy::worst).
    pub worst: Interval,
    /// Of [`GroupAccuracy::average`](super::GroupAccuracy::average).
    pub average: Interval,
    /// Of [`GroupAccuracy::average_of_groups`](super::GroupAccuracy::average_of_groups).
    pub average_of_groups: Interval,
    /// Of [`GroupAccuracy::average_weighted`](super::GroupAccuracy::average_weighted) with the weights of
    /// [`Bootstrap::weighted`]; none without them.
    pub average_weighted: Option<Interval>,
}

/// Resamples of images within their groups.
#[derive(Clone)]
pub struct Bootstrap {
    /// The images of each group that has some, with its place among all groups.
    members: Vec<(usize, Vec<usize>)>,
    pub(super) groups: usize,
    pub(super) images: usize,
    weights: Option<Vec<f64>>,
    pub(super) options: BootstrapOptions,
}

impl Bootstrap {
    /// Resamples of the images of which `groups` gives the group, a number below `count`.
    ///
    /// # Errors
    /// No images, a group that is not there, fewer than 100 draws, a level that is not between 0 and 1.
    pub fn new(groups: &[usize], count: usize, options: &BootstrapOptions) -> Result<Self> {
        const LEAST: usize = 100;
        if options.draws < LEAST {
            let expected =
                format!("{LEAST} or more: an interval's ends are quantiles of the draws");
            return Err(Error::argument("draws", options.draws, expected));
        }
        if !(options.level > 0.0 && options.level < 1.0) {
            let expected = "above 0 and below 1, such as 0.95";
            return Err(Error::argument("level", options.level, expected));
        }
        if groups.is_empty() {
            return Err(Error::data("for a bootstrap", "it holds no images"));
        }
        if let Some(group) = groups.iter().find(|g| **g >= count) {
            let expected = format!("below {count}, the number of groups");
            return Err(Error::argument("groups", group, expected));
        }
        let of = |g: usize| (0..groups.len()).filter(move |i| groups[*i] == g).collect();
        let members = (0..count).map(|g| (g, of(g)));
        Ok(Self {
            members: members
                .filter(|(_, m): &(usize, Vec<usize>)| !m.is_empty())
                .collect(),
            groups: count,
            images: groups.len(),
            weights: None,
            options: options.clone(),
        })
    }

    /// The same, with an interval of the average weighted by `weights`, one for each group: commonly the groups' images
    /// in the training set.
    ///
    /// # Errors
    /// As [`GroupAccuracy::average_weighted`](super::GroupAccuracy::average_weighted).
    pub fn weighted(self, weights: &[f64]) -> Result<Self> {
        let one = super::GroupAccuracy {
            groups: (0..self.groups)
                .map(|g| {
                    let of = self.members.iter().find(|m| m.0 == g);
                    super::GroupCount {
                        name: format!("group {g}"),
                        correct: 0,
                        images: of.map_or(0, |m| m.1.len()),
                    }
                })
                .collect(),
        };
        one.average_weighted(weights)?;
        Ok(Self {
            weights: Some(weights.to_vec()),
            ..self
        })
    }

    /// Intervals of the accuracies where `correct` says of each image whether it is right.
    ///
    /// # Errors
    /// Another number of images.
    pub fn intervals(&self, correct: &[bool]) -> Result<GroupIntervals> {
        check::same("correct", correct.len(), self.images, "images")?;
        Ok(self.ends(|draw| self.statistics(draw, correct)))
    }

    /// Intervals of how much the accuracies change from `before` to `after`, both on the same images, which are resampled
    /// in pairs.
    ///
    /// # Errors
    /// Another number of images.
    pub fn change(&self, before: &[bool], after: &[bool]) -> Result<GroupIntervals> {
        check::same("before", before.len(), self.images, "images")?;
        check::same("after", after.len(), self.images, "images")?;
        Ok(self.ends(|draw| {
            let (b, a) = (self.statistics(draw, before), self.statistics(draw, after));
            a.into_iter().zip(b).map(|(a, b)| a - b).collect()
        }))
    }

    /// Accuracy of each group that has images, then worst, average, average of groups and weighted average, on one draw.
    fn statistics(&self, draw: usize, correct: &[bool]) -> Vec<f64> {
        // Each draw has a random stream of its own, so that threads do not matter.
        let mut rng = ChaCha8Rng::seed_from_u64(self.options.seed);
        rng.set_stream(draw as u64);
        let mut share = |members: &[usize]| {
            let n = members.len();
            let right = (0..n).filter(|_| correct[members[rng.random_range(0..n)]]);
            right.count() as f64 / n as f64
        };
        let mut all: Vec<f64> = self.members.iter().map(|m| share(&m.1)).collect();
        let mean = |weight: &dyn Fn(usize) -> f64| {
            let weights: Vec<f64> = (0..all.len()).map(weight).collect();
            let sum: f64 = all.iter().zip(&weights).map(|(a, w)| a * w).sum();
            sum / weights.iter().sum::<f64>()
        };
        let ends = [
            all.iter().copied().fold(1.0, f64::min),
            mean(&|g| self.members[g].1.len() as f64),
            mean(&|_| 1.0),
            match &self.weights {
                Some(weights) => mean(&|g| weights[self.members[g].0]),
                None => 0.0,
            },
        ];
        all.extend(ends);
        all
    }

    fn ends(&self, statistics: impl Fn(usize) -> Vec<f64> + Send + Sync) -> GroupIntervals {
        let draws: Vec<Vec<f64>> = (0..self.options.draws)
            .into_par_iter()
            .map(statistics)
            .collect();
        let tail = (1.0 - self.options.level) / 2.0;
        let interval = |place: usize| {
            let mut values: Vec<f64> = draws.iter().map(|d| d[place]).collect();
            values.sort_by(f64::total_cmp);
            Interval {
                low: quantile(&values, tail),
                high: quantile(&values, 1.0 - tail),
            }
        };
        let known = self.members.len();
        let mut groups = vec![None; self.groups];
        for (place, (group, _)) in self.members.iter().enumerate() {
            groups[*group] = Some(interval(place));
        }
        GroupIntervals {
            groups,
            worst: interval(known),
            average: interval(known + 1),
            average_of_groups: interval(known + 2),
            average_weighted: self.weights.as_ref().map(|_| interval(known + 3)),
        }
    }
}

/// The quantile of sorted values by linear interpolation (NumPy's default).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (place - place.floor()) * (sorted[high] - sorted[low])
}
