//! Accuracy as components are mean-ablated one after the other (paper section 3.1: there from the last layer back, on
//! ImageNet).
//!
//! A component is replaced by its mean over the tested images, which needs no label; the classifier reads the sum of all.
//! Norms, attention and later blocks stay as they were: what is measured is what a component says itself
//! ([`score::ablate`](crate::score::ablate)).
//!
//! | | |
//! | --- | --- |
//! | [`ClassificationTask`](super::ClassificationTask) | what is told apart, on which images; others for a probe to be fitted on |
//! | [`AblationSettings`] | by layer or by head, in which order, and how many random orders stand beside it |
//! | [`ablation_curves`] | runs models and classifiers |
//! | [`AblationCurves`] | the curves: one chart, a table, rows for other programs |
//!
//! ```no_run
//! use vitrepl_prelude::prelude::*;
//!
//! # fn main() -> Result<()> {
//! let (vit, clip) = (load("tiny_vit")?, load_clip("tiny_clip")?);
//! let tested = GeneratedSet::new(GeneratedSpec::unbiased(77_002, 2000))?;
//! let fitted = GeneratedSet::new(GeneratedSpec::unbiased(77_001, 2000))?;
//! let task = ClassificationTask::new(tested, "location")?.fitted_on(fitted)?;
//! let cases = [(&*vit, Classifier::Own), (&*vit, Classifier::Probe), (&*clip, Classifier::ZeroShot)];
//! let curves = ablation_curves(&task, &cases, &AblationSettings::default())?;
//! curves.chart().save("ablation.pdf")?;
//! # Ok(())
//! # }
//! ```

mod curve;
mod order;
mod run;
mod show;

pub use curve::{AblationCurve, AblationCurves, AblationStep, RandomOrders};
pub use order::AblationOrder;
pub use run::{AblationSettings, ablation_curves};
