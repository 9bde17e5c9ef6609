//! Scores that know what they are scores of.

use super::attribution::{
    correlations_attributed, covariances_attributed, variances_attributed, variances_explained,
};
use super::{Ranked, Ranking, rank};
use crate::align::{AlignedContributions, AlignedStack, ChunkedAligned};
use crate::check;
use crate::decompose::{
    Component, ImageChunks, Origin, Side, index_of, same_components, same_images, unrelated,
};
use crate::identity::{TextEmbeddings, TextOrigin};
use crate::{Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// How a component is scored for a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScoreMeasure {
    /// [`variance_attributed`], the paper's.
    VarianceAttributed,
    /// [`correlation_attributed`], which does not depend on the order of the texts.
    CorrelationAttributed,
    /// [`covariance_attributed`].
    CovarianceAttributed,
    /// [`variance_explained`].
    VarianceExplained,
}

impl ScoreMeasure {
    /// What an axis or a column says.
    pub fn name(self) -> &'static str {
        match self {
            Self::VarianceAttributed => "variance attributed",
            Self::CorrelationAttributed => "correlation attributed",
            Self::CovarianceAttributed => "covariance attributed",
            Self::VarianceExplained => "variance explained",
        }
    }

    /// The scores for each of `features`, in one pass over the images.
    fn of<C: ImageChunks + ?Sized>(
        self,
        contributions: &C,
        features: &[&Tensor],
    ) -> Result<Vec<Vec<f64>>> {
        match self {
            Self::VarianceAttributed => variances_attributed(contributions, features),
            Self::CorrelationAttributed => correlations_attributed(contributions, features),
            Self::CovarianceAttributed => covariances_attributed(contributions, features),
            Self::VarianceExplained => variances_explained(contributions, features),
        }
    }
}

/// One score for each component.
///
/// [`AlignedContributions::score`] makes them; they carry the measure, the feature's texts and CLIP, and what the
/// contributions were made of. Two scores can be subtracted ([`Self::minus`]) when they are of the same components on the
/// same images by the same measure in the same CLIP, so that only the texts differ. A file keeps all of that.
#[derive(Clone, PartialEq)]
pub struct Scores {
    pub(super) measure: ScoreMeasure,
    pub(super) feature: String,
    pub(super) components: Vec<Component>,
    pub(super) values: Vec<f64>,
    pub(super) origin: Option<Origin>,
    pub(super) texts: Option<TextOrigin>,
    /// Where the components are in the stack that was scored, where they are a part of it.
    pub(super) places: Option<Vec<usize>>,
}

impl AlignedContributions {
    /// Score every component for the feature that `texts` instantiate ("sea", "forest", ... for a location), by the
    /// paper's measure ([`variance_attributed`]), which depends on the order of the texts;
    /// [`ScoreMeasure::CorrelationAttributed`] is the order-free one. Under the paper's
    /// [`Sharing`](crate::decompose::Sharing) rule even a head that does nothing has a score.
    ///
    /// # Errors
    /// When the texts were embedded by another CLIP than the one aligned to, or have another width; of a part of the
    /// components, as a score compares each with the sum of all; as [`variance_attributed`].
    pub fn score(&self, texts: impl AsRef<TextEmbeddings>) -> Result<Scores> {
        let texts = texts.as_ref();
        self.score_by(ScoreMeasure::VarianceAttributed, texts)
    }

    /// [`Self::score`] by another measure.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub fn score_by(
        &self,
        measure: ScoreMeasure,
        texts: impl AsRef<TextEmbeddings>,
    ) -> Result<Scores> {
        let texts = texts.as_ref();
        scored(self, measure, texts)
    }
}

impl ChunkedAligned {
    /// As [`AlignedContributions::score`], in one pass over the images.
    ///
    /// # Errors
    /// As [`AlignedContributions::score`]; when a chunk cannot be read.
    pub fn score(&self, texts: impl AsRef<TextEmbeddings>) -> Result<Scores> {
        let texts = texts.as_ref();
        self.score_by(ScoreMeasure::VarianceAttributed, texts)
    }

    /// [`Self::score`] by another measure.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub fn score_by(
        &self,
        measure: ScoreMeasure,
        texts: impl AsRef<TextEmbeddings>,
    ) -> Result<Scores> {
        let texts = texts.as_ref();
        scored(self, measure, texts)
    }
}

fn scored<A: AlignedStack>(
    aligned: &A,
    measure: ScoreMeasure,
    texts: &TextEmbeddings,
) -> Result<Scores> {
    let scores = scores_of(aligned, measure, &[texts])?.into_iter().next();
    scores.ok_or_else(|| Error::argument("features", "no scores", "those of one"))
}

/// The scores of all components of `aligned` for each of `features`, by `measure`, in one pass over the images.
///
/// # Errors
/// As [`AlignedContributions::score`].
pub fn scores_of<A: AlignedStack + ?Sized>(
    aligned: &A,
    measure: ScoreMeasure,
    features: &[&TextEmbeddings],
) -> Result<Vec<Scores>> {
    let components = aligned.whole("scoring", "aligned.score(&texts)?.select(..)?")?;
    for origin in features.iter().filter_map(|texts| texts.origin()) {
        aligned.check_space("scoring contributions", "texts", &origin.clip)?;
    }
    let tensors: Vec<&Tensor> = features.iter().map(|texts| texts.tensor()).collect();
    let values = measure.of(aligned, &tensors)?;
    let each = features.iter().zip(values).map(|(texts, values)| Scores {
        measure,
        feature: texts.texts().join(", "),
        components: components.clone(),
        values,
        origin: aligned.made_of().cloned(),
        texts: texts.origin().cloned(),
        places: None,
    });
    Ok(each.collect())
}

