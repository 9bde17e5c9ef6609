//! What a prompt, a notebook or a script has in scope: `use vitrepl_prelude::prelude::*;`.

pub use crate::align::{AlignedContributions, Aligner, Alignment, FitOptions};
pub use crate::charts::{BarChart, GroupedBars, HeatmapGrid, LineChart, Table, Tile};
pub use crate::data::{
    Correlation, CropMode, DataSet, Factor, FolderSet, GeneratedSet, GeneratedSpec, ImageNet,
    Input, Interpolation, Labels, MaskGeometry, OnUnreadable, ParquetSet, Preprocess,
    SegmentationSet, Subset, TarSet, Waterbirds, ahead::Loading,
};
pub use crate::decompose::{
    Component, Contributions, Decomposer, Granularity, Options, Part, Sharing, Target,
};
pub use crate::experiments::{
    Head, Mitigated, Setting, Study, comparison, local_models, models_table, text_labels,
};
pub use crate::identity::{ImageEmbeddings, TextEmbeddings};
pub use crate::models::{ImageEncoder, Model};
pub use crate::score::{self, ComponentMeans, Ranking, ScoreMeasure, Scores};
pub use crate::session::{
    align, class_embeddings, decompose, device, embed_images, embed_texts, forget, load, load_clip,
    load_with, resident, set_device, set_loading,
};
pub use crate::trace::Block;
pub use crate::{Error, Result};
pub use candle_core::{Device, Tensor};
pub use serde_json::json;
pub use std::sync::Arc;
