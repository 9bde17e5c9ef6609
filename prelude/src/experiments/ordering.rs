//! Does a component's score for a feature order components, and features, as the images themselves do? (Paper section 5,
//! table of rank correlations.)
//!
//! For feature f and component c, `r[f, c]` is the mean over the feature's words of the Pearson correlation over images
//! between the component's aligned contribution times the word and CLIP's own image embedding times the word, and
//! `v[f, c]` the score ([`variance_attributed`](crate::score::variance_attributed)). *Within* a component, Spearman's
//! correlation of r and v over features; *between* components, over the components of a feature. In the published code
//! images of both sides come from two separately shuffled loaders; here other images, or the same in another order, are
//! refused.

use super::features::{FeatureWords, check_features};
use crate::align::AlignedContributions;
use crate::charts::{GroupedBars, MatrixChart, Table};
use crate::data::DataSet;
use crate::decompose::same_images;
use crate::files::rows::{Column, export};
use crate::identity::{ImagesId, ModelId};
use crate::models::Model;
use crate::score::{self, Ordering, spearman};
use crate::{Error, Result, session};
use candle_core::{D, Tensor};
use std::fmt;
use std::path::Path;

/// The rank correlations of one model.
#[derive(Clone)]
pub struct ComponentOrdering {
    pub model: String,
    /// The images.
    pub data: String,
    pub images: usize,
    /// The features, in the order of the table.
    pub features: Vec<String>,
    pub components: Vec<String>,
    /// Correlations, scores and their rank correlations.
    pub ordering: Ordering,
    /// For each feature the mean over the *other* features g of Spearman's correlation of r[f, .] with v[g, .]: what the
    /// score of something else orders as well. Only what [`Ordering::between`] has above it is of the feature.
    pub between_others: Vec<f64>,
}

/// The rank correlations of several models on the same images and features: the paper's table.
#[derive(Clone)]
pub struct ComponentOrderings {
    models: Vec<ComponentOrdering>,
}

/// Compares the order that scores give with CLIP's own, for each of `models` (contributions aligned to `clip`, of `images`).
/// `features` are commonly given by four words each, as published: [`FeatureWords::first`].
///
/// # Errors
/// When a model's contributions are aligned to another CLIP, of other images or a part of the components; fewer than two
/// features; a feature or component whose correlations are all the same, which has no order; an image cannot be read.
pub fn component_orderings(
    clip: impl AsRef<Model>,
    models: &[&AlignedContributions],
    images: impl DataSet,
    features: &[FeatureWords],
) -> Result<ComponentOrderings> {
    let clip = clip.as_ref();
    check_features(features, 2)?;
    if models.is_empty() {
        let expected = "aligned contributions of a model or more";
        return Err(Error::argument("models", "[]", expected));
    }
    let images: &dyn DataSet = &images;
    for aligned in models {
        check(clip, aligned, images)?;
    }
    let words = features
        .iter()
        .map(|feature| Ok(feature.embed(clip)?.tensor().clone()))
        .collect::<Result<Vec<Tensor>>>()?;
    let embeddings = session::embed_images(clip, images)?;
    let lengths = embeddings.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    let units = embeddings.broadcast_div(&lengths)?;
    let of = |aligned: &&AlignedContributions| -> Result<ComponentOrdering> {
        let ordering = score::ordering(aligned.values(), &words, &units)?;
        let model = aligned
            .origin()
            .map_or("unknown".to_string(), |o| o.model.name.clone());
        Ok(ComponentOrdering {
            model,
            data: images.name().to_string(),
            images: images.len(),
            features: features.iter().map(|f| f.name.clone()).collect(),
            components: aligned.names(),
            between_others: others(&ordering)?,
            ordering,
        })
    };
    let models = models.iter().map(of).collect::<Result<Vec<_>>>()?;
    Ok(ComponentOrderings { models })
}

fn check(clip: &Model, aligned: &AlignedContributions, images: &dyn DataSet) -> Result<()> {
    let doing = "comparing orders";
    aligned.check_clip(doing, "texts", &ModelId::of(clip))?;
    aligned.check_whole(doing, "the whole decomposition")?;
    let own = aligned.origin().map(|origin| &origin.images);
    let given = ImagesId::of(images);
    let remedy = "give the images that were decomposed";
    same_images(
        doing,
        ("the contributions", own),
        ("the images", Some(&given)),
        remedy,
    )?;
    crate::check::same("images", images.len(), aligned.images(), "images")
}

