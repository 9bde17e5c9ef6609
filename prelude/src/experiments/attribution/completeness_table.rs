//! Completeness as a table, a chart and rows.

use super::{CompletenessRow, TextCompleteness};
use crate::Result;
use crate::charts::{BarChart, Table};
use crate::files::rows::{Column, export};
use std::path::Path;

impl TextCompleteness {
    fn title(&self) -> String {
        format!(
            "zero-shot accuracy with {} heads of the last {} attention layers rebuilt from {} of {} texts each: {}",
            self.heads, self.options.last_layers, self.options.texts, self.vocabulary, self.on
        )
    }

    /// The accuracy of a row, as a share.
    pub fn accuracy(&self, row: &CompletenessRow) -> f64 {
        row.correct as f64 / self.images as f64
    }

    /// The accuracy of the row whose heads and rest are these, as a share; none where there is no such row.
    pub fn of(&self, heads: &str, rest: &str) -> Option<f64> {
        let found = self
            .rows
            .iter()
            .find(|r| r.heads == heads && r.rest == rest)?;
        Some(self.accuracy(found))
    }

    /// Accuracy in % of every way to put representations together. Heads before the last layers are at their mean in all but
    /// the first row.
    pub fn table(&self) -> Table {
        let header = [
            "heads of the last layers",
            "MLPs and what is before the first block",
            "accuracy, %",
        ];
        let table = Table::new(self.title()).columns(header);
        let table = self.rows.iter().fold(table, |table, row| {
            let accuracy = format!("{:.1}", 100.0 * self.accuracy(row));
            table.row([row.heads.clone(), row.rest.clone(), accuracy])
        });
        let majority = format!("{:.1}", 100.0 * self.majority);
        table
            .row(["most frequent class".to_string(), String::new(), majority])
            .row([
                "different texts of all heads".to_string(),
                String::new(),
                self.distinct_texts.to_string(),
            ])
    }

    /// The table as bars.
    pub fn chart(&self) -> BarChart {
        let chart = BarChart::new(self.on.clone(), "zero-shot accuracy with heads rebuilt, %");
        let label = |row: &CompletenessRow| format!("heads {}, rest {}", row.heads, row.rest);
        let bars = self.rows.iter().fold(chart, |chart, row| {
            chart.bar(label(row), 100.0 * self.accuracy(row))
        });
        let from_texts = self.rows.iter().filter(|row| row.heads == "from texts");
        bars.bar("most frequent class", 100.0 * self.majority)
            .emphasise(from_texts.map(label))
    }

    /// Writes one row a way, in full precision: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let rows = self.rows.iter();
        export(
            path.as_ref(),
            &[
                (
                    "heads",
                    Column::Text(rows.clone().map(|r| r.heads.clone()).collect()),
                ),
                (
                    "rest",
                    Column::Text(rows.clone().map(|r| r.rest.clone()).collect()),
                ),
                (
                    "correct",
                    Column::Count(rows.clone().map(|r| r.correct).collect()),
                ),
                ("images", Column::Count(vec![self.images; self.rows.len()])),
                (
                    "accuracy",
                    Column::Number(rows.map(|r| self.accuracy(r)).collect()),
                ),
            ],
        )
    }
}
