//! What switching off came to.

use crate::decompose::Granularity;
use crate::experiments::Classifier;
use crate::{Error, Result};

/// The accuracy after one more step.
#[derive(Clone, Debug, PartialEq)]
pub struct AblationStep {
    /// What was switched off with it: a component, or the pattern of several; "none" at the start.
    pub name: String,
    /// Components off by now.
    pub components: usize,
    /// Whether a block is done with it.
    pub border: bool,
    /// Images that are right.
    pub correct: usize,
    /// The same number of components off in random orders; none where none were asked for.
    pub random: Option<RandomOrders>,
}

/// Images that are right with as many components off in random orders.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomOrders {
    pub mean: f64,
    pub least: usize,
    pub most: usize,
}

impl RandomOrders {
    pub(super) fn of(correct: impl Iterator<Item = usize>) -> Option<Self> {
        let all: Vec<usize> = correct.collect();
        Some(Self {
            mean: all.iter().sum::<usize>() as f64 / all.len() as f64,
            least: *all.iter().min()?,
            most: *all.iter().max()?,
        })
    }
}

/// One model's accuracy over what is switched off.
#[derive(Clone)]
pub struct AblationCurve {
    pub model: String,
    pub classifier: Classifier,
    /// The label column that is told apart.
    pub column: String,
    /// The tested images.
    pub data: String,
    pub images: usize,
    /// The share of images that have the most frequent class.
    pub majority: f64,
    pub granularity: Granularity,
    /// Components of the decomposition.
    pub components: usize,
    /// The order in words.
    pub order: String,
    pub random_orders: usize,
    pub seed: u64,
    /// On which images a probe was fitted, or how a head's classes were matched.
    pub note: Option<String>,
    /// Nothing off first, then step by step.
    pub steps: Vec<AblationStep>,
}

impl AblationCurve {
    /// Model and classifier, as a line of a chart is called.
    pub fn name(&self) -> String {
        let how = match self.classifier {
            Classifier::Probe => "probe",
            Classifier::ZeroShot => "zero-shot",
            Classifier::Own => "own head",
        };
        format!("{}, {how}", self.model)
    }

    /// The share of images that are right with nothing off.
    pub fn full(&self) -> f64 {
        self.steps
            .first()
            .map_or(f64::NAN, |step| self.share(step.correct as f64))
    }

    /// The share of images that are right after `step` steps; none where there are not as many.
    pub fn accuracy(&self, step: usize) -> Option<f64> {
        Some(self.share(self.steps.get(step)?.correct as f64))
    }

    /// The least number of components off from which on accuracy stays below the middle between that of all components and
    /// that of the most frequent class; none where it never does.
    pub fn half(&self) -> Option<usize> {
        let middle = (self.full() + self.majority) / 2.0;
        let above = |step: &AblationStep| self.share(step.correct as f64) >= middle;
        let last = self.steps.iter().rposition(above)?;
        Some(self.steps.get(last + 1)?.components)
    }

    /// The mean accuracy over all steps, from nothing off to all steps off: high where what matters goes late.
    pub fn mean(&self) -> f64 {
        let sum: usize = self.steps.iter().map(|step| step.correct).sum();
        self.share(sum as f64) / self.steps.len() as f64
    }

    /// The mean accuracy over all steps of the random orders; none without them.
    pub fn mean_random(&self) -> Option<f64> {
        let each: Option<Vec<f64>> = self
            .steps
            .iter()
            .map(|s| Some(s.random.as_ref()?.mean))
            .collect();
        Some(self.share(each?.iter().sum()) / self.steps.len() as f64)
    }

    pub(super) fn share(&self, correct: f64) -> f64 {
        correct / self.images.max(1) as f64
    }
}

/// Curves of several models and classifiers on the same images: one chart.
#[derive(Clone)]
pub struct AblationCurves {
    curves: Vec<AblationCurve>,
}

impl AblationCurves {
    /// Curves side by side.
    ///
    /// # Errors
    /// When there are none, or two are of other images or classes.
    pub fn new(curves: Vec<AblationCurve>) -> Result<Self> {
        let Some(first) = curves.first() else {
            return Err(Error::argument("curves", "[]", "one curve or more"));
        };
        let of = |c: &AblationCurve| format!("{} of {}, {} images", c.column, c.data, c.images);
        match curves.iter().find(|curve| of(curve) != of(first)) {
            None => Ok(Self { curves }),
            Some(other) => Err(Error::argument(
                "curves",
                of(other),
                format!(
                    "all on the same images, {}: put others in a chart of their own",
                    of(first)
                ),
            )),
        }
    }

    pub(super) fn one(curve: AblationCurve) -> Self {
        Self {
            curves: vec![curve],
        }
    }

    /// One curve a model and classifier.
    pub fn curves(&self) -> &[AblationCurve] {
        &self.curves
    }

    /// These and those of `other`, which are on the same images.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(&self, other: &Self) -> Result<Self> {
        Self::new([self.curves.clone(), other.curves.clone()].concat())
    }
}
