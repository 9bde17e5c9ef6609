//! Experiments of the paper as library calls.

pub mod spurious;

pub use spurious::{Head, Mitigated, Setting, Study, comparison};
