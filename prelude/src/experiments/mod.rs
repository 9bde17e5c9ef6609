//! Experiments of the paper as library calls.

pub mod ablation;
pub mod attribution;
pub mod classification;
pub mod compare;
pub mod effects;
pub mod features;
pub mod labels;
pub mod models;
pub mod ordering;
pub mod spurious;

pub use ablation::{
    AblationCurve, AblationCurves, AblationOrder, AblationSettings, ablation_curves,
};
pub use attribution::{
    AttributionMatrix, CompletenessOptions, ComponentLabels, ComponentSpecialisation, LabelOptions,
    TextCompleteness, attribution_matrix, component_labels, text_completeness,
};
pub use classification::ClassificationTask;
pub use compare::{
    CkaMatrix, ComponentComparison, ComponentMatching, SimilarityOptions, compare_components,
    layer_cka, representation_cka,
};
pub use effects::{Effect, Effects, effects};
pub use features::FeatureWords;
pub use labels::text_labels;
pub use models::{local_models, models_table};
pub use ordering::{ComponentOrdering, ComponentOrderings, component_orderings};
pub use spurious::{
    Classifier, GeneratedSplits, Mitigated, PaperProtocol, RemedyKind, Study, StudyData,
    StudyProtocol, StudySettings, ValidatedProtocol, comparison, remedy_comparison,
    study_accuracies,
};
