//! The shares of components in a logit, for one image or averaged over several.

use crate::Result;
use crate::charts::{Chart, Table, Waterfall};
use crate::decompose::{Component, ComponentNames, matching};
use crate::files::rows::{Column, export};
use crate::identity::debug_as_display;
use std::fmt;
use std::path::Path;

/// What sums and logits may differ by from rounding before a chart says so.
const ROUNDING: f64 = 1e-4;

/// Components that a display shows.
const SHOWN: usize = 12;

/// How a logit, or the difference of two, is made up: share by share, with the bias, for every image.
#[derive(Clone)]
pub struct LogitShares {
    title: String,
    what: String,
    unit: String,
    components: Vec<Component>,
    /// Component by component, image by image.
    shares: Vec<Vec<f64>>,
    bias: Vec<f64>,
    logits: Vec<f64>,
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

impl LogitShares {
    pub(super) fn new(
        title: String,
        what: String,
        unit: String,
        components: Vec<Component>,
        shares: Vec<Vec<f64>>,
        bias: Vec<f64>,
        logits: Vec<f64>,
    ) -> Self {
        Self {
            title,
            what,
            unit,
            components,
            shares,
            bias,
            logits,
        }
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.logits.len()
    }

    /// The names of the components, in the order of the model.
    pub fn names(&self) -> Vec<String> {
        self.components.iter().map(Component::to_string).collect()
    }

    /// The share of each component, mean over the images, in the order of the model.
    pub fn means(&self) -> Vec<f64> {
        self.shares.iter().map(|shares| mean(shares)).collect()
    }

    /// The share of one component, mean over the images: `get("block 5 head 3")`.
    ///
    /// # Errors
    /// When no component is called so.
    pub fn get(&self, name: &str) -> Result<f64> {
        let place = crate::decompose::index_of(&self.components, name)?;
        Ok(mean(&self.shares[place]))
    }

    /// The share of the components that `names` names together, mean over the images: `sum("* mlp")`.
    ///
    /// # Errors
    /// When a name or pattern fits no component.
    pub fn sum(&self, names: impl ComponentNames) -> Result<f64> {
        let places = matching(&self.components, &names)?;
        Ok(places.into_iter().map(|i| mean(&self.shares[i])).sum())
    }

    /// The shares of each image, component by component.
    pub fn of_images(&self) -> &[Vec<f64>] {
        &self.shares
    }

    /// The bias of the head, mean over the images.
    pub fn bias(&self) -> f64 {
        mean(&self.bias)
    }

    /// The logit (or the difference of two) as the head makes it of the representation, mean over the images.
    pub fn logit(&self) -> f64 {
        mean(&self.logits)
    }

    /// The furthest that the shares and the bias of an image are from summing to its logit.
    pub fn sum_error(&self) -> f64 {
        let error = |i: usize| {
            let sum: f64 = self.shares.iter().map(|shares| shares[i]).sum();
            (sum + self.bias[i] - self.logits[i]).abs()
        };
        (0..self.images()).map(error).fold(0.0, f64::max)
    }

    /// The `count` largest shares either way, with their components' names, largest first.
    pub fn top(&self, count: usize) -> Vec<(String, f64)> {
        let order = self.order().into_iter().take(count);
        let means = self.means();
        order
            .map(|i| (self.components[i].to_string(), means[i]))
            .collect()
    }

    /// The components by the size of their shares.
    fn order(&self) -> Vec<usize> {
        let means = self.means();
        let mut order: Vec<usize> = (0..means.len()).collect();
        order.sort_by(|&a, &b| means[b].abs().total_cmp(&means[a].abs()));
        order
    }

    /// The standard deviation of a component's share over the images; none of one image.
    fn deviation(&self, component: usize) -> Option<f64> {
        let (shares, n) = (&self.shares[component], self.images());
        let middle = mean(shares);
        let squares: f64 = shares.iter().map(|share| (share - middle).powi(2)).sum();
        (n > 1).then(|| (squares / (n - 1) as f64).sqrt())
    }

    fn heading(&self) -> String {
        format!("{}: {}", self.what, self.title)
    }

    /// The unit, and that it is a mean where it is.
    fn axis(&self) -> String {
        match self.images() {
            1 => format!("{} of {}", self.unit, self.what),
            n => format!("{} of {}, mean of {n} images", self.unit, self.what),
        }
    }

    /// The `count` largest shares either way as steps from 0 to the logit, then all others as one, then the bias.
    pub fn chart(&self, count: usize) -> Waterfall {
        let order = self.order();
        let means = self.means();
        let (shown, others) = order.split_at(count.max(1).min(order.len()));
        let chart = Waterfall::new(self.heading(), self.axis());
        let mut chart = shown.iter().fold(chart, |chart, &i| {
            chart.step(self.components[i].to_string(), means[i])
        });
        if !others.is_empty() {
            let rest = others.iter().map(|&i| means[i]).sum();
            chart = chart.rest(format!("{} others", others.len()), rest);
        }
        if self.bias.iter().any(|bias| *bias != 0.0) {
            chart = chart.step("bias of the head", self.bias());
        }
        let gap = self.logit() - chart.sum();
        if gap.abs() > ROUNDING * self.logit().abs().max(1.0) {
            chart = chart.rest("rounding", gap);
        }
        chart.total(self.what.clone())
    }

    /// One row a component, largest share first, with its standard deviation over images where there are several, and how
    /// far the shares have come to the logit.
    pub fn table(&self) -> Table {
        let several = self.images() > 1;
        let mut header = vec!["component", "share"];
        header.extend(several.then_some("deviation"));
        header.push("sum so far");
        let mut so_far = 0.0;
        let mut row = |name: String, value: f64, deviation: Option<f64>| {
            so_far += value;
            let mut cells = vec![name, format!("{value:.4}")];
            cells.extend(several.then(|| deviation.map_or(String::new(), |d| format!("{d:.4}"))));
            cells.push(format!("{so_far:.4}"));
            cells
        };
        let means = self.means();
        let table = Table::new(self.heading()).columns(header);
        let table = self.order().into_iter().fold(table, |table, i| {
            table.row(row(
                self.components[i].to_string(),
                means[i],
                self.deviation(i),
            ))
        });
        table.row(row("bias of the head".to_string(), self.bias(), None))
    }

    /// Writes component, share and deviation (none of one image) in full precision, the head's bias last: `.csv` or
    /// `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let n = self.components.len();
        let names = self
            .names()
            .into_iter()
            .chain(["bias of the head".to_string()]);
        let shares = self.means().into_iter().chain([self.bias()]);
        let deviations = (0..n).map(|i| self.deviation(i)).chain([None]);
        export(
            path.as_ref(),
            &[
                ("component", Column::Text(names.collect())),
                ("share", Column::Number(shares.collect())),
                ("deviation", Column::Maybe(deviations.collect())),
                ("of", Column::Text(vec![self.what.clone(); n + 1])),
                ("images", Column::Count(vec![self.images(); n + 1])),
            ],
        )
    }

    /// Shows the chart of the largest shares in an evcxr front end; called by evcxr for a value at the end of a cell.
    pub fn evcxr_display(&self) {
        self.chart(SHOWN).evcxr_display()
    }
}

impl fmt::Display for LogitShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chart(SHOWN).text())
    }
}

debug_as_display!(LogitShares);
