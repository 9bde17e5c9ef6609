//! What a prompt, a notebook or a script has in scope: `use vitrepl_prelude::prelude::*;`.

pub use crate::activations::{ActivationCache, ActivationChange, Objective};
pub use crate::align::{
    AlignedContributions, Aligner, Alignment, ChunkedAligned, FitOptions, Isometry,
};
pub use crate::charts::{
    BarChart, GroupedBars, HeadGrid, HeatmapGrid, LineChart, MatrixChart, ShowImages, Table, Tile,
    Waterfall,
};
pub use crate::data::{
    CropMode, DataSet, Factor, FactorCorrelation, FolderSet, GeneratedSet, GeneratedSpec, ImageNet,
    Interpolation, Labels, MaskGeometry, ModelInput, OnUnreadable, ParquetSet, Preprocess,
    SegmentationSet, Subset, TarSet, Waterbirds, WhichImages, ahead::Loading, image,
};
pub use crate::decompose::{
    BlockPart, ChunkedContributions, ChunkedHeadTokens, Component, ComponentNames, Contributions,
    DecomposeOptions, DecomposeTarget, Decomposer, Granularity, HeadTokens, Sharing, TokenScores,
};
pub use crate::experiments::{
    AblationCurves, AblationOrder, AblationSettings, AttributionMatrix, ClassificationTask,
    Classifier, CompletenessOptions, ComponentComparison, ComponentLabels, ComponentOrderings,
    FeatureComponents, FeatureWords, GeneratedSplits, HeatScale, Heatmaps, LabelOptions, Mitigated,
    PaperProtocol, PrecisionSettings, Readout, RetrievalFeature, RetrievalPrecision, Retrieved,
    Segmentation, SegmentationMethod, SegmentationSettings, SimilarityOptions, Study, StudyData,
    StudyProtocol, StudySettings, TextCompleteness, ValidatedProtocol, ablation_curves,
    attribute_logits, attribution_matrix, compare_components, comparison, component_labels,
    component_orderings, effects, feature_components, head_maps, head_study, heatmaps, layer_cka,
    local_models, models_table, neurons, pointing_game, remedy_comparison, representation_cka,
    retrieval_precision, retrieve_by_groups, retrieve_by_image, retrieve_by_text, segmentation,
    segmentation_table, study_accuracies, swap, text_completeness, text_labels, token_importance,
};
pub use crate::identity::{ImageEmbeddings, TextEmbeddings};
pub use crate::models::{ImageEncoder, Model};
pub use crate::relevance::{self, RelevanceMethod};
pub use crate::report::report;
pub use crate::score::{self, CkaEstimate, ComponentMeans, Ranking, ScoreMeasure, Scores};
pub use crate::session::{
    activation_gradients, activation_names, activations, align, class_embeddings, decompose,
    decompose_into, device, embed_images, embed_texts, forget, intervene, limit_resident, load,
    load_clip, load_with, resident, set_device, set_loading, set_tf32,
};
pub use crate::store::{ContributionStore, StoreOptions, StoreType};
pub use crate::trace::Block;
pub use crate::{Error, Result};
pub use candle_core::{Device, Tensor};
pub use serde_json::json;
pub use std::sync::Arc;
