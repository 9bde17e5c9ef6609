//! Precision of retrieval against known labels: the components chosen for a feature, beside the full representation and
//! components taken at random.

use super::nearest::{Nearest, nearest_to_probes, nearest_to_texts};
use super::{FeatureComponents, PrecisionRow, RetrievalPrecision, feature_components};
use crate::align::AlignedStack;
use crate::data::Labels;
use crate::decompose::ContributionStack;
use crate::facts::{self, Facts};
use crate::identity::{TextEmbeddings, debug_as_display};
use crate::score::{ScoreMeasure, scores_of};
use crate::{Error, Result, check};
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use std::fmt;

/// A feature whose value is known for every image.
#[derive(Clone)]
pub struct RetrievalFeature {
    pub name: String,
    pub labels: Labels,
    /// One text for each name of the labels.
    pub texts: TextEmbeddings,
}

impl fmt::Display for RetrievalFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.labels.names.iter();
        let shown = Facts::new(format!("feature \"{}\"", self.name))
            .row("values", facts::list(values, 110))
            .row("images", self.labels.values.len())
            .row("texts", self.texts.texts().len());
        write!(f, "{shown}")
    }
}

debug_as_display!(RetrievalFeature);

/// How precision is taken.
#[derive(Clone, Debug)]
pub struct PrecisionSettings {
    /// The nearest images that are looked at.
    pub k: usize,
    /// Components chosen for a feature.
    pub components: usize,
    /// Probe images: the first of the set.
    pub probes: usize,
    /// Draws of random components.
    pub draws: usize,
    pub seed: u64,
}

impl Default for PrecisionSettings {
    fn default() -> Self {
        Self {
            k: 10,
            components: 3,
            probes: 200,
            draws: 20,
            seed: 0,
        }
    }
}

/// How many of the k nearest images have the value asked for, mean over probes (the value of the probe, which is left out
/// itself) and over texts. Components are chosen by [`feature_components`] of the scores for all of `features`, and compared
/// by cosine (image) and by product (text), as [`super::retrieve_by_image`] and [`super::retrieve_by_text`] do it.
///
/// Contributions may be in memory or in chunks: they are gone through once, aligned ones twice.
///
/// # Errors
/// When contributions, aligned contributions and labels are not of the same images, fewer than two features, settings
/// outside their range.
pub fn retrieval_precision(
    contributions: impl ContributionStack,
    aligned: impl AlignedStack,
    features: &[RetrievalFeature],
    settings: &PrecisionSettings,
) -> Result<RetrievalPrecision> {
    let (n, images, _) = contributions.extent("contributions")?;
    check::same("aligned", aligned.image_count(), images, "images")?;
    check::same("aligned", aligned.component_names().len(), n, "components")?;
    if settings.k == 0 || settings.k >= images {
        let expected = format!("from 1 to {}, fewer than the images", images - 1);
        return Err(Error::argument("k", settings.k, expected));
    }
    if settings.probes == 0 || settings.draws == 0 {
        return Err(Error::argument(
            "settings",
            format!("{} probes, {} draws", settings.probes, settings.draws),
            "one or more of each",
        ));
    }
    for feature in features {
        check::same("labels", feature.labels.values.len(), images, "images")?;
        check::same(
            "texts",
            feature.texts.texts().len(),
            feature.labels.names.len(),
            "values",
        )?;
    }
    let texts: Vec<&TextEmbeddings> = features.iter().map(|feature| &feature.texts).collect();
    let scores = scores_of(&aligned, ScoreMeasure::VarianceAttributed, &texts)?;
    let named = features.iter().zip(scores);
    let scores: Vec<_> = named
        .map(|(feature, scores)| scores.named(&feature.name))
        .collect();
    let chosen = feature_components(&scores, settings.components)?;
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    // All components, then those drawn, then those chosen for each feature.
    let mut sets = vec![(0..n).collect::<Vec<usize>>()];
    let draws = (0..settings.draws).map(|_| sample(&mut rng, n, settings.components).into_vec());
    sets.extend(draws);
    let of_feature = |one: &FeatureComponents| one.components.iter().map(|r| r.index).collect();
    sets.extend(chosen.iter().map(of_feature));
    let by_image = nearest_to_probes(&contributions, &sets, settings.probes, settings.k)?;
    let by_text = nearest_to_texts(&aligned, &sets, &texts, settings.k)?;
    let mut rows = Vec::new();
    for (f, (feature, chosen)) in features.iter().zip(&chosen).enumerate() {
        let own = 1 + settings.draws + f;
        let precision = |set: &[Nearest]| feature.precision_of_probes(set, settings.k);
        let found = by_image.iter().map(|set| precision(set)).collect();
        rows.push(feature.row(chosen, found, own, settings.draws, "image"));
        let precision = |set: &Vec<Vec<Nearest>>| feature.precision_of_texts(&set[f], settings.k);
        let found = by_text.iter().map(precision).collect();
        rows.push(feature.row(chosen, found, own, settings.draws, "text"));
    }
    let origin = contributions.belongs().0.origin;
    let (model, set) = origin.map_or((String::new(), String::new()), |origin| {
        (
            format!("{}: ", origin.model),
            format!(", {}", origin.images.set),
        )
    });
    Ok(RetrievalPrecision {
        title: format!(
            "{model}precision at {} of retrieval by feature{set}, n = {images}",
            settings.k
        ),
        settings: settings.clone(),
        rows,
    })
}

