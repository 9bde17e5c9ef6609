//! Experiments of the paper as library calls.

pub mod labels;
pub mod spurious;

pub use labels::text_labels;
pub use spurious::{Head, Mitigated, Setting, Study, comparison};
