//! How a study is done.

use crate::decompose::DecomposeOptions;
use crate::identity::TextEmbeddings;
use crate::score::{
    AdamProbeOptions, BootstrapOptions, CorrectionOptions, MitigateOptions, ProbeOptions,
    ScalingOptions, ScoreMeasure,
};
use std::sync::Arc;

/// Settings of a [`Study`](super::Study); [`StudySettings::default`] is the project's way, [`StudySettings::paper`] the paper's.
#[derive(Clone, Debug)]
pub struct StudySettings {
    /// Components, and who gets the constants ([`Sharing`](crate::decompose::Sharing)).
    pub decompose: DecomposeOptions,
    /// Epochs of the maps to CLIP's space.
    pub align_epochs: usize,
    /// How a component is scored for a feature.
    pub measure: ScoreMeasure,
    pub protocol: StudyProtocol,
    /// Intervals of the accuracies.
    pub bootstrap: BootstrapOptions,
}

impl Default for StudySettings {
    fn default() -> Self {
        Self {
            decompose: DecomposeOptions::default(),
            align_epochs: 4,
            measure: ScoreMeasure::VarianceAttributed,
            protocol: StudyProtocol::validated(),
            bootstrap: BootstrapOptions::default(),
        }
    }
}

impl StudySettings {
    /// As published: [`StudyProtocol::paper`], the scores and the components being the paper's by default.
    pub fn paper() -> Self {
        Self {
            protocol: StudyProtocol::paper(),
            ..Self::default()
        }
    }
}

/// What is chosen where, and what is tested on what.
///
/// ```
/// use vitrepl_prelude::experiments::spurious::{StudyProtocol, StudySettings, ValidatedProtocol};
/// use vitrepl_prelude::score::MitigateOptions;
///
/// // Ten components whatever the model, but tested on images that nothing else has seen.
/// let mitigate = MitigateOptions { ks: vec![10], ..Default::default() };
/// let protocol = StudyProtocol::Validated(ValidatedProtocol { mitigate, ..Default::default() });
/// let settings = StudySettings { protocol, ..StudySettings::default() };
/// ```
#[derive(Clone, Debug)]
pub enum StudyProtocol {
    /// As in the paper's code: the first k components, a number fixed for all models; scores, means and accuracies all
    /// on the validation and the test split *together*; the probe stopped after ten epochs. Nothing is chosen and nothing
    /// is compared with chance, and the images tested are those the components were scored on: right for comparing with
    /// the published table, too kind as a measurement.
    Paper(PaperProtocol),
    /// Scores and means on the reference images (without them on the validation split), k chosen on the validation split,
    /// accuracies on a test split that nothing else has seen, beside random components. Fitted weights and
    /// locate-then-correct stand beside mean ablation.
    Validated(ValidatedProtocol),
}

/// Settings of [`StudyProtocol::Paper`].
#[derive(Clone, Debug)]
pub struct PaperProtocol {
    /// Components switched off.
    pub k: usize,
    /// The published probe.
    pub probe: AdamProbeOptions,
}

impl Default for PaperProtocol {
    fn default() -> Self {
        Self {
            k: 10,
            probe: AdamProbeOptions::default(),
        }
    }
}

/// Settings of [`StudyProtocol::Validated`].
#[derive(Clone, Debug, Default)]
pub struct ValidatedProtocol {
    pub probe: ProbeOptions,
    /// Numbers of components to choose from, and the random control of every remedy.
    pub mitigate: MitigateOptions,
    pub scaling: ScalingOptions,
    pub correction: CorrectionOptions,
}

impl StudyProtocol {
    /// Ten components, and the published probe.
    pub fn paper() -> Self {
        Self::Paper(PaperProtocol::default())
    }

    /// The defaults of everything that is fitted and chosen.
    pub fn validated() -> Self {
        Self::Validated(ValidatedProtocol::default())
    }

    /// What titles say of it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Paper(_) => "validation and test images (the paper's protocol)",
            Self::Validated(_) => "test images",
        }
    }
}

/// What decides a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classifier {
    /// A linear probe fitted on the training split.
    Probe,
    /// The nearest of the classes' text embeddings; nothing is fitted.
    ZeroShot,
    /// The head that the model was trained with; nothing is fitted. Its classes must be those of the data.
    Own,
}

/// A feature, given by its instantiations in CLIP space.
#[derive(Clone, Debug)]
pub struct Feature {
    pub name: String,
    /// k x D, one unit vector for each instantiation.
    pub embeddings: Arc<TextEmbeddings>,
}