impl Scores {
    /// The same, of a feature called `feature` ("location") in place of the list of its texts.
    pub fn named(self, feature: impl Into<String>) -> Self {
        Self {
            feature: feature.into(),
            ..self
        }
    }

    /// How the components were scored.
    pub fn measure(&self) -> ScoreMeasure {
        self.measure
    }

    /// What they were scored for: the name given, or the texts.
    pub fn feature(&self) -> &str {
        &self.feature
    }

    /// The components, in order.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The names of the components, in order.
    pub fn names(&self) -> Vec<String> {
        self.components.iter().map(Component::to_string).collect()
    }

    /// The scores, in the order of the components.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no component.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// What the contributions were made of; none where they were put together by hand.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Which CLIP embedded the feature's texts; none where they were put together by hand.
    pub fn texts(&self) -> Option<&TextOrigin> {
        self.texts.as_ref()
    }

    /// The score of one component by its name, `get("block 5 head 3")`.
    ///
    /// # Errors
    /// When no component is called so.
    pub fn get(&self, name: &str) -> Result<f64> {
        Ok(self.values[index_of(&self.components, name)?])
    }

    /// All components, highest score first.
    ///
    /// # Errors
    /// When a score is NaN.
    pub fn ranked(&self) -> Result<Ranking> {
        self.ranking(rank(&self.names(), &self.values)?)
    }

    /// The `k` components with the highest scores.
    ///
    /// # Errors
    /// As [`Self::ranked`]; a `k` of 0 or above the number of components.
    pub fn top(&self, k: usize) -> Result<Ranking> {
        self.ranking(super::top(&self.names(), &self.values, k)?)
    }

    fn ranking(&self, mut rows: Vec<Ranked>) -> Result<Ranking> {
        if let Some(places) = &self.places {
            rows.iter_mut()
                .for_each(|row| row.index = places[row.index]);
        }
        Ok(Ranking::of(rows, self.origin.clone()))
    }

    /// These less `other`, component by component: how much more of the one feature than of the other each carries.
    ///
    /// # Errors
    /// When the two are not of the same components on the same images by the same measure and CLIP.
    pub fn minus(&self, other: &Self) -> Result<Self> {
        let doing = "subtracting scores";
        let remedy = "score both features on the same aligned contributions";
        same_components(doing, self.side(), other.side(), remedy)?;
        let images = |scores: &Self| scores.origin.clone().map(|origin| origin.images);
        let (a, b) = (images(self), images(other));
        let named = |scores: &Self| format!("the scores for {}", scores.feature);
        let (one, two) = (named(self), named(other));
        same_images(doing, (&one, a.as_ref()), (&two, b.as_ref()), remedy)?;
        let reason = if self.measure != other.measure {
            Some(format!(
                "one is the {}, the other the {}",
                self.measure.name(),
                other.measure.name()
            ))
        } else if let (Some(a), Some(b)) = (&self.texts, &other.texts) {
            let weights = a.clip.weights_differ(&b.clip);
            weights.or_else(|| {
                (a.tokenizer != b.tokenizer).then(|| format!("{} had two tokenizers", a.clip))
            })
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(unrelated(doing, &one, &two, reason, remedy));
        }
        check::same("scores", other.len(), self.len(), "components")?;
        let pairs = self.values.iter().zip(&other.values);
        Ok(Self {
            feature: format!("{} less {}", self.feature, other.feature),
            values: pairs.map(|(a, b)| a - b).collect(),
            ..self.clone()
        })
    }

    /// This value as one of two that are used together.
    pub(crate) fn side(&self) -> Side<'_> {
        Side {
            what: "the scores",
            components: Some(&self.components),
            origin: self.origin.as_ref(),
            part_of: None,
        }
    }
}

impl Ranking {
    /// Refuses a ranking of other components than those of `aligned`.
    pub(crate) fn check<A: AlignedStack + ?Sized>(
        &self,
        doing: &'static str,
        aligned: &A,
    ) -> Result<()> {
        let remedy = "rank the scores of these contributions";
        let side = Side {
            what: "the ranking",
            components: None,
            origin: self.origin(),
            part_of: None,
        };
        let other = Side {
            what: "the aligned contributions",
            components: None,
            origin: aligned.made_of(),
            part_of: None,
        };
        same_components(doing, side, other, remedy)?;
        let names = aligned.component_names();
        match self.iter().find(|r| names.get(r.index) != Some(&r.name)) {
            None => Ok(()),
            Some(ranked) => Err(Error::argument(
                "ranking",
                format!("\"{}\" as component {}", ranked.name, ranked.index),
                format!(
                    "a component of these contributions, where that is \"{}\"; {remedy}",
                    names.get(ranked.index).map_or("none", String::as_str)
                ),
            )),
        }
    }
}
