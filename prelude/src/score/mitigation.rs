//! Mitigating a spurious correlation without training: switch off the components that carry the spurious feature
//! and not the core one (section 5.3 of the paper).
//!
//! The number of components is chosen on a validation split, and beside the chosen ones stands the same number of
//! random ones: a gain that random components bring as well is not due to the choice.

use candle_core::Tensor;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::accuracy::within;
use super::{
    Ablation, Accuracy, ComponentMeans, GroupAccuracy, LinearHead, RandomDraws, Ranked, Scores,
    rank,
};
use crate::align::Alignable;
use crate::check;
use crate::decompose::{ImageChunks, same_components};
use crate::{Error, Result};

/// Images with labels and groups. Their contributions are a plain tensor, n x B x d, or contributions in memory or in chunks.
#[derive(Debug)]
pub struct Labelled<'a, C = Tensor> {
    pub contributions: &'a C,
    /// The class of each image.
    pub labels: &'a [usize],
    /// The group of each image, a place among the names.
    pub groups: &'a [usize],
}

impl<C> Clone for Labelled<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Labelled<'_, C> {}

/// Settings of [`mitigate`].
#[derive(Debug, Clone)]
pub struct MitigateOptions {
    /// Numbers of components to try; when empty, every one from 0 to half of them.
    pub ks: Vec<usize>,
    /// Random choices of the same number of components.
    pub draws: usize,
    /// Seed of the random choices.
    pub seed: u64,
}

impl Default for MitigateOptions {
    fn default() -> Self {
        Self {
            ks: Vec::new(),
            draws: 20,
            seed: 0,
        }
    }
}

/// What switching components off came to.
#[derive(Debug, Clone)]
pub struct Mitigation {
    /// All components by spurious score less core score, highest first.
    pub order: Vec<Ranked>,
    /// How many of them were switched off.
    pub k: usize,
    /// (k, worst group's accuracy, average) on the validation split, for each k tried; of [`ablate_first`], which
    /// chooses nothing, on the images it was given.
    pub validation: Vec<(usize, f64, f64)>,
    /// On the test split, nothing switched off.
    pub before: GroupAccuracy,
    /// On the test split, the first k switched off.
    pub after: GroupAccuracy,
    /// On the test split, k random components switched off; no draws of [`ablate_first`].
    pub random: RandomDraws,
    /// Of all images of the test split, nothing switched off; its hint is set where that is no more than chance gives.
    pub accuracy: Accuracy,
}

impl Mitigation {
    /// The components switched off.
    pub fn ablated(&self) -> &[Ranked] {
        &self.order[..self.k]
    }
}

/// Components by how much more of the spurious feature than of the core one they carry.
///
/// # Errors
/// Lengths that differ, NaN, scores that do not differ for any component.
pub fn difference(names: &[String], spurious: &[f64], core: &[f64]) -> Result<Vec<Ranked>> {
    check::same("core", core.len(), spurious.len(), "components")?;
    let scores: Vec<f64> = spurious.iter().zip(core).map(|(s, c)| s - c).collect();
    rank(names, &scores)
}

/// Switches off the first k components of `order` (of [`difference`]) in a linear head's input, k chosen by the
/// worst group of `validation` (then by the average, then the smaller), and reports groups on `test` before and
/// after. `means` (n x d) are those of [`component_means`](super::component_means) on a reference set. Norms stay frozen
/// where components are switched off ([`Ablation`]). Where the head is no better than chance on the test split, a hint
/// on the order of classes goes to standard error.
///
/// # Errors
/// Shapes and lengths that do not fit, a head for another width, a label that is no class of it, a group of the test
/// split that the validation split lacks, a k above the number of components, no draws, NaN or infinity.
pub fn mitigate<C: ImageChunks>(
    order: &[Ranked],
    group_names: &[String],
    means: &Tensor,
    head: &LinearHead,
    validation: Labelled<C>,
    test: Labelled<C>,
    options: &MitigateOptions,
) -> Result<Mitigation> {
    let n = order.len();
    let ks = candidates(&options.ks, n)?;
    if options.draws == 0 {
        return Err(Error::argument("draws", 0, "at least 1"));
    }
    let sequence: Vec<usize> = order.iter().map(|r| r.index).collect();

    let split = Evaluated::new(validation, means, head, group_names, n)?;
    let prefixes = split.prefixes(&sequence)?;
    let curve: Vec<(usize, f64, f64)> = ks
        .iter()
        .map(|&k| (k, prefixes[k].worst(), prefixes[k].average()))
        .collect();
    let k = choose(&curve);

    let chosen_on = split.without(&[])?;
    let split = Evaluated::new(test, means, head, group_names, n)?;
    let before = split.without(&[])?;
    check_groups(&chosen_on, &before)?;
    let accuracy = Accuracy::of(&split.ablation.predict(&[])?, test.labels, head.classes())?;
    accuracy.say();
    let after = split.without(&sequence[..k])?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut shuffled = sequence;
    let draws = (0..options.draws)
        .map(|_| {
            shuffled.shuffle(&mut rng);
            split.without(&shuffled[..k])
        })
        .collect::<Result<_>>()?;
    Ok(Mitigation {
        order: order.to_vec(),
        k,
        validation: curve,
        before,
        after,
        random: RandomDraws { draws },
        accuracy,
    })
}

