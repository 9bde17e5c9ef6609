//! How specialised components are.

use super::AttributionMatrix;
use crate::Result;
use crate::charts::{BarChart, Table};
use crate::files::rows::{Column, export};
use crate::score::{Specialisation, specialisation};
use std::path::Path;

/// One component and how its scores are spread over features.
#[derive(Clone, Debug)]
pub struct SpecialisedComponent {
    pub name: String,
    /// Its highest score, whatever the feature.
    pub highest: f64,
    /// None where no score is above 0.
    pub spread: Option<Specialisation>,
}

/// How specialised the components of a model are ([`Specialisation`]), the most selective first.
#[derive(Clone)]
pub struct ComponentSpecialisation {
    pub features: Vec<String>,
    pub components: Vec<SpecialisedComponent>,
    measure: &'static str,
    on: String,
}

impl AttributionMatrix {
    /// How specialised each component is: selectivity (1 less the entropy of its scores' shares over that of equal shares),
    /// the best feature's share, and the highest score over the second.
    ///
    /// # Errors
    /// Of fewer than two features.
    pub fn specialisation(&self) -> Result<ComponentSpecialisation> {
        let mut components = Vec::new();
        for (i, component) in self.components().iter().enumerate() {
            let scores: Vec<f64> = self.row(i).collect();
            components.push(SpecialisedComponent {
                name: component.to_string(),
                highest: scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                spread: specialisation(&scores)?,
            });
        }
        let selectivity =
            |c: &SpecialisedComponent| c.spread.as_ref().map_or(-1.0, |s| s.selectivity);
        components.sort_by(|a, b| selectivity(b).total_cmp(&selectivity(a)));
        Ok(ComponentSpecialisation {
            features: self.features().into_iter().map(str::to_string).collect(),
            components,
            measure: self.measure(),
            on: self.on(),
        })
    }
}

impl ComponentSpecialisation {
    /// One row a component, the most selective first. A component with a low highest score may be selective by chance.
    pub fn table(&self) -> Table {
        let header = [
            "component",
            "best feature",
            "highest score",
            "selectivity",
            "share of the best",
            "largest / second",
        ];
        let title = format!(
            "selectivity over {} features by {}: {}",
            self.features.len(),
            self.measure,
            self.on
        );
        let table = Table::new(title).columns(header);
        self.components.iter().fold(table, |table, c| {
            let spread = c.spread.as_ref();
            let number = |of: &dyn Fn(&Specialisation) -> Option<f64>| {
                spread
                    .and_then(of)
                    .map_or("–".to_string(), |v| format!("{v:.2}"))
            };
            table.row([
                c.name.clone(),
                spread.map_or("–".to_string(), |s| self.features[s.best].clone()),
                format!("{:.3}", c.highest),
                number(&|s| Some(s.selectivity)),
                number(&|s| Some(s.best_share)),
                number(&|s| s.ratio),
            ])
        })
    }

    /// The selectivity of the `k` components with the highest scores of any feature, with that feature's name.
    pub fn chart(&self, k: usize) -> BarChart {
        let mut strongest: Vec<&SpecialisedComponent> = self.components.iter().collect();
        strongest.sort_by(|a, b| b.highest.total_cmp(&a.highest));
        strongest.truncate(k.max(1));
        let title = format!("how specialised? {}", self.on);
        let axis = "selectivity: 1 - entropy of the scores' shares / that of equal shares";
        strongest
            .into_iter()
            .fold(BarChart::new(title, axis), |chart, c| match &c.spread {
                Some(spread) => {
                    let feature = &self.features[spread.best];
                    chart.bar(
                        format!("{} ({feature} {:.2})", c.name, c.highest),
                        spread.selectivity,
                    )
                }
                None => chart,
            })
    }

    /// Writes one row a component, in full precision: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let each = self.components.iter();
        let best = |c: &SpecialisedComponent| {
            c.spread
                .as_ref()
                .map_or(String::new(), |s| self.features[s.best].clone())
        };
        let maybe = |of: &dyn Fn(&Specialisation) -> Option<f64>| {
            Column::Maybe(
                each.clone()
                    .map(|c| c.spread.as_ref().and_then(of))
                    .collect(),
            )
        };
        export(
            path.as_ref(),
            &[
                (
                    "component",
                    Column::Text(each.clone().map(|c| c.name.clone()).collect()),
                ),
                (
                    "best_feature",
                    Column::Text(each.clone().map(best).collect()),
                ),
                (
                    "highest",
                    Column::Number(each.clone().map(|c| c.highest).collect()),
                ),
                ("selectivity", maybe(&|s| Some(s.selectivity))),
                ("best_share", maybe(&|s| Some(s.best_share))),
                ("ratio", maybe(&|s| s.ratio)),
            ],
        )
    }
}
