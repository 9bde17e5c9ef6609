//! Experiments of the paper as library calls.

pub mod effects;
pub mod labels;
pub mod logits;
pub mod models;
mod readout;
pub mod spurious;
pub mod swap;

pub use effects::{Effect, Effects, effects};
pub use labels::text_labels;
pub use logits::{LogitAttribution, LogitShares, attribute_logits};
pub use models::{local_models, models_table};
pub use readout::{Readout, WhichClass};
pub use spurious::{
    Classifier, GeneratedSplits, Mitigated, PaperProtocol, RemedyKind, Study, StudyData,
    StudyProtocol, StudySettings, ValidatedProtocol, comparison, remedy_comparison,
    study_accuracies,
};
pub use swap::{Swap, SwapEffect, SwapEffects, Swapped, swap};
