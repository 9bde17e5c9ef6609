//! Curves as a chart, a table and rows.

use super::{AblationCurve, AblationCurves};
use crate::Result;
use crate::charts::{LineChart, Table};
use crate::decompose::Granularity;
use crate::files::rows::{Column, export};
use std::fmt;
use std::path::Path;

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

impl AblationCurves {
    fn title(&self) -> String {
        let first = &self.curves()[0];
        let same = self.curves().iter().all(|c| c.order == first.order);
        let order = if same {
            first.order.as_str()
        } else {
            "in several orders"
        };
        let by = match first.granularity {
            Granularity::Layers => "layers",
            _ => "components",
        };
        format!(
            "{}, {}, n = {}: {by} mean-ablated {order}",
            first.column, first.data, first.images
        )
    }

    /// What a line is called: with its order where curves of several orders stand side by side.
    fn name(&self, curve: &AblationCurve) -> String {
        let alike = |other: &&AblationCurve| other.name() == curve.name();
        match self.curves().iter().filter(alike).count() {
            1 => curve.name(),
            _ => format!("{}, {}", curve.name(), curve.order),
        }
    }

    /// Accuracy in % over the number of components switched off, a line a curve with rings where a block is done, and dashed
    /// the mean over random orders of the same components.
    pub fn chart(&self) -> LineChart {
        let by = match self.curves()[0].granularity {
            Granularity::Layers => "layers switched off",
            _ => "components switched off",
        };
        let chart = LineChart::new(self.title(), by, "accuracy, %");
        self.curves().iter().fold(chart, |chart, curve| {
            let at = |correct: f64| 100.0 * curve.share(correct);
            let own = curve.steps.iter();
            let own = own.map(|s| (s.components as f64, at(s.correct as f64)));
            let borders = curve.steps.iter().filter(|s| s.border);
            let chart = chart
                .line(self.name(curve), own)
                .rings(borders.map(|s| s.components as f64));
            let random: Vec<(f64, f64)> = (curve.steps.iter())
                .filter_map(|s| Some((s.components as f64, at(s.random.as_ref()?.mean))))
                .collect();
            match random.is_empty() {
                true => chart,
                false => {
                    let name = format!("random orders, mean of {}", curve.random_orders);
                    chart.control(name, random)
                }
            }
        })
    }

    /// One row a curve: accuracy in % with all components, after a quarter, half and three quarters of the steps and after
    /// all, the mean over the steps beside that of random orders, and how many components may go before half of what is
    /// above the most frequent class is lost.
    pub fn table(&self) -> Table {
        let header = [
            "classifier",
            "components",
            "all on",
            "1/4 off",
            "1/2 off",
            "3/4 off",
            "last step",
            "most frequent class",
            "mean over steps",
            "random orders",
            "half is lost at",
            "remark",
        ];
        let table = Table::new(format!("accuracy in %, {}", self.title())).columns(header);
        self.curves().iter().fold(table, |table, curve| {
            let last = curve.steps.len() - 1;
            let at = |step: usize| curve.accuracy(step).map_or(String::new(), percent);
            table.row([
                self.name(curve),
                curve.components.to_string(),
                at(0),
                at(last.div_ceil(4)),
                at(last.div_ceil(2)),
                at((3 * last).div_ceil(4)),
                at(last),
                percent(curve.majority),
                percent(curve.mean()),
                curve.mean_random().map_or("–".to_string(), percent),
                curve
                    .half()
                    .map_or("–".to_string(), |half| half.to_string()),
                curve.note.clone().unwrap_or_default(),
            ])
        })
    }

    /// Writes one row a step of each curve, in full precision: `.csv` or `.parquet`. Accuracies are shares.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let steps: Vec<_> = (self.curves().iter())
            .flat_map(|curve| curve.steps.iter().map(move |step| (curve, step)))
            .collect();
        let text = |of: &dyn Fn(&AblationCurve) -> String| {
            Column::Text(steps.iter().map(|(curve, _)| of(curve)).collect())
        };
        let random = |of: &dyn Fn(&super::RandomOrders) -> f64| {
            let each = steps.iter();
            let each = each.map(|(curve, s)| Some(curve.share(of(s.random.as_ref()?))));
            Column::Maybe(each.collect())
        };
        let count = |of: &dyn Fn(&(&AblationCurve, &super::AblationStep)) -> usize| {
            Column::Count(steps.iter().map(of).collect())
        };
        export(
            path.as_ref(),
            &[
                ("model", text(&|c| c.model.clone())),
                ("classifier", text(&|c| c.name())),
                ("data", text(&|c| c.data.clone())),
                ("column", text(&|c| c.column.clone())),
                ("order", text(&|c| c.order.clone())),
                (
                    "step",
                    Column::Text(steps.iter().map(|(_, s)| s.name.clone()).collect()),
                ),
                ("components_off", count(&|(_, s)| s.components)),
                ("correct", count(&|(_, s)| s.correct)),
                ("images", count(&|(c, _)| c.images)),
                (
                    "accuracy",
                    Column::Number(
                        steps
                            .iter()
                            .map(|(c, s)| c.share(s.correct as f64))
                            .collect(),
                    ),
                ),
                ("random_mean", random(&|r| r.mean)),
                ("random_least", random(&|r| r.least as f64)),
                ("random_most", random(&|r| r.most as f64)),
            ],
        )
    }

    /// [`Self::save`], by the name that other results have.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save(path)
    }

    /// Shows the chart in an evcxr front end; called by evcxr for a value at the end of a cell.
    pub fn evcxr_display(&self) {
        self.chart().evcxr_display()
    }
}

impl fmt::Display for AblationCurves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table())
    }
}

impl AblationCurve {
    /// This curve alone, as [`AblationCurves::chart`].
    pub fn chart(&self) -> LineChart {
        self.alone().chart()
    }

    /// This curve alone, one row a step.
    pub fn table(&self) -> Table {
        let header = [
            "off",
            "switched off with this step",
            "accuracy, %",
            "random orders, %",
        ];
        let title = format!("{}, {}", self.name(), self.alone().title());
        let table = Table::new(title).columns(header);
        self.steps.iter().fold(table, |table, step| {
            let random = step.random.as_ref().map(|r| percent(self.share(r.mean)));
            table.row([
                step.components.to_string(),
                step.name.clone(),
                percent(self.share(step.correct as f64)),
                random.unwrap_or("–".to_string()),
            ])
        })
    }

    fn alone(&self) -> AblationCurves {
        AblationCurves::one(self.clone())
    }

    /// Shows the steps in an evcxr front end; called by evcxr for a value at the end of a cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display()
    }
}

/// Step by step, as long as a screen is.
impl fmt::Display for AblationCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!("{}: {} of {}", self.name(), self.column, self.data);
        let rows: Vec<(String, f64)> = (self.steps.iter())
            .map(|s| {
                (
                    format!("{} off, {}", s.components, s.name),
                    100.0 * self.share(s.correct as f64),
                )
            })
            .take(40)
            .collect();
        write!(
            f,
            "{}",
            crate::facts::Facts::new(title).lines(crate::facts::bars(&rows))
        )
    }
}

crate::identity::debug_as_display!(AblationCurve, AblationCurves);
