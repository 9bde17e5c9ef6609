//! Zero-shot segmentation (paper section 5.3): how well maps of what a class score depends on separate the object from its
//! background.
//!
//! The decomposition's map of a class is what the source tokens of all heads of the decomposed blocks give to the class's
//! logit; MLPs and `init` have no source tokens and do not enter. Values below 0 are cut off, as published. Beside it stand
//! Grad-CAM, both methods of Chefer et al., rollout and raw attention. All methods see the same traced model, the same class
//! and the same pixels, and their maps are enlarged, thresholded at their own mean and compared with the mask by the same
//! code. (The published comparison crops pictures in one way for the decomposition and in another for the other methods.)
//!
//! What a method is not defined on (methods that read a class token's row, on a model without one) is listed with the
//! reason, and left out of the table.

mod examples;
mod maps;
mod results;
mod run;

pub use examples::SegmentationExamples;
pub use maps::SegmentationMethod;
pub use results::{Segmentation, SegmentationRow, segmentation_table};
pub use run::{SegmentationSettings, segmentation};
