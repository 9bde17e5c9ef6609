//! Training the embedded zoo: small models, the generated images, a few minutes on a CPU.
//!
//! A [`Task`] says what a batch is and what its loss is; [`Trainer`] draws batches ahead, splits each
//! over threads, steps, reports and saves what an interrupted run needs to go on.

pub mod card;
pub mod checkpoint;
pub mod clip;
pub mod evaluate;
pub mod factors;
mod labels;
pub mod loss;
pub mod optimizer;
mod positions;
pub mod recipe;
pub mod schedule;
pub mod trainer;

pub use card::Card;
pub use clip::ClipTask;
pub use factors::FactorTask;
pub use recipe::{Budget, Family, Recipe};
pub use trainer::{Trained, Trainer};

use crate::Result;
use crate::facts::{self, Facts};
use crate::models::weights::Parameters;
use crate::trace::BatchStatistics;
use candle_core::Tensor;
use std::collections::BTreeMap;

/// A share of right answers for each factor, by its name.
pub type Accuracy = BTreeMap<String, f64>;

/// What a batch comes to.
pub struct Loss {
    /// What is minimised.
    pub total: Tensor,
    /// Its summands by name.
    pub parts: Vec<(&'static str, Tensor)>,
    /// What the batch norms saw.
    pub statistics: Vec<BatchStatistics>,
}

facts::shows!(Loss, |it| {
    let parts = it.parts.iter().map(|(name, _)| *name);
    Facts::new("loss of a batch").row("parts", facts::list(parts, 110))
});

impl Loss {
    /// The sum of `parts`.
    fn new(parts: Vec<(&'static str, Tensor)>, statistics: Vec<BatchStatistics>) -> Result<Self> {
        let losses: Vec<_> = parts.iter().map(|(_, loss)| loss.clone()).collect();
        Ok(Self {
            total: Tensor::stack(&losses, 0)?.sum_all()?,
            parts,
            statistics,
        })
    }
}

/// What is trained: a model, its data and its loss.
pub trait Task: Send + Sync {
    /// A part of a step's images, ready for the loss.
    type Batch: Send + Sync;

    /// The images at `indices` of the training set.
    fn batch(&self, indices: &[usize]) -> Result<Self::Batch>;

    /// The loss of a batch.
    fn loss(&self, batch: &Self::Batch) -> Result<Loss>;

    /// What is trained.
    fn parameters(&self) -> &Parameters;

    /// Accuracy on the first `count` held-out images.
    fn evaluate(&self, count: usize) -> Result<Accuracy>;
}
