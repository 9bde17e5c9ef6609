//! What a prompt, a notebook or a script has in scope: `use vitrepl_prelude::prelude::*;`.

pub use crate::activations::{ActivationCache, ActivationChange, Objective};
pub use crate::align::{AlignedContributions, Aligner, Alignment, ChunkedAligned, FitOptions};
pub use crate::charts::{BarChart, GroupedBars, HeatmapGrid, LineChart, ShowImages, Table, Tile};
pub use crate::data::{
    CropMode, DataSet, Factor, FactorCorrelation, FolderSet, GeneratedSet, GeneratedSpec, ImageNet,
    Interpolation, Labels, MaskGeometry, ModelInput, OnUnreadable, ParquetSet, Preprocess,
    SegmentationSet, Subset, TarSet, Waterbirds, WhichImages, ahead::Loading, image,
};
pub use crate::decompose::{
    BlockPart, ChunkedContributions, Component, ComponentNames, Contributions, DecomposeOptions,
    DecomposeTarget, Decomposer, Granularity, Sharing,
};
pub use crate::experiments::{
    Classifier, GeneratedSplits, Mitigated, PaperProtocol, Study, StudyData, StudyProtocol,
    StudySettings, ValidatedProtocol, comparison, effects, local_models, models_table,
    remedy_comparison, study_accuracies, text_labels,
};
pub use crate::identity::{ImageEmbeddings, TextEmbeddings};
pub use crate::models::{ImageEncoder, Model};
pub use crate::relevance::{self, RelevanceMethod};
pub use crate::score::{self, ComponentMeans, Ranking, ScoreMeasure, Scores};
pub use crate::session::{
    activation_gradients, activation_names, activations, align, class_embeddings, decompose,
    device, embed_images, embed_texts, forget, intervene, load, load_clip, load_with, resident,
    set_device, set_loading,
};
pub use crate::store::{ContributionStore, StoreOptions, StoreType};
pub use crate::trace::Block;
pub use crate::{Error, Result};
pub use candle_core::{Device, Tensor};
pub use serde_json::json;
pub use std::sync::Arc;
