//! Labels of components as a table, a chart and rows.

use super::labels::WAYS;
use super::{ComponentLabel, ComponentLabels};
use crate::charts::{MatrixChart, Table};
use crate::files::rows::{Column, export};
use crate::trace::Block;
use crate::{Error, Result};
use std::path::Path;

impl ComponentLabels {
    fn title(&self) -> String {
        format!("components by {} texts: {}", self.vocabulary, self.on)
    }

    /// One row a component: its share of all components' variance, and for each way its texts and the share of the
    /// component's own variance that they account for.
    pub fn table(&self) -> Table {
        let mut header = vec!["component".to_string(), "variance, %".to_string()];
        for way in WAYS {
            header.extend([way.to_string(), "explained, %".to_string()]);
        }
        header.push("texts an image".to_string());
        let table = Table::new(self.title()).columns(header);
        self.components.iter().fold(table, |table, label| {
            let mut cells = vec![
                label.name.clone(),
                format!("{:.1}", 100.0 * label.variance_share),
            ];
            match &label.ways {
                Some(ways) => {
                    for way in ways {
                        let texts = way
                            .texts
                            .iter()
                            .map(|(text, w)| format!("{text} ({:.0})", 100.0 * w));
                        cells.push(texts.collect::<Vec<_>>().join(", "));
                        cells.push(format!("{:.0}", 100.0 * way.explained));
                    }
                    cells.push(format!("{:.1}", ways[2].per_image));
                }
                None => cells.push("it does not vary".to_string()),
            }
            table.row(cells)
        })
    }

    /// How much of each component's variance each way accounts for, in %.
    pub fn chart(&self) -> MatrixChart {
        let title = format!("variance explained by texts: {}", self.on);
        let legend = format!(
            "% of a component's own variance; text span: {k} texts for all images; pursuit: {k} texts an image",
            k = self.options.texts
        );
        let mut chart = MatrixChart::new(title, legend, WAYS);
        for (i, label) in self.components.iter().enumerate() {
            let block = |label: &ComponentLabel| label.component.block().map(Block::whole);
            if i > 0 && block(&self.components[i - 1]) != block(label) {
                chart = chart.gap();
            }
            let explained =
                |way: usize| label.ways.as_ref().map(|ways| 100.0 * ways[way].explained);
            chart = chart.row(label.name.as_str(), (0..WAYS.len()).map(explained));
        }
        chart
    }

    /// Writes one row a component, way and text, in full precision: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let (mut component, mut way, mut text) = (Vec::new(), Vec::new(), Vec::new());
        let (mut weight, mut explained) = (Vec::new(), Vec::new());
        for label in &self.components {
            for (name, found) in WAYS.iter().zip(label.ways.iter().flatten()) {
                for (label_text, share) in &found.texts {
                    component.push(label.name.clone());
                    way.push(name.to_string());
                    text.push(label_text.clone());
                    weight.push(*share);
                    explained.push(found.explained);
                }
            }
        }
        export(
            path.as_ref(),
            &[
                ("component", Column::Text(component)),
                ("way", Column::Text(way)),
                ("text", Column::Text(text)),
                ("weight", Column::Number(weight)),
                ("explained", Column::Number(explained)),
            ],
        )
    }

    /// The label of the component called `name`.
    ///
    /// # Errors
    /// When no component is called so.
    pub fn get(&self, name: &str) -> Result<&ComponentLabel> {
        let found = self.components.iter().find(|label| label.name == name);
        found.ok_or_else(|| {
            let known: Vec<&str> = self
                .components
                .iter()
                .map(|label| label.name.as_str())
                .collect();
            let known = crate::facts::list(known, 100);
            Error::argument(
                "component",
                format!("\"{name}\""),
                format!("one of {known}"),
            )
        })
    }
}
