//! Weights: reading checkpoints, renaming their keys, checking them against a model, and fresh ones for training.

mod checkpoint;
mod fit;
pub mod folder;
pub mod keys;
mod parameters;
mod read;
mod rename;
pub mod resample;

pub use checkpoint::Checkpoint;
pub use parameters::Parameters;
