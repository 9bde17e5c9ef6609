//! Comparisons as charts, tables and rows.

use super::{ComponentComparison, ComponentMatching};
use crate::charts::{MatrixChart, Table};
use crate::files::rows::{Column, export};
use crate::{Error, Result};
use std::fmt;
use std::path::Path;

impl ComponentComparison {
    fn on(&self) -> String {
        let within = match &self.directions {
            Some(texts) => format!(", in the span of {texts}"),
            None => String::new(),
        };
        format!(
            "in the space of {}{within}, {}, n = {}",
            self.clip, self.data, self.images
        )
    }

    /// The similarity of every component of the first model (rows) with every one of `model` (columns), a frame around each
    /// match.
    ///
    /// # Errors
    /// When there is no such model.
    pub fn chart_of(&self, model: &str) -> Result<MatrixChart> {
        let found = self.matchings.iter().find(|m| m.models[1] == model);
        found.map(|m| self.matrix(m)).ok_or_else(|| {
            let known: Vec<&str> = self
                .matchings
                .iter()
                .map(|m| m.models[1].as_str())
                .collect();
            Error::argument("model", model, format!("one of {}", known.join(", ")))
        })
    }

    /// [`Self::chart_of`] the first of the other models.
    pub fn chart(&self) -> MatrixChart {
        self.matrix(&self.matchings[0])
    }

    fn matrix(&self, matching: &ComponentMatching) -> MatrixChart {
        let [a, b] = &matching.models;
        let title = format!("{a} (rows) and {b} (columns) {}", self.on());
        let legend = "correlation over images and channels of aligned contributions; framed: best one-to-one matching";
        let mut chart = MatrixChart::new(title, legend, &matching.components[1]);
        let rows = matching.components[0].iter().zip(&matching.similarity);
        let mut block: Option<&str> = None;
        for (name, values) in rows {
            let own = name
                .rsplit_once(" head ")
                .map_or(name.as_str(), |(block, _)| block);
            if block.is_some_and(|last| last != own) {
                chart = chart.gap();
            }
            block = Some(own);
            chart = chart.row(name, values.iter().copied());
        }
        let matches = matching.matches.iter().enumerate();
        matches.fold(chart, |chart, (row, to)| match to {
            Some(column) => chart.frame(row, *column),
            None => chart,
        })
    }

    /// One row a component of the first model: what it is matched with in each other model and how similar the two are; at
    /// the end the means, and the means with the images of one side shuffled.
    pub fn table(&self) -> Table {
        let first = &self.matchings[0];
        let mut header = vec![first.models[0].clone()];
        for matching in &self.matchings {
            header.push(matching.models[1].clone());
            header.push("similarity".to_string());
        }
        let title = format!("components matched one to one {}", self.on());
        let mut table = Table::new(title).columns(header);
        for (i, name) in first.components[0].iter().enumerate() {
            let mut cells = vec![name.clone()];
            for matching in &self.matchings {
                let partner = matching.matches[i].map(|to| matching.components[1][to].clone());
                cells.push(partner.unwrap_or("–".to_string()));
                cells.push(number(matching.matched(i)));
            }
            table = table.row(cells);
        }
        let mut end = |label: &str, of: &dyn Fn(&ComponentMatching) -> Option<f64>| {
            let mut cells = vec![label.to_string()];
            for matching in &self.matchings {
                cells.extend([String::new(), number(of(matching))]);
            }
            table = table.clone().row(cells);
        };
        end("mean", &|m| Some(m.mean_matched()));
        end("mean, images shuffled", &|m| m.shuffled);
        table
    }

    /// Writes one row a pair of components, with whether they are matched, in full precision: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut text: [Vec<String>; 4] = Default::default();
        let (mut similarity, mut matched) = (Vec::new(), Vec::new());
        for m in &self.matchings {
            for (i, row) in m.similarity.iter().enumerate() {
                for (j, value) in row.iter().enumerate() {
                    let names = [
                        &m.models[0],
                        &m.components[0][i],
                        &m.models[1],
                        &m.components[1][j],
                    ];
                    text.iter_mut()
                        .zip(names)
                        .for_each(|(to, name)| to.push(name.clone()));
                    similarity.push(*value);
                    matched.push(usize::from(m.matches[i] == Some(j)));
                }
            }
        }
        let names = ["model", "component", "other_model", "other_component"];
        let mut columns: Vec<(&str, Column)> =
            names.into_iter().zip(text.map(Column::Text)).collect();
        columns.push(("similarity", Column::Number(similarity)));
        columns.push(("matched", Column::Count(matched)));
        export(path.as_ref(), &columns)
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

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_string(), |v| format!("{v:.3}"))
}

impl fmt::Display for ComponentComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table())
    }
}

impl fmt::Display for ComponentMatching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = &self.models;
        let chance = self
            .shuffled
            .map_or(String::new(), |s| format!(", {s:.3} with images shuffled"));
        let count = self.matches.iter().flatten().count();
        let mean = self.mean_matched();
        write!(
            f,
            "{count} components of {a} matched with those of {b}: mean similarity {mean:.3}{chance}"
        )
    }
}

crate::identity::debug_as_display!(ComponentComparison, ComponentMatching);