/// For each feature the mean of Spearman's correlation of its correlations with the scores of the others.
fn others(ordering: &Ordering) -> Result<Vec<f64>> {
    let count = ordering.correlation.len();
    let mean = |f: usize| -> Result<f64> {
        let others = (0..count).filter(|g| *g != f);
        let each = others
            .map(|g| spearman(&ordering.correlation[f], &ordering.attributed[g]))
            .collect::<Result<Vec<f64>>>()?;
        Ok(each.iter().sum::<f64>() / each.len() as f64)
    };
    (0..count).map(mean).collect()
}

impl ComponentOrdering {
    /// The mean over features of [`Self::between_others`].
    pub fn mean_between_others(&self) -> f64 {
        self.between_others.iter().sum::<f64>() / self.between_others.len() as f64
    }

    /// The scores v of every component for every feature, as one picture.
    pub fn chart(&self) -> MatrixChart {
        let title = format!(
            "{}: variance attributed, {}, n = {}",
            self.model, self.data, self.images
        );
        let chart = MatrixChart::new(title, "v: variance attributed", self.features.iter());
        let each = self.components.iter().enumerate();
        each.fold(chart, |chart, (i, name)| {
            chart.row(name, self.ordering.attributed.iter().map(|f| f[i]))
        })
    }

    /// One row: within, between, and between for each feature.
    pub fn table(&self) -> Table {
        ComponentOrderings {
            models: vec![self.clone()],
        }
        .table()
    }

    /// Shows the table in an evcxr front end; called by evcxr for a value at the end of a cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display()
    }
}

impl ComponentOrderings {
    /// One a model.
    pub fn models(&self) -> &[ComponentOrdering] {
        &self.models
    }

    fn title(&self) -> String {
        let first = &self.models[0];
        format!(
            "Spearman's correlation of scores with CLIP's order, {}, n = {}",
            first.data, first.images
        )
    }

    /// The paper's table: one row a model; the mean within components, the mean between them and, as its control, between
    /// them by the scores of other features; then between components for each feature.
    pub fn table(&self) -> Table {
        let features = self.models[0].features.iter().map(String::as_str);
        let header = ["model", "within", "between", "between, other features"];
        let table = Table::new(self.title()).columns(header.into_iter().chain(features));
        self.models.iter().fold(table, |table, m| {
            let means = [
                m.ordering.mean_within(),
                m.ordering.mean_between(),
                m.mean_between_others(),
            ];
            let values = means.iter().chain(&m.ordering.between);
            let cells = values.map(|v| format!("{v:.3}"));
            table.row(std::iter::once(m.model.clone()).chain(cells))
        })
    }

    /// The table as bars.
    pub fn chart(&self) -> GroupedBars {
        let series = self.models.iter().map(|m| m.model.as_str());
        let chart = GroupedBars::new(self.title(), "Spearman's correlation", series);
        let each = |of: &dyn Fn(&ComponentOrdering) -> f64| {
            self.models.iter().map(of).collect::<Vec<f64>>()
        };
        let chart = chart
            .group("within components", each(&|m| m.ordering.mean_within()))
            .group("between components", each(&|m| m.ordering.mean_between()))
            .group(
                "between, other features",
                each(&|m| m.mean_between_others()),
            );
        let features = self.models[0].features.iter().enumerate();
        features.fold(chart, |chart, (f, name)| {
            chart.group(name, each(&|m| m.ordering.between[f]))
        })
    }

    /// Writes one row a model, feature and component with r and v, in full precision: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut text: [Vec<String>; 4] = Default::default();
        let mut number: [Vec<f64>; 4] = Default::default();
        for m in &self.models {
            for (f, feature) in m.features.iter().enumerate() {
                for (c, component) in m.components.iter().enumerate() {
                    let names = [&m.model, &m.data, feature, component];
                    text.iter_mut()
                        .zip(names)
                        .for_each(|(to, name)| to.push(name.clone()));
                    let o = &m.ordering;
                    let values = [
                        o.correlation[f][c],
                        o.attributed[f][c],
                        o.within[c],
                        o.between[f],
                    ];
                    number.iter_mut().zip(values).for_each(|(to, v)| to.push(v));
                }
            }
        }
        let names = ["model", "data", "feature", "component"];
        let values = [
            "correlation",
            "attributed",
            "spearman_within",
            "spearman_between",
        ];
        let text = names.into_iter().zip(text.map(Column::Text));
        let number = values.into_iter().zip(number.map(Column::Number));
        export(path.as_ref(), &text.chain(number).collect::<Vec<_>>())
    }

    /// [`Self::save`], by the name that other results have.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save(path)
    }

    /// Shows the table in an evcxr front end; called by evcxr for a value at the end of a cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display()
    }
}

impl fmt::Display for ComponentOrdering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table())
    }
}

impl fmt::Display for ComponentOrderings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table())
    }
}

crate::identity::debug_as_display!(ComponentOrdering, ComponentOrderings);
