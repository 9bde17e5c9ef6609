//! Accuracy by group, as spurious correlations are measured (Sagawa et al., "Distributionally Robust Neural
//! Networks for Group Shifts", ICLR 2020).
//!
//! All papers mean the same by the worst group's accuracy, but not by the average:
//!
//! | | weighs groups by | used by |
//! | --- | --- | --- |
//! | [`GroupAccuracy::average`] | their images in the set at hand: right answers over images | this project's tables; the usual accuracy |
//! | [`GroupAccuracy::average_of_groups`] | nothing, all alike | the decomposition paper's Waterbirds table (its four groups) |
//! | [`GroupAccuracy::average_weighted`] | their images in the *training* set | Sagawa et al. for Waterbirds ("adjusted" average), and most papers that compare with them (WILDS) |
//!
//! Where all groups have as many images the first two are the same. On the original Waterbirds, whose test set has 2255
//! landbirds each on land and water and 642 waterbirds each, the three differ by several points for a biased model, so
//! compare like with like.

use crate::check;
use crate::{Error, Result};

/// Images of one group and how many were right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCount {
    pub name: String,
    pub correct: usize,
    pub images: usize,
}

impl GroupCount {
    /// Share of right answers; none for a group without images.
    pub fn accuracy(&self) -> Option<f64> {
        (self.images > 0).then(|| self.correct as f64 / self.images as f64)
    }
}

/// The classes and groups of some images.
#[derive(Debug, Clone, Copy)]
pub struct Grouped<'a> {
    /// The class of each image.
    pub labels: &'a [usize],
    /// The group of each image, a place among the names.
    pub groups: &'a [usize],
    /// What the groups are called.
    pub names: &'a [String],
}

impl Grouped<'_> {
    /// How many of the `predicted` classes are right in each group.
    ///
    /// # Errors
    /// As [`GroupAccuracy::count`].
    pub fn count(&self, predicted: &[usize]) -> Result<GroupAccuracy> {
        GroupAccuracy::count(predicted, self.labels, self.groups, self.names)
    }

    /// Refuses another number of images than `images`, and labels that are no class.
    pub(super) fn check(&self, images: usize, classes: usize) -> Result<()> {
        check::same("labels", self.labels.len(), images, "images")?;
        check::same("groups", self.groups.len(), images, "images")?;
        super::accuracy::within("labels", self.labels, classes)?;
        match self.groups.iter().find(|g| **g >= self.names.len()) {
            None => Ok(()),
            Some(g) => {
                let expected = format!("below {}, the number of names", self.names.len());
                Err(Error::argument("groups", g, expected))
            }
        }
    }
}

/// Accuracy of every group.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupAccuracy {
    pub groups: Vec<GroupCount>,
}

impl GroupAccuracy {
    /// Counts `predicted` against `labels`, with `groups[i]` the group of image i as a place in `names`.
    ///
    /// # Errors
    /// Lengths that differ, no images, a group without a name.
    pub fn count(
        predicted: &[usize],
        labels: &[usize],
        groups: &[usize],
        names: &[String],
    ) -> Result<Self> {
        check::same("labels", labels.len(), predicted.len(), "images")?;
        check::same("groups", groups.len(), predicted.len(), "images")?;
        if predicted.is_empty() {
            return Err(Error::data("for group accuracy", "it holds no images"));
        }
        let mut counts: Vec<GroupCount> = names
            .iter()
            .map(|name| GroupCount {
                name: name.clone(),
                correct: 0,
                images: 0,
            })
            .collect();
        for ((p, l), &g) in predicted.iter().zip(labels).zip(groups) {
            let count = counts.get_mut(g).ok_or_else(|| {
                Error::argument(
                    "groups",
                    g,
                    format!("below {}, the number of names", names.len()),
                )
            })?;
            count.images += 1;
            count.correct += usize::from(p == l);
        }
        Ok(Self { groups: counts })
    }