impl RetrievalFeature {
    /// The row of the precisions `found`: of all components, then of so many `draws`, and at `own` of those chosen.
    fn row(
        &self,
        chosen: &FeatureComponents,
        found: Vec<f64>,
        own: usize,
        draws: usize,
        by: &'static str,
    ) -> PrecisionRow {
        let labels = &self.labels.values;
        let share = |value: usize| {
            let count = labels.iter().filter(|v| **v == value).count();
            count as f64 / labels.len() as f64
        };
        let values = self.labels.names.len();
        let chance = match by {
            "image" => (0..values).map(|v| share(v) * share(v)).sum(),
            _ => (0..values).map(share).sum::<f64>() / values as f64,
        };
        let random = &found[1..1 + draws];
        PrecisionRow {
            feature: self.name.clone(),
            by,
            components: chosen.components.iter().map(|r| r.name.clone()).collect(),
            chosen: found[own],
            full: found[0],
            random: random.iter().sum::<f64>() / random.len() as f64,
            best_random: random.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            chance,
        }
    }

    /// The mean over probes of the share of the images nearest to each that have its value.
    fn precision_of_probes(&self, probes: &[Nearest], k: usize) -> f64 {
        let labels = &self.labels.values;
        let each = probes.iter().enumerate();
        let right = each.map(|(probe, nearest)| {
            let like = nearest.images().filter(|&i| labels[i] == labels[probe]);
            like.count() as f64 / k as f64
        });
        right.sum::<f64>() / probes.len() as f64
    }

    /// The mean over texts of the share of the images found for each that have the value it names.
    fn precision_of_texts(&self, texts: &[Nearest], k: usize) -> f64 {
        let labels = &self.labels.values;
        let each = texts.iter().enumerate();
        let right = each.map(|(value, nearest)| {
            let named = nearest.images().filter(|&i| labels[i] == value);
            named.count() as f64 / k as f64
        });
        right.sum::<f64>() / texts.len() as f64
    }
}

impl RetrievalFeature {
    /// The feature `name` of images with these `labels`, the values of which are called by `texts` in the same order.
    pub fn new(name: impl Into<String>, labels: Labels, texts: impl AsRef<TextEmbeddings>) -> Self {
        let texts = texts.as_ref();
        Self {
            name: name.into(),
            labels,
            texts: texts.clone(),
        }
    }
}
