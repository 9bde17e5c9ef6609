//! The tested images, and what each change of components does to them.

use super::{Outcome, Remedy, RemedyKind};
use crate::Result;
use crate::score::{
    Ablation, Bootstrap, BootstrapOptions, Correction, Grouped, MitigateOptions, Mitigation,
    RandomDraws, Scaling, random_control,
};

/// A change of components that was chosen on other images.
pub(super) struct Change {
    kind: RemedyKind,
    weights: Vec<f64>,
}

impl From<Scaling> for Change {
    fn from(scaling: Scaling) -> Self {
        let strength = scaling.strength;
        Self {
            kind: RemedyKind::Scaling { strength },
            weights: scaling.weights,
        }
    }
}

impl From<Correction> for Change {
    fn from(found: Correction) -> Self {
        Self {
            kind: RemedyKind::LocateThenCorrect {
                off: found.off,
                strengthened: found.strengthened,
                factor: found.factor,
            },
            weights: found.weights,
        }
    }
}

/// The tested images with their logits taken apart.
pub(super) struct Tested<'a> {
    ablation: Ablation,
    images: Grouped<'a>,
    /// Images of each group in training; none where a group of them is not tested.
    training: Option<Vec<f64>>,
    bootstrap: Bootstrap,
}

impl<'a> Tested<'a> {
    pub fn new(
        ablation: Ablation,
        images: Grouped<'a>,
        training: &[usize],
        options: &BootstrapOptions,
    ) -> Result<Self> {
        let tested = |group: usize| images.groups.contains(&group);
        let known = (0..training.len()).all(|g| training[g] == 0 || tested(g));
        let training = known.then(|| training.iter().map(|n| *n as f64).collect::<Vec<_>>());
        let bootstrap = Bootstrap::new(images.groups, images.names.len(), options)?;
        let bootstrap = match &training {
            Some(weights) => bootstrap.weighted(weights)?,
            None => bootstrap,
        };
        Ok(Self {
            ablation,
            images,
            training,
            bootstrap,
        })
    }

    /// Nothing changed, and the mean ablation of `mitigation` as the first remedy.
    pub fn ablated(&self, mitigation: &Mitigation) -> Result<(Outcome, Vec<Remedy>)> {
        let before = self.outcome(&vec![1.0; self.ablation.components()])?;
        let mut weights = vec![1.0; self.ablation.components()];
        let off = mitigation.ablated().iter();
        off.for_each(|ranked| weights[ranked.index] = 0.0);
        let kind = RemedyKind::MeanAblation { k: mitigation.k };
        let change = Change { kind, weights };
        let random = mitigation.random.clone();
        let ablation = self.changed(change, None, random)?;
        Ok((before, vec![ablation]))
    }

    /// `change`, beside mean `ablation` and beside the same factors at random.
    pub fn remedy(
        &self,
        change: Change,
        ablation: &Remedy,
        control: &MitigateOptions,
    ) -> Result<Remedy> {
        let (draws, seed) = (control.draws, control.seed);
        let random = random_control(&self.ablation, &change.weights, self.images, draws, seed)?;
        self.changed(change, Some(ablation), random)
    }

    fn changed(
        &self,
        change: Change,
        ablation: Option<&Remedy>,
        random: RandomDraws,
    ) -> Result<Remedy> {
        let Change { kind, weights } = change;
        let unchanged = vec![1.0; weights.len()];
        let over = |other: &[f64]| {
            let (other, own) = (self.correct(other)?, self.correct(&weights)?);
            self.bootstrap.change(&other, &own)
        };
        Ok(Remedy {
            outcome: self.outcome(&weights)?,
            gain: over(&unchanged)?,
            over_ablation: ablation.map(|a| over(&a.weights)).transpose()?,
            kind,
            weights,
            random,
        })
    }

    fn outcome(&self, weights: &[f64]) -> Result<Outcome> {
        let accuracy = self.images.count(&self.ablation.predict_scaled(weights)?)?;
        let training = self.training.as_ref();
        Ok(Outcome {
            weighted: training.map(|w| accuracy.average_weighted(w)).transpose()?,
            intervals: self.bootstrap.intervals(&self.correct(weights)?)?,
            accuracy,
        })
    }

    /// Of each image, whether it is right.
    fn correct(&self, weights: &[f64]) -> Result<Vec<bool>> {
        let predicted = self.ablation.predict_scaled(weights)?;
        let pairs = predicted.iter().zip(self.images.labels);
        Ok(pairs.map(|(p, l)| p == l).collect())
    }
}
