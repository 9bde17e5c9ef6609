//! What a study came to for one model.

use super::Classifier;
use crate::score::{
    BootstrapOptions, GroupAccuracy, GroupIntervals, Interval, Mitigation, RandomDraws, Ranked,
    ScoreMeasure,
};

/// A component's scores for the two features.
#[derive(Clone, Debug)]
pub struct Scored {
    pub name: String,
    pub spurious: f64,
    pub core: f64,
}

/// The accuracies of one classifier on the tested images.
#[derive(Clone)]
pub struct Outcome {
    pub accuracy: GroupAccuracy,
    /// The average weighted by the groups' training images (Sagawa et al.); none where a group of the training split has
    /// no tested image.
    pub weighted: Option<f64>,
    pub intervals: GroupIntervals,
}

/// What is done to the components.
#[derive(Clone, Debug, PartialEq)]
pub enum RemedyKind {
    /// The first k replaced by their means.
    MeanAblation { k: usize },
    /// All scaled by weights fitted on the validation split, which were pulled to 1 with this strength.
    Scaling { strength: f64 },
    /// Some replaced by their means, others strengthened by a factor.
    LocateThenCorrect {
        off: usize,
        strengthened: usize,
        factor: f64,
    },
}

impl RemedyKind {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MeanAblation { .. } => "mean ablation",
            Self::Scaling { .. } => "fitted weights",
            Self::LocateThenCorrect { .. } => "locate then correct",
        }
    }

    /// What it changes of how many components.
    pub(super) fn change(&self, weights: &[f64]) -> String {
        let n = weights.len();
        match self {
            Self::MeanAblation { k } => format!("{k} of {n} off"),
            Self::Scaling { .. } => {
                let off = weights.iter().filter(|w| **w == 0.0).count();
                let most = weights.iter().copied().fold(0.0, f64::max);
                format!("{off} of {n} off, others up to x {most:.1}")
            }
            Self::LocateThenCorrect {
                off,
                strengthened,
                factor,
            } => match strengthened {
                0 => format!("{off} of {n} off"),
                _ => format!("{off} of {n} off, {strengthened} x {factor}"),
            },
        }
    }
}

/// A change of components, and what it came to on the tested images.
#[derive(Clone)]
pub struct Remedy {
    pub kind: RemedyKind,
    /// The factor of each component about its mean, in the model's order: 0 is switched off, 1 as it is.
    pub weights: Vec<f64>,
    pub outcome: Outcome,
    /// How much it changes, images resampled in pairs.
    pub gain: GroupIntervals,
    /// How much it changes over mean ablation, images resampled in pairs; none for mean ablation itself.
    pub over_ablation: Option<GroupIntervals>,
    /// The same factors dealt out to components at random; no draws by the paper's protocol.
    pub random: RandomDraws,
}

/// What the study came to for one model.
#[derive(Clone)]
pub struct Mitigated {
    pub model: String,
    /// What the data is called.
    pub data: String,
    /// Which images the accuracies are of.
    pub images: &'static str,
    pub head: Classifier,
    /// The spurious feature's name and the core one's.
    pub features: [String; 2],
    /// How components were scored.
    pub measure: ScoreMeasure,
    /// Every component, in the model's order.
    pub scores: Vec<Scored>,
    /// Held-out cosine of the aligner; none for CLIP itself.
    pub cosine: Option<f32>,
    pub mitigation: Mitigation,
    /// Nothing changed.
    pub before: Outcome,
    /// Mean ablation, and by [`StudyProtocol::Validated`](super::StudyProtocol::Validated) what goes beyond it.
    pub remedies: Vec<Remedy>,
    /// Images of each group in the training split.
    pub training: Vec<usize>,
    /// How the intervals were made.
    pub bootstrap: BootstrapOptions,
}

impl Mitigated {
    /// The remedy with the best worst group on the tested images (the first of them).
    pub fn best(&self) -> &Remedy {
        let worst = |r: &Remedy| r.outcome.accuracy.worst();
        let better = |best: usize, next: usize| {
            let better = worst(&self.remedies[next]) > worst(&self.remedies[best]);
            if better { next } else { best }
        };
        &self.remedies[(0..self.remedies.len()).fold(0, better)]
    }

    /// Model and head.
    pub(super) fn title(&self) -> String {
        match self.head {
            Classifier::Probe => self.model.clone(),
            Classifier::ZeroShot => format!("{} zero-shot", self.model),
            Classifier::Own => format!("{} own head", self.model),
        }
    }

    /// Model, head, data and number of images.
    pub(super) fn whole_title(&self) -> String {
        let groups = &self.before.accuracy.groups;
        let n: usize = groups.iter().map(|g| g.images).sum();
        format!("{}, {}, {n} {}", self.title(), self.data, self.images)
    }

    /// What the intervals are: `95 % bootstrap intervals`.
    pub(super) fn intervals(&self) -> String {
        format!("{} % bootstrap intervals", 100.0 * self.bootstrap.level)
    }

    pub(super) fn scored(&self, ranked: &Ranked) -> &Scored {
        &self.scores[ranked.index]
    }
}

/// The quantities that tables and charts show besides the groups.
pub(super) const WORST: &str = "worst group";
pub(super) const AVERAGE: &str = "average over images";
pub(super) const OF_GROUPS: &str = "average of groups";
pub(super) const WEIGHTED: &str = "average weighted by training groups";

/// One accuracy with its name and interval.
pub(super) struct Quantity {
    pub name: String,
    /// None where no image of the group was tested.
    pub value: Option<f64>,
    pub interval: Option<Interval>,
}

impl Outcome {
    /// Every group, the worst one, and the three averages.
    pub(super) fn quantities(&self) -> Vec<Quantity> {
        let (accuracy, intervals) = (&self.accuracy, &self.intervals);
        let groups = accuracy.groups.iter().zip(&intervals.groups);
        let groups = groups.map(|(group, interval)| Quantity {
            name: group.name.clone(),
            value: group.accuracy(),
            interval: *interval,
        });
        let of = |name: &str, value, interval| Quantity {
            name: name.to_string(),
            value,
            interval,
        };
        let average_of_groups = Some(accuracy.average_of_groups());
        groups
            .chain([
                of(WORST, Some(accuracy.worst()), Some(intervals.worst)),
                of(AVERAGE, Some(accuracy.average()), Some(intervals.average)),
                of(
                    OF_GROUPS,
                    average_of_groups,
                    Some(intervals.average_of_groups),
                ),
                of(WEIGHTED, self.weighted, intervals.average_weighted),
            ])
            .collect()
    }
}
