//! Spurious-correlation mitigation (paper section 5.3, there on Waterbirds), on any data with two label columns.
//!
//! A frozen backbone knows classes and places. A classifier fitted on images in which the two mostly agree leans on the
//! place and fails where they disagree. The components whose score for the place most exceeds that for the class are
//! mean-ablated, and the classifier, as it is, gets better where it was worst.
//!
//! | | |
//! | --- | --- |
//! | [`StudyData`] | images in three splits, the columns of class and attribute, and words for both |
//! | [`StudySettings`], [`StudyProtocol`] | how it is done: as published, or with everything chosen on a validation split |
//! | [`Study`] | data and settings together; [`Study::run`] takes a model and a [`Classifier`] |
//! | [`Mitigated`] | what it came to: tables, charts, intervals |
//!
//! ```no_run
//! use vitrepl_prelude::prelude::*;
//!
//! # fn main() -> Result<()> {
//! // Waterbirds as the paper does it: its cleaned folders, its fixed ten components, its probe.
//! let data = StudyData::cleaned_waterbirds("corr-0.9", "uncorr", OnUnreadable::Fail)?;
//! let (clip, deit) = (load_clip("ViT-L-14")?, load("deit")?);
//! let study = Study::new(&clip, data, StudySettings::paper())?;
//! println!("{}", study.run(&deit, Classifier::Probe)?.table());
//! # Ok(())
//! # }
//! ```

mod charts;
mod data;
mod generated;
mod outcome;
mod remedies;
mod settings;
mod show;
mod study;
mod tables;
mod waterbirds;

pub use data::StudyData;
pub use generated::GeneratedSplits;
pub use outcome::{Mitigated, Outcome, Remedy, RemedyKind, Scored};
pub use settings::{
    Classifier, Feature, PaperProtocol, StudyProtocol, StudySettings, ValidatedProtocol,
};
pub use study::Study;
pub use tables::{comparison, remedy_comparison, study_accuracies};
