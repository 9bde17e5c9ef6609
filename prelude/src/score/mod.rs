//! CompAttribute and what is built on it: which component carries a feature, what a text says of a component,
//! which group of images a classifier fails, and what happens when components are switched off (sections 3.3
//! and 5 of "Decomposing and Interpreting Image Representations via Text in ViTs Beyond CLIP", NeurIPS 2024).
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use vitrepl_prelude::score;
//!
//! // Three components of four images in the plane; only the first moves along the feature.
//! let c = Tensor::new(&[
//!     [[1f32, 0.], [2., 0.], [3., 0.], [4., 0.]],
//!     [[0., 1.], [0., 3.], [0., 1.], [0., 2.]],
//!     [[5., 5.], [5., 5.], [5., 5.], [5., 5.]],
//! ], &Device::Cpu)?;
//! let location = Tensor::new(&[[1f32, 0.]], &Device::Cpu)?;
//! // The mean over images against the unbiased deviation: 3/4, not 1, for four images.
//! assert_eq!(score::variance_attributed(&c, &location)?, [0.75, 0.0, 0.0]);
//! // The order-free score has no such factor.
//! assert!((score::correlation_attributed(&c, &location)?[0] - 1.0).abs() < 1e-6);
//! let names = ["head 0", "head 1", "mlp"].map(String::from);
//! let top = score::top(&names, &score::variance_attributed(&c, &location)?, 1)?;
//! assert_eq!(top[0].name, "head 0");
//! # Ok::<(), vitrepl_prelude::Error>(())
//! ```

mod ablation;
mod accuracy;
mod adam_probe;
mod assignment;
mod attribution;
mod basis;
mod bootstrap;
mod cka;
mod classified;
mod completeness;
mod control;
mod correction;
mod enough;
mod export;
mod factor_head;
mod groups;
mod heatmap;
mod linear_head;
mod linear_probe;
mod means;
mod mitigation;
mod moments;
mod ordering;
mod part;
mod ranking;
pub mod retrieval;
mod scaling;
mod scatter;
mod scores;
mod scores_file;
mod segmentation;
mod show;
mod show_fits;
mod show_texts;
mod similarity;
mod singular;
mod sparse_code;
mod spearman;
mod specialisation;
mod streamed_ablation;
mod text_span;
mod vector;
mod zero_shot;

pub use ablation::{Ablation, ablate, component_means};
pub use accuracy::Accuracy;
pub use adam_probe::{AdamProbeOptions, AdamProbeReport, fit_adam_probe};
pub use assignment::best_assignment;
pub use attribution::{
    correlation_attributed, covariance_attributed, variance_attributed, variance_explained,
};
pub use basis::{Basis, Dropped};
pub use bootstrap::{Bootstrap, BootstrapOptions, GroupIntervals, Interval};
pub(crate) use cka::Centred;
pub use cka::{CkaEstimate, linear_cka};
pub use classified::Classified;
pub use completeness::{Rebuild, Rebuilt, rebuild_from_texts};
pub use control::{RandomDraws, random_control};
pub use correction::{Correction, CorrectionOptions, locate_then_correct};
pub use groups::{GroupAccuracy, GroupCount, Grouped, cross_groups};
pub use heatmap::{Scaled, ShownSign, enlarge, scaled};
pub use linear_head::LinearHead;
pub use linear_probe::{ProbeOptions, ProbeReport, fit_probe};
pub use means::ComponentMeans;
pub use mitigation::{Labelled, MitigateOptions, Mitigation, ablate_first, difference, mitigate};
pub use ordering::{Ordering, ordering, word_correlations};
pub use ranking::{Ranked, Ranking, rank, top};
pub use scaling::{GroupLoss, Scaling, ScalingOptions, fit_scaling};
pub use scores::{ScoreMeasure, Scores, scores_of};
pub use segmentation::{LEFT_OUT, PixelCounts, SegmentationScores, Segmented, clipped, segment};
pub use similarity::component_similarity;
pub use sparse_code::{Pursuit, SparseCode, matching_pursuit, sparse_code};
pub use spearman::spearman;
pub use specialisation::{Specialisation, specialisation};
pub use streamed_ablation::StreamedAblation;
pub(crate) use text_span::each_text_span;
pub use text_span::{TextSpan, text_span, text_spans};
pub use zero_shot::{class_embeddings, zero_shot};
