//! Precision of retrieval against known labels: the components chosen for a feature, beside the full representation and
//! components taken at random.

use super::{FeatureComponents, PrecisionRow, RetrievalPrecision, feature_components};
use crate::align::AlignedContributions;
use crate::data::Labels;
use crate::decompose::Contributions;
use crate::facts::{self, Facts};
use crate::identity::{TextEmbeddings, debug_as_display};
use crate::score::{Scores, retrieval};
use crate::{Error, Result, check};
use candle_core::{DType, Device, Tensor};
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
/// # Errors
/// When contributions, aligned contributions and labels are not of the same images, fewer than two features, settings
/// outside their range.
pub fn retrieval_precision(
    contributions: impl AsRef<Contributions>,
    aligned: impl AsRef<AlignedContributions>,
    features: &[RetrievalFeature],
    settings: &PrecisionSettings,
) -> Result<RetrievalPrecision> {
    let (contributions, aligned) = (contributions.as_ref(), aligned.as_ref());
    let images = contributions.images();
    check::same("aligned", aligned.images(), images, "images")?;
    check::same("aligned", aligned.len(), contributions.len(), "components")?;
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
    let scores: Vec<Scores> = features
        .iter()
        .map(|feature| Ok(aligned.score(&feature.texts)?.named(feature.name.as_str())))
        .collect::<Result<_>>()?;
    let chosen = feature_components(&scores, settings.components)?;
    let stacks = Stacks {
        raw: f64s(contributions.values())?,
        aligned: f64s(aligned.values())?,
        settings,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let draws: Vec<Vec<usize>> = (0..settings.draws)
        .map(|_| sample(&mut rng, contributions.len(), settings.components).into_vec())
        .collect();
    let mut rows = Vec::new();
    for (feature, chosen) in features.iter().zip(&chosen) {
        check::same("labels", feature.labels.values.len(), images, "images")?;
        check::same(
            "texts",
            feature.texts.texts().len(),
            feature.labels.names.len(),
            "values",
        )?;
        rows.push(stacks.row(feature, chosen, &draws, "image", Stacks::by_image)?);
        rows.push(stacks.row(feature, chosen, &draws, "text", Stacks::by_text)?);
    }
    let model = contributions.origin();
    let (model, set) = model.map_or((String::new(), String::new()), |origin| {
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

/// Contributions in f64, n x B x d and n x B x D.
struct Stacks<'a> {
    raw: Tensor,
    aligned: Tensor,
    settings: &'a PrecisionSettings,
}

type Precision<'a> = fn(&Stacks<'a>, &RetrievalFeature, &[usize]) -> Result<f64>;

impl<'a> Stacks<'a> {
    fn row(
        &self,
        feature: &RetrievalFeature,
        chosen: &FeatureComponents,
        draws: &[Vec<usize>],
        by: &'static str,
        precision: Precision<'a>,
    ) -> Result<PrecisionRow> {
        let set: Vec<usize> = chosen.components.iter().map(|r| r.index).collect();
        let all: Vec<usize> = (0..self.raw.dim(0)?).collect();
        let random: Vec<f64> = draws
            .iter()
            .map(|draw| precision(self, feature, draw))
            .collect::<Result<_>>()?;
        let labels = &feature.labels.values;
        let share = |value: usize| {
            let count = labels.iter().filter(|v| **v == value).count();
            count as f64 / labels.len() as f64
        };
        let values = feature.labels.names.len();
        let chance = match by {
            "image" => (0..values).map(|v| share(v) * share(v)).sum(),
            _ => (0..values).map(share).sum::<f64>() / values as f64,
        };
        Ok(PrecisionRow {
            feature: feature.name.clone(),
            by,
            components: chosen.components.iter().map(|r| r.name.clone()).collect(),
            chosen: precision(self, feature, &set)?,
            full: precision(self, feature, &all)?,
            random: random.iter().sum::<f64>() / random.len() as f64,
            best_random: random.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            chance,
        })
    }

    fn by_image(&self, feature: &RetrievalFeature, set: &[usize]) -> Result<f64> {
        let sums = sum_of(&self.raw, set)?;
        let lengths = sums.sqr()?.sum_keepdim(1)?.sqrt()?;
        let unit = sums.broadcast_div(&lengths.maximum(f64::MIN_POSITIVE)?)?;
        let probes = self.settings.probes.min(unit.dim(0)?);
        let cosines = unit
            .narrow(0, 0, probes)?
            .matmul(&unit.t()?.contiguous()?)?;
        let labels = &feature.labels.values;
        let rows: Vec<Vec<f64>> = cosines.to_vec2()?;
        let each = rows.into_iter().enumerate().map(|(probe, mut row)| {
            row[probe] = f64::NEG_INFINITY;
            let wanted: Vec<bool> = labels.iter().map(|v| *v == labels[probe]).collect();
            retrieval::precision_at(&row, &wanted, self.settings.k)
        });
        Ok(each.collect::<Result<Vec<_>>>()?.iter().sum::<f64>() / probes as f64)
    }

    fn by_text(&self, feature: &RetrievalFeature, set: &[usize]) -> Result<f64> {
        let texts = f64s(feature.texts.tensor())?;
        let products = sum_of(&self.aligned, set)?.matmul(&texts.t()?.contiguous()?)?;
        let rows: Vec<Vec<f64>> = products.t()?.contiguous()?.to_vec2()?;
        let count = rows.len();
        let labels = &feature.labels.values;
        let each = rows.into_iter().enumerate().map(|(value, row)| {
            let wanted: Vec<bool> = labels.iter().map(|v| *v == value).collect();
            retrieval::precision_at(&row, &wanted, self.settings.k)
        });
        Ok(each.collect::<Result<Vec<_>>>()?.iter().sum::<f64>() / count as f64)
    }
}

fn f64s(t: &Tensor) -> Result<Tensor> {
    Ok(t.to_device(&Device::Cpu)?.to_dtype(DType::F64)?)
}

/// B x d, the sum over the components `set`.
fn sum_of(stack: &Tensor, set: &[usize]) -> Result<Tensor> {
    let mut sum = stack.get(set[0])?;
    for &i in &set[1..] {
        sum = (sum + stack.get(i)?)?;
    }
    Ok(sum)
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
