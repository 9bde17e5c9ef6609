//! Experiments of the paper as library calls.

pub mod effects;
pub mod heads;
pub mod heatmaps;
pub mod labels;
pub mod models;
pub mod retrieval;
pub mod segmentation;
pub mod spurious;

pub use effects::{Effect, Effects, effects};
pub use heads::{HeadStudy, Neurons, head_study, neurons};
pub use heatmaps::{
    HeadMaps, HeatScale, Heatmaps, PointingGame, head_maps, heatmaps, pointing_game,
    token_importance,
};
pub use labels::text_labels;
pub use models::{local_models, models_table};
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
