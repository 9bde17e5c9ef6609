//! Weights: reading checkpoints, renaming their keys, checking them against a model, and fresh ones for training.

mod checkpoint;
mod choice;
mod fit;
pub mod folder;
pub mod keys;
mod parameters;
mod precision;
pub(in crate::models) mod read;
mod rename;
pub mod resample;
mod roots;
mod unwrap;

pub use checkpoint::Checkpoint;
pub use parameters::Parameters;
pub use precision::Precision;
