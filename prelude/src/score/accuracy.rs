//! Accuracy on labelled images, and whether it is what chance gives.

use std::fmt;

use crate::check;
use crate::{Error, Result};

/// Fewer images say too little to speak of chance.
const ENOUGH: usize = 30;

/// Deviations from chance that count as a difference.
const SIGNIFICANT: f64 = 3.0;

/// How many of a set's images a classifier got right.
#[derive(Debug, Clone, PartialEq)]
pub struct Accuracy {
    /// Images whose predicted class is their label.
    pub correct: usize,
    /// All images.
    pub images: usize,
    /// Classes of the classifier.
    pub classes: usize,
    /// Right answers to be expected if labels had nothing to do with predictions: the sum over classes of the product
    /// of their numbers among both, over the images.
    pub by_chance: f64,
    /// Images whose label is the one that their predicted class meets most often: what `correct` would be if classes
    /// were renamed.
    renamed: usize,
    /// Different classes among the predictions.
    predicted: usize,
}

impl Accuracy {
    /// Compares predicted classes with labels, both below `classes`.
    ///
    /// # Errors
    /// Lengths that differ, no images, a label or prediction that is no class.
    pub fn of(predicted: &[usize], labels: &[usize], classes: usize) -> Result<Self> {
        check::same("labels", labels.len(), predicted.len(), "images")?;
        if labels.is_empty() {
            return Err(Error::data("for accuracy", "it holds no images"));
        }
        within("labels", labels, classes)?;
        within("predicted", predicted, classes)?;
        let mut pairs: Vec<(usize, usize)> = predicted
            .iter()
            .copied()
            .zip(labels.iter().copied())
            .collect();
        pairs.sort_unstable();
        let mut of_label = vec![0usize; classes];
        labels.iter().for_each(|&l| of_label[l] += 1);
        let by_class = || pairs.chunk_by(|a, b| a.0 == b.0);
        let by_chance = by_class()
            .map(|c| c.len() as f64 * of_label[c[0].0] as f64)
            .sum::<f64>()
            / labels.len() as f64;
        let most = |class: &[(usize, usize)]| {
            let runs = class.chunk_by(|a, b| a.1 == b.1).map(<[_]>::len);
            runs.max().unwrap_or(0)
        };
        Ok(Self {
            correct: pairs.iter().filter(|(p, l)| p == l).count(),
            images: labels.len(),
            classes,
            by_chance,
            renamed: by_class().map(most).sum(),
            predicted: by_class().count(),
        })
    }

    /// Share of right answers.
    pub fn share(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }

    /// What to look at when the accuracy is not above chance: commonly the labels count the classes in another order
    /// than the classifier. With two classes, where half is often all there is to get, only an accuracy below chance
    /// brings a hint. None for fewer than 30 images.
    pub fn hint(&self) -> Option<String> {
        let (n, correct) = (self.images as f64, self.correct as f64);
        let chance = self.by_chance / n;
        let deviation = (n * chance * (1.0 - chance)).sqrt();
        let suspicious = match self.classes {
            0 | 1 => false,
            2 => correct < self.by_chance - SIGNIFICANT * deviation,
            // The best that a classifier could do must be told apart from chance too.
            _ => {
                correct <= self.by_chance + SIGNIFICANT * deviation
                    && n > self.by_chance + 2.0 * SIGNIFICANT * deviation
            }
        };
        if !suspicious || self.images < ENOUGH {
            return None;
        }
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let what = format!(
            "{} of {} images are right, where chance gives {}",
            percent(self.share()),
            self.images,
            percent(chance)
        );
        if self.predicted == 1 {
            return Some(format!(
                "{what}: one class is predicted for every image; look at the head and at the representations it is \
                 given (preprocessing, the model it was fitted on)"
            ));
        }
        let renamed = self.renamed as f64 / n;
        let points = match renamed > 0.5
            && renamed > 3.0 * chance
            && n >= 10.0 * self.classes as f64
        {
            true => format!(
                " (with each predicted class read as the label it meets most often, {} would be right)",
                percent(renamed)
            ),
            false => String::new(),
        };
        Some(format!(
            "{what}: the labels may count the classes in another order than the head{points}. Compare the names of \
             both: class folders and ImageNet's wnids are in alphabetical order, a zero-shot head has the order of its \
             texts"
        ))
    }

    /// Writes the hint, if there is one, to standard error.
    pub(super) fn say(&self) {
        if let Some(hint) = self.hint() {
            eprintln!("{hint}");
        }
    }
}

/// `93.1 % of 3000 images`, and the hint where the accuracy is not above chance.
impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hint() {
            Some(hint) => f.write_str(&hint),
            None => write!(f, "{:.1} % of {} images", 100.0 * self.share(), self.images),
        }
    }
}

/// Refuses a label that is no class.
pub(super) fn within(name: &'static str, values: &[usize], classes: usize) -> Result<()> {
    match values.iter().position(|v| *v >= classes) {
        None => Ok(()),
        Some(i) => Err(Error::argument(
            name,
            format!("{} (image {i})", values[i]),
            format!("below {classes}, the number of classes; they count from 0"),
        )),
    }
}
