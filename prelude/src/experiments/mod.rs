//! Experiments of the paper as library calls.

pub mod ablation;
pub mod attribution;
mod class_texts;
pub mod classification;
pub mod compare;
pub mod effects;
pub mod features;
pub mod heads;
pub mod heatmaps;
pub mod labels;
pub mod logits;
pub mod models;
pub mod ordering;
mod readout;
pub mod retrieval;
pub mod segmentation;
pub mod spurious;
pub mod swap;

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
pub use heads::{HeadStudy, Neurons, head_study, neurons};
pub use heatmaps::{
    HeadMaps, HeatScale, Heatmaps, PointingGame, head_maps, heatmaps, pointing_game,
    token_importance,
};
pub use labels::text_labels;
pub use logits::{LogitAttribution, LogitShares, attribute_logits};
pub use models::{local_models, models_table};
pub use ordering::{ComponentOrdering, ComponentOrderings, component_orderings};
pub use readout::{Readout, WhichClass};
pub use retrieval::{
    FeatureComponents, PrecisionSettings, RetrievalFeature, RetrievalPrecision, Retrieved,
    feature_components, retrieval_precision, retrieve_by_groups, retrieve_by_image,
    retrieve_by_text,
};
pub use segmentation::{
    Segmentation, SegmentationMethod, SegmentationSettings, segmentation, segmentation_table,
};
pub use spurious::{
    Classifier, GeneratedSplits, Mitigated, PaperProtocol, RemedyKind, Study, StudyData,
    StudyProtocol, StudySettings, ValidatedProtocol, comparison, remedy_comparison,
    study_accuracies,
};
pub use swap::{Swap, SwapEffect, SwapEffects, Swapped, swap};
