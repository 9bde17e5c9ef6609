//! What components are about: scores for features, words, and how much of an image's class the words account for (paper
//! sections 3.3 and 4).
//!
//! | | |
//! | --- | --- |
//! | [`attribution_matrix`] | every component's score for every feature: one picture, the top components of a feature, how specialised each component is |
//! | [`component_labels`] | the texts of every component by greedy text span, matching pursuit and sparse non-negative coding, side by side |
//! | [`text_completeness`] | zero-shot accuracy of representations whose heads are rebuilt from their texts |
//!
//! ```no_run
//! use vitrepl_prelude::prelude::*;
//!
//! # fn main() -> Result<()> {
//! let (vit, clip) = (load("tiny_vit")?, load_clip("tiny_clip")?);
//! let images = GeneratedSet::new(GeneratedSpec::unbiased(77_000, 1000))?;
//! let options = DecomposeOptions::default();
//! let alignment = align(&vit, &clip, &images, &options, &FitOptions::default())?;
//! let aligned = alignment.apply(&*decompose(&vit, &images, &options)?)?;
//! let matrix = attribution_matrix(&clip, &aligned, &FeatureWords::generated(), ScoreMeasure::VarianceAttributed)?;
//! matrix.chart().save("attribution.pdf")?;
//! println!("{}", matrix.top(5)?);
//! # Ok(())
//! # }
//! ```

mod completeness;
mod completeness_table;
mod label_table;
mod labels;
mod matrix;
mod show;
mod specialised;

pub use completeness::{CompletenessOptions, CompletenessRow, TextCompleteness, text_completeness};
pub use labels::{ComponentLabel, ComponentLabels, LabelOptions, TextLabel, component_labels};
pub use matrix::{AttributionMatrix, attribution_matrix};
pub use specialised::{ComponentSpecialisation, SpecialisedComponent};
