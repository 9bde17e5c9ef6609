//! The random control: what a change of components brings when the components are taken at random. A gain that it brings
//! as well is not due to the choice.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Ablation, GroupAccuracy, Grouped};
use crate::{Error, Result};

/// Test accuracy with the same change made to random components, one entry a draw; without draws its means are NaN.
#[derive(Clone, PartialEq)]
pub struct RandomDraws {
    pub draws: Vec<GroupAccuracy>,
}

impl RandomDraws {
    /// Mean over the draws of the worst group's accuracy.
    pub fn mean_worst(&self) -> f64 {
        self.mean(GroupAccuracy::worst)
    }

    /// Mean over the draws of the average accuracy.
    pub fn mean_average(&self) -> f64 {
        self.mean(GroupAccuracy::average)
    }

    /// The draw with the best worst group.
    pub fn best(&self) -> Option<&GroupAccuracy> {
        self.draws
            .iter()
            .max_by(|a, b| a.worst().total_cmp(&b.worst()))
    }

    /// Mean over the draws of each group's accuracy; none for a group without images.
    pub fn mean_groups(&self) -> Vec<Option<f64>> {
        let groups = self.draws.first().map_or(0, |d| d.groups.len());
        (0..groups)
            .map(|g| {
                let each = self.draws.iter().map(|d| d.groups[g].accuracy());
                let sum = each.sum::<Option<f64>>()?;
                Some(sum / self.draws.len() as f64)
            })
            .collect()
    }

    fn mean(&self, of: impl Fn(&GroupAccuracy) -> f64) -> f64 {
        self.draws.iter().map(of).sum::<f64>() / self.draws.len() as f64
    }
}

/// The accuracy of each group with `weights` ([`Ablation::predict_scaled`]) dealt out to the components in `draws`
/// random orders: the same changes, made to components that nobody chose.
///
/// # Errors
/// No draws, lengths that differ, a weight that is negative or not finite.
pub fn random_control(
    ablation: &Ablation,
    weights: &[f64],
    images: Grouped,
    draws: usize,
    seed: u64,
) -> Result<RandomDraws> {
    if draws == 0 {
        return Err(Error::argument("draws", 0, "at least 1"));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut dealt = weights.to_vec();
    let draws = (0..draws).map(|_| {
        dealt.shuffle(&mut rng);
        images.count(&ablation.predict_scaled(&dealt)?)
    });
    Ok(RandomDraws {
        draws: draws.collect::<Result<_>>()?,
    })
}