/// The paper's protocol: the first `k` of `order` (of [`difference`]) switched off, `k` fixed beforehand, and the groups
/// of the same `images` reported before and after. No split on which anything is chosen, no random control.
///
/// # Errors
/// As [`mitigate`].
pub fn ablate_first<C: ImageChunks>(
    order: &[Ranked],
    k: usize,
    group_names: &[String],
    means: &Tensor,
    head: &LinearHead,
    images: Labelled<C>,
) -> Result<Mitigation> {
    let n = order.len();
    let ks = candidates(&[k], n)?;
    let sequence: Vec<usize> = order.iter().map(|r| r.index).collect();
    let split = Evaluated::new(images, means, head, group_names, n)?;
    let accuracy = Accuracy::of(&split.ablation.predict(&[])?, images.labels, head.classes())?;
    accuracy.say();
    let prefixes = split.prefixes(&sequence)?;
    let shown = (0..=n / 2).chain(ks.into_iter().filter(|k| *k > n / 2));
    Ok(Mitigation {
        order: order.to_vec(),
        k,
        validation: shown
            .map(|k| (k, prefixes[k].worst(), prefixes[k].average()))
            .collect(),
        before: prefixes[0].clone(),
        after: prefixes[k].clone(),
        random: RandomDraws { draws: Vec::new() },
        accuracy,
    })
}

/// The number of components is chosen by the worst group of the validation split: a group it lacks would have no say.
fn check_groups(validation: &GroupAccuracy, test: &GroupAccuracy) -> Result<()> {
    let both = validation.groups.iter().zip(&test.groups);
    match both
        .into_iter()
        .find(|(v, t)| v.images == 0 && t.images > 0)
    {
        None => Ok(()),
        Some((group, _)) => Err(Error::data(
            "for validation",
            format!(
                "it has no image of group \"{}\", which the test split has; take a larger or stratified one",
                group.name
            ),
        )),
    }
}

impl Scores {
    /// [`mitigate`] with the components in the order of these scores, commonly the spurious feature's less the core one's
    /// ([`Scores::minus`]).
    ///
    /// # Errors
    /// When scores, means, head and contributions are not of the same model, options and components; as [`mitigate`].
    pub fn mitigate<C: Alignable + ImageChunks>(
        &self,
        group_names: &[String],
        means: &ComponentMeans,
        head: &LinearHead,
        validation: Labelled<C>,
        test: Labelled<C>,
        options: &MitigateOptions,
    ) -> Result<Mitigation> {
        self.check_mitigation(means, head, &[validation, test])?;
        mitigate(
            &self.ranked()?,
            group_names,
            means,
            head,
            validation,
            test,
            options,
        )
    }

    /// [`ablate_first`] with the components in the order of these scores: the paper's protocol.
    ///
    /// # Errors
    /// As [`Scores::mitigate`].
    pub fn ablate_first<C: Alignable + ImageChunks>(
        &self,
        k: usize,
        group_names: &[String],
        means: &ComponentMeans,
        head: &LinearHead,
        images: Labelled<C>,
    ) -> Result<Mitigation> {
        self.check_mitigation(means, head, &[images])?;
        ablate_first(&self.ranked()?, k, group_names, means, head, images)
    }

    /// Refuses means, a head or contributions of another model or other options than these scores.
    fn check_mitigation<C: Alignable>(
        &self,
        means: &ComponentMeans,
        head: &LinearHead,
        splits: &[Labelled<C>],
    ) -> Result<()> {
        let doing = "mitigating a spurious correlation";
        let remedy = "score, average and test contributions of one model and one set of options";
        same_components(doing, self.side(), means.side(), remedy)?;
        for split in splits {
            let contributions = split.contributions.belongs().0;
            let origin = contributions.origin;
            same_components(doing, self.side(), contributions, remedy)?;
            if let Some(origin) = origin {
                head.check_reads(doing, "contributions", &origin.model)?;
            }
        }
        Ok(())
    }
}

/// The numbers of components to try, each once, in order.
pub(super) fn candidates(wanted: &[usize], n: usize) -> Result<Vec<usize>> {
    if wanted.is_empty() {
        return Ok((0..=n / 2).collect());
    }
    if let Some(k) = wanted.iter().find(|k| **k > n) {
        return Err(Error::argument(
            "k",
            k,
            format!("at most {n}, the number of components"),
        ));
    }
    let mut ks = wanted.to_vec();
    ks.sort_unstable();
    ks.dedup();
    Ok(ks)
}

/// The k with the best worst group, then the best average, then the smallest.
fn choose(curve: &[(usize, f64, f64)]) -> usize {
    let better = |best: (usize, f64, f64), next: &(usize, f64, f64)| match (next.1, next.2)
        > (best.1, best.2)
    {
        true => *next,
        false => best,
    };
    curve.iter().fold((0, -1.0, -1.0), better).0
}

/// A split with its logits taken apart.
struct Evaluated<'a, C> {
    ablation: Ablation,
    images: Labelled<'a, C>,
    names: &'a [String],
}

impl<'a, C: ImageChunks> Evaluated<'a, C> {
    fn new(
        images: Labelled<'a, C>,
        means: &Tensor,
        head: &LinearHead,
        names: &'a [String],
        components: usize,
    ) -> Result<Self> {
        let ablation = Ablation::new(images.contributions, means, head)?;
        within("labels", images.labels, head.classes())?;
        check::same("order", components, ablation.components(), "components")?;
        Ok(Self {
            ablation,
            images,
            names,
        })
    }

    fn count(&self, predicted: &[usize]) -> Result<GroupAccuracy> {
        GroupAccuracy::count(
            predicted,
            self.images.labels,
            self.images.groups,
            self.names,
        )
    }

    fn without(&self, set: &[usize]) -> Result<GroupAccuracy> {
        self.count(&self.ablation.predict(set)?)
    }

    fn prefixes(&self, order: &[usize]) -> Result<Vec<GroupAccuracy>> {
        let answers = self.ablation.predict_prefixes(order)?;
        answers.iter().map(|p| self.count(p)).collect()
    }
}
