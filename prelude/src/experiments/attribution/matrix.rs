//! Scores of all components for all features.

use crate::align::AlignedStack;
use crate::charts::{MatrixChart, Table};
use crate::decompose::Component;
use crate::experiments::features::{FeatureWords, check_features};
use crate::files::rows::{Column, export};
use crate::identity::TextEmbeddings;
use crate::models::Model;
use crate::score::{Ranking, ScoreMeasure, Scores, scores_of};
use crate::trace::Block;
use crate::{Error, Result};
use std::path::Path;

/// Every component's score for every feature.
#[derive(Clone)]
pub struct AttributionMatrix {
    pub(super) scores: Vec<Scores>,
    pub(super) images: usize,
}

/// Scores every component of `aligned` for each of `features` by `measure`; a feature's words are embedded by `clip` in the
/// 80 prompt templates. The contributions may be in memory or in chunks, which are gone through once.
///
/// # Errors
/// No feature or two of one name, words that the CLIP does not know; as [`scores_of`].
pub fn attribution_matrix(
    clip: impl AsRef<Model>,
    aligned: impl AlignedStack,
    features: &[FeatureWords],
    measure: ScoreMeasure,
) -> Result<AttributionMatrix> {
    let clip = clip.as_ref();
    check_features(features, 1)?;
    let texts = features.iter().map(|feature| feature.embed(clip));
    let texts = texts.collect::<Result<Vec<_>>>()?;
    let texts: Vec<&TextEmbeddings> = texts.iter().map(|texts| &**texts).collect();
    let scores = scores_of(&aligned, measure, &texts)?;
    let named = features.iter().zip(scores);
    Ok(AttributionMatrix {
        scores: named.map(|(f, scores)| scores.named(&f.name)).collect(),
        images: aligned.image_count(),
    })
}

impl AttributionMatrix {
    /// The scores for each feature, which know what they are of.
    pub fn scores(&self) -> &[Scores] {
        &self.scores
    }

    /// The scores for the feature called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn feature(&self, name: &str) -> Result<&Scores> {
        let found = self.scores.iter().find(|scores| scores.feature() == name);
        found.ok_or_else(|| {
            let known = self.features().join(", ");
            Error::argument("feature", format!("\"{name}\""), format!("one of {known}"))
        })
    }

    /// The names of the features.
    pub fn features(&self) -> Vec<&str> {
        self.scores.iter().map(Scores::feature).collect()
    }

    /// The components, in order.
    pub fn components(&self) -> &[Component] {
        self.scores[0].components()
    }

    /// The scores of component `place`, one a feature.
    pub(super) fn row(&self, place: usize) -> impl Iterator<Item = f64> {
        self.scores.iter().map(move |scores| scores.values()[place])
    }

    pub(super) fn on(&self) -> String {
        match self.scores[0].origin() {
            Some(origin) => format!(
                "{}, {}, n = {}",
                origin.model, origin.images.set, self.images
            ),
            None => format!("n = {}", self.images),
        }
    }

    pub(super) fn measure(&self) -> &'static str {
        self.scores[0].measure().name()
    }

    /// The whole matrix as one picture: components by features, a gap between blocks and a frame around the highest score of
    /// each feature.
    pub fn chart(&self) -> MatrixChart {
        let title = format!("components by features: {}", self.on());
        let legend = format!("{}; framed: the highest of each feature", self.measure());
        let mut chart = MatrixChart::new(title, legend, self.features());
        let mut block = None;
        for (i, component) in self.components().iter().enumerate() {
            let own = component.block().map(Block::whole);
            if i > 0 && own != block {
                chart = chart.gap();
            }
            block = own;
            chart = chart.row(component.to_string(), self.row(i));
        }
        let features = self.scores.iter().enumerate();
        features.fold(chart, |chart, (f, scores)| {
            let values = scores.values().iter().enumerate();
            match values.max_by(|a, b| a.1.total_cmp(b.1)) {
                Some((row, _)) => chart.frame(row, f),
                None => chart,
            }
        })
    }

    /// The matrix as a table.
    pub fn table(&self) -> Table {
        let title = format!("{}: {}", self.measure(), self.on());
        let header = std::iter::once("component").chain(self.features());
        let table = Table::new(title).columns(header);
        let each = self.components().iter().enumerate();
        each.fold(table, |table, (i, component)| {
            let cells = self.row(i).map(|v| format!("{v:.3}"));
            table.row(std::iter::once(component.to_string()).chain(cells))
        })
    }

    /// The `k` components with the highest scores for each feature, a column a feature.
    ///
    /// # Errors
    /// A `k` of 0 or above the number of components.
    pub fn top(&self, k: usize) -> Result<Table> {
        let each = self.scores.iter().map(|scores| scores.top(k));
        let each: Vec<Ranking> = each.collect::<Result<_>>()?;
        let title = format!(
            "components with the highest {}: {}",
            self.measure(),
            self.on()
        );
        let header = std::iter::once("").chain(self.features());
        let table = Table::new(title).columns(header);
        Ok((0..k).fold(table, |table, place| {
            let cells = each.iter().map(|ranking| {
                let ranked = &ranking[place];
                format!("{} ({:.2})", ranked.name, ranked.score)
            });
            table.row(std::iter::once((place + 1).to_string()).chain(cells))
        }))
    }

    /// Writes one row a component and feature, in full precision: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut text: [Vec<String>; 5] = Default::default();
        let mut values = Vec::new();
        for scores in &self.scores {
            let origin = scores.origin();
            let model = origin.map_or(String::new(), |o| o.model.name.clone());
            let data = origin.map_or(String::new(), |o| o.images.set.clone());
            for (component, value) in scores.names().into_iter().zip(scores.values()) {
                let feature = scores.feature().to_string();
                let measure = scores.measure().name().to_string();
                let row = [component, feature, measure, model.clone(), data.clone()];
                text.iter_mut()
                    .zip(row)
                    .for_each(|(to, cell)| to.push(cell));
                values.push(*value);
            }
        }
        let names = ["component", "feature", "measure", "model", "data"];
        let mut columns: Vec<(&str, Column)> =
            names.into_iter().zip(text.map(Column::Text)).collect();
        columns.insert(2, ("score", Column::Number(values)));
        export(path.as_ref(), &columns)
    }
}
