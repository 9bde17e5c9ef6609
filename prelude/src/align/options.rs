//! How an aligner is fitted, and what is told about it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::isometry::Isometry;
use crate::{Error, Result};

/// Where the maps start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// One map for all components: the orthogonal Procrustes solution between the summed contributions and
    /// the targets, an isometry that has the right directions before the first step.
    Procrustes,
    /// One random map with orthonormal rows or columns for all components, no bias.
    Random,
}

/// Settings of [`Aligner::fit`](super::Aligner::fit); the defaults are the published ones.
#[derive(Clone)]
pub struct FitOptions<'a> {
    /// Adam's step (paper: 3e-4).
    pub learning_rate: f64,
    /// L2 penalty inside Adam (published code: 1e-6).
    pub weight_decay: f64,
    /// Factor of `D * mean((W^T W - I)^2)`: 1 is the paper's lambda = 1/D.
    pub orthogonality: f64,
    /// Images a step.
    pub batch: usize,
    /// At most so many passes over the training images (paper: 1).
    pub epochs: usize,
    /// Seed of the split, of every shuffle and of a random start.
    pub seed: u64,
    /// Share of the images held out, above 0 and below 1.
    pub held_out: f64,
    /// The held-out cosine is taken so many times an epoch.
    pub evaluations: usize,
    /// Stop after so many evaluations in a row that do not raise the held-out cosine by 1e-4.
    pub patience: usize,
    /// Stop after so many batches in a row without a new lowest loss, as the published code does after 50; never by
    /// that where it is not said.
    pub loss_patience: Option<usize>,
    /// How the isometry term is taken at a step.
    pub isometry: Isometry,
    /// Where the maps start.
    pub start: Start,
    /// File for the state of the fit: written at least every minute, at a stop and at the end, resumed from
    /// when it exists. A damaged one, or one of another fit, is refused.
    pub checkpoint: Option<PathBuf>,
    /// Asked before each step; true ends the fit with [`Error::Interrupted`].
    pub stop: Option<&'a dyn Fn() -> bool>,
    /// Told after each step.
    pub progress: Option<&'a dyn Fn(&Progress)>,
}

impl Default for FitOptions<'_> {
    fn default() -> Self {
        Self {
            learning_rate: 3e-4,
            weight_decay: 1e-6,
            orthogonality: 1.0,
            batch: 16,
            epochs: 1,
            seed: 0,
            held_out: 0.1,
            evaluations: 5,
            patience: 5,
            loss_patience: None,
            isometry: Isometry::Auto,
            start: Start::Procrustes,
            checkpoint: None,
            stop: None,
            progress: None,
        }
    }
}

impl FitOptions<'_> {
    pub(super) fn check(&self) -> Result<()> {
        let range = |name, ok: bool, value: String, expected: &str| match ok {
            true => Ok(()),
            false => Err(Error::argument(name, value, expected)),
        };
        let rate = self.learning_rate;
        let share = self.held_out;
        range(
            "learning_rate",
            rate.is_finite() && rate > 0.0,
            rate.to_string(),
            "a positive number, such as 3e-4",
        )?;
        for (name, value) in [
            ("weight_decay", self.weight_decay),
            ("orthogonality", self.orthogonality),
        ] {
            range(
                name,
                value.is_finite() && value >= 0.0,
                value.to_string(),
                "zero or a positive number",
            )?;
        }
        range(
            "held_out",
            share > 0.0 && share < 1.0,
            share.to_string(),
            "a share above 0 and below 1, such as 0.1",
        )?;
        for (name, value) in [
            ("batch", self.batch),
            ("epochs", self.epochs),
            ("evaluations", self.evaluations),
            ("patience", self.patience),
            ("loss_patience", self.loss_patience.unwrap_or(1)),
            (
                "isometry",
                match self.isometry {
                    Isometry::Probes(count) => count,
                    Isometry::Auto | Isometry::Exact => 1,
                },
            ),
        ] {
            range(name, value > 0, value.to_string(), "at least 1")?;
        }
        Ok(())
    }

    /// What differs from the defaults, in a few words, with epochs and seed in any case.
    pub(crate) fn words(&self) -> String {
        let default = FitOptions::default();
        let mut words = vec![
            crate::facts::count(self.epochs, "epoch"),
            format!("seed {}", self.seed),
        ];
        let (own, usual) = (self.fingerprint(), default.fingerprint());
        let pairs = own.split(' ').zip(usual.split(' '));
        words.extend(
            pairs
                .filter(|(own, usual)| own != usual && !own.starts_with("seed="))
                .map(|(own, _)| own.to_string()),
        );
        words.join(", ")
    }

    /// Everything but `epochs` that changes the outcome, for a checkpoint to be compared with.
    pub(crate) fn fingerprint(&self) -> String {
        format!(
            "lr={} decay={} orthogonality={} batch={} seed={} held_out={} evaluations={} patience={} loss_patience={:?} isometry={:?} start={:?}",
            self.learning_rate,
            self.weight_decay,
            self.orthogonality,
            self.batch,
            self.seed,
            self.held_out,
            self.evaluations,
            self.patience,
            self.loss_patience,
            self.isometry,
            self.start
        )
    }
}

/// Where a fit stands, after a step.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Steps done, those before a resumption among them.
    pub step: usize,
    /// Steps there will be if it does not stop early.
    pub steps: usize,
    /// Mean cosine of this step's batch, before the step.
    pub cosine: f32,
    /// `D * mean((W^T W - I)^2)` before the step, an estimate where it is taken from random probes.
    pub orthogonality: f32,
    /// The latest held-out cosine.
    pub held_out: f32,
}

/// What a fit came to.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// Mean held-out cosine of the aligner returned, the best of the run.
    pub held_out_cosine: f32,
    /// Mean held-out cosine of answering with the mean target every time: what no knowledge of the image gets.
    pub baseline_cosine: f32,
    /// Mean cosine over the training batches of the last evaluation period.
    pub train_cosine: f32,
    /// `D * mean((W^T W - I)^2)` of the maps after the last step, taken exactly.
    pub orthogonality: f32,
    /// Random probes from which that term's gradient was taken at each step; none where it was taken exactly.
    #[serde(default)]
    pub probes: Option<usize>,
    /// Images trained on.
    pub train_images: usize,
    /// Images held out.
    pub held_out_images: usize,
    /// Steps done.
    pub steps: usize,
    /// Whether the held-out cosine had stopped rising before the last epoch was over.
    pub stopped_early: bool,
    /// The step of a checkpoint it went on from.
    pub resumed_at: Option<usize>,
    /// (step, held-out cosine), step 0 first.
    pub history: Vec<(usize, f32)>,
    /// Time of this call.
    pub time: Duration,
    /// Mean time of a step of this call, held-out cosines not counted; zero where it made none.
    #[serde(default)]
    pub time_per_step: Duration,
}
