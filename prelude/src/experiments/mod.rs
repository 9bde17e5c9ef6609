//! Experiments of the paper as library calls.

pub mod effects;
pub mod labels;
pub mod models;
pub mod spurious;

pub use effects::{Effect, Effects, effects};
pub use labels::text_labels;
pub use models::{local_models, models_table};
pub use spurious::{
    Classifier, GeneratedSplits, Mitigated, PaperProtocol, RemedyKind, Study, StudyData,
    StudyProtocol, StudySettings, ValidatedProtocol, comparison, remedy_comparison,
    study_accuracies,
};