    /// With the images of another part of the set, whose groups have the same names.
    ///
    /// # Errors
    /// When they have not.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let names = |counts: &Self| -> Vec<String> {
            counts
                .groups
                .iter()
                .map(|group| group.name.clone())
                .collect()
        };
        if names(self) != names(other) {
            return Err(Error::argument(
                "groups",
                names(other).join(", "),
                format!(
                    "the same groups in the same order: {}",
                    names(self).join(", ")
                ),
            ));
        }
        for (own, other) in self.groups.iter_mut().zip(&other.groups) {
            own.correct += other.correct;
            own.images += other.images;
        }
        Ok(())
    }

    /// Accuracy of the worst group that has images.
    pub fn worst(&self) -> f64 {
        self.groups
            .iter()
            .filter_map(GroupCount::accuracy)
            .fold(1.0, f64::min)
    }

    /// Accuracy over all images: groups weighted by their images in this set. Not the average of the decomposition
    /// paper ([`Self::average_of_groups`]) nor of Sagawa et al. ([`Self::average_weighted`]).
    pub fn average(&self) -> f64 {
        let (correct, images) = self
            .groups
            .iter()
            .fold((0, 0), |(c, i), g| (c + g.correct, i + g.images));
        correct as f64 / images as f64
    }

    /// The mean over groups of their accuracies, each group counting the same: the average of the decomposition paper's
    /// Waterbirds table. Groups without images are left out.
    pub fn average_of_groups(&self) -> f64 {
        let each: Vec<f64> = self.accuracies().map(|(_, a)| a).collect();
        each.iter().sum::<f64>() / each.len() as f64
    }

    /// The mean over groups weighted by `weights`, one for each group: with the groups' sizes in the training set the
    /// "adjusted" average of Sagawa et al. (Waterbirds: 3498, 184, 56, 1057 for landbirds on land and water, waterbirds
    /// on land and water).
    ///
    /// # Errors
    /// Another number of weights, a weight that is negative or not finite, a positive weight of a group without images,
    /// no positive weight.
    pub fn average_weighted(&self, weights: &[f64]) -> Result<f64> {
        check::same("weights", weights.len(), self.groups.len(), "groups")?;
        for (group, weight) in self.groups.iter().zip(weights) {
            if !weight.is_finite() || *weight < 0.0 {
                let expected =
                    "0 or a positive number, such as the group's images in the training set";
                return Err(Error::argument("weights", weight, expected));
            }
            if *weight > 0.0 && group.images == 0 {
                return Err(Error::argument(
                    "weights",
                    format!("{weight} for \"{}\"", group.name),
                    "0 for a group that has no images here, whose accuracy is not known",
                ));
            }
        }
        let total: f64 = weights.iter().sum();
        if total == 0.0 {
            return Err(Error::argument(
                "weights",
                "only 0",
                "at least one that is positive",
            ));
        }
        Ok(self.accuracies().map(|(i, a)| weights[i] * a).sum::<f64>() / total)
    }

    /// Place and accuracy of each group that has images.
    fn accuracies(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let each = self.groups.iter().map(GroupCount::accuracy).enumerate();
        each.filter_map(|(i, a)| a.map(|a| (i, a)))
    }
}

/// Groups of every class with every attribute, class first: names `class, attribute` and each image's place among
/// them.
///
/// # Errors
/// Lengths that differ, a class or attribute without a name.
pub fn cross_groups(
    labels: &[usize],
    attributes: &[usize],
    classes: &[&str],
    attribute_names: &[&str],
) -> Result<(Vec<usize>, Vec<String>)> {
    check::same("attributes", attributes.len(), labels.len(), "images")?;
    let within =
        |name, values: &[usize], names: &[&str]| match values.iter().find(|v| **v >= names.len()) {
            Some(v) => Err(Error::argument(
                name,
                v,
                format!("below {}, the number of names", names.len()),
            )),
            None => Ok(()),
        };
    within("labels", labels, classes)?;
    within("attributes", attributes, attribute_names)?;
    let groups = labels
        .iter()
        .zip(attributes)
        .map(|(l, a)| l * attribute_names.len() + a)
        .collect();
    let names = classes
        .iter()
        .flat_map(|c| attribute_names.iter().map(move |a| format!("{c}, {a}")))
        .collect();
    Ok((groups, names))
}
