//! Accuracy by group, as spurious correlations are measured (Sagawa et al., "Distributionally Robust Neural
//! Networks for Group Shifts", ICLR 2020).

use crate::align::check;
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

/// Accuracy of every group.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    /// Accuracy of the worst group that has images.
    pub fn worst(&self) -> f64 {
        self.groups
            .iter()
            .filter_map(GroupCount::accuracy)
            .fold(1.0, f64::min)
    }

    /// Accuracy over all images.
    pub fn average(&self) -> f64 {
        let (correct, images) = self
            .groups
            .iter()
            .fold((0, 0), |(c, i), g| (c + g.correct, i + g.images));
        correct as f64 / images as f64
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
