//! Weights: reading checkpoints, renaming their keys, checking them against a model, and fresh ones for training.

mod checkpoint;
pub mod keys;
mod parameters;

pub use checkpoint::Checkpoint;
pub use parameters::Parameters;
