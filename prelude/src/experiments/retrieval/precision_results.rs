//! What precision of retrieval comes to: rows, a table, a chart, a file.

use super::PrecisionSettings;
use crate::charts::{GroupedBars, Table};
use crate::files::rows::{Column, export};
use crate::{Error, Result};
use std::path::Path;

/// Precision at k for one feature, by a probe image or by text.
#[derive(Clone, Debug)]
pub struct PrecisionRow {
    pub feature: String,
    /// "image" or "text".
    pub by: &'static str,
    pub components: Vec<String>,
    /// With the chosen components alone.
    pub chosen: f64,
    /// With all components: the representation as it is.
    pub full: f64,
    /// Of as many random components, the mean over draws and the best draw.
    pub random: f64,
    pub best_random: f64,
    /// Of images taken at random.
    pub chance: f64,
}

/// Precision at k of several features.
#[derive(Clone, Debug)]
pub struct RetrievalPrecision {
    pub(super) title: String,
    pub(super) settings: PrecisionSettings,
    pub rows: Vec<PrecisionRow>,
}

impl RetrievalPrecision {
    /// The row of one feature, by "image" or "text".
    ///
    /// # Errors
    /// When there is none.
    pub fn row(&self, feature: &str, by: &str) -> Result<&PrecisionRow> {
        let found = self
            .rows
            .iter()
            .find(|row| row.feature == feature && row.by == by);
        found.ok_or_else(|| {
            let known: Vec<String> = self
                .rows
                .iter()
                .map(|r| format!("{} by {}", r.feature, r.by))
                .collect();
            Error::argument(
                "row",
                format!("{feature} by {by}"),
                format!("one of {}", known.join(", ")),
            )
        })
    }

    /// One row for each feature and way, in percent.
    pub fn table(&self) -> Table {
        let draws = self.settings.draws;
        let header = [
            "feature".to_string(),
            "by".into(),
            "chosen".into(),
            "full".into(),
            format!("random, mean of {draws}"),
            format!("random, best of {draws}"),
            "chance".into(),
            "components".into(),
        ];
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let table = Table::new(format!("{}, in %", self.title)).columns(header);
        self.rows.iter().fold(table, |table, row| {
            table.row([
                row.feature.clone(),
                row.by.to_string(),
                percent(row.chosen),
                percent(row.full),
                percent(row.random),
                percent(row.best_random),
                percent(row.chance),
                crate::facts::list(&row.components, 60),
            ])
        })
    }

    /// Bars: chosen components, full representation, random ones.
    pub fn chart(&self) -> GroupedBars {
        let series = [
            "chosen components",
            "full representation",
            "random, mean",
            "random, best",
        ];
        let chart = GroupedBars::new(self.title.as_str(), "precision", series);
        self.rows.iter().fold(chart, |chart, row| {
            let values = [row.chosen, row.full, row.random, row.best_random];
            chart.group(format!("{} by {}", row.feature, row.by), values)
        })
    }

    /// Writes one row for each feature and way: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let text = |f: fn(&PrecisionRow) -> String| Column::Text(self.rows.iter().map(f).collect());
        let number =
            |f: fn(&PrecisionRow) -> f64| Column::Number(self.rows.iter().map(f).collect());
        export(
            path.as_ref(),
            &[
                ("feature", text(|row| row.feature.clone())),
                ("by", text(|row| row.by.to_string())),
                ("chosen", number(|row| row.chosen)),
                ("full", number(|row| row.full)),
                ("random", number(|row| row.random)),
                ("best_random", number(|row| row.best_random)),
                ("chance", number(|row| row.chance)),
                ("components", text(|row| row.components.join("; "))),
            ],
        )
    }

    /// Shown by evcxr.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display()
    }
}

impl std::fmt::Display for RetrievalPrecision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.table())
    }
}
