//! Charts of what scoring and mitigation return.

use super::{BarChart, GroupedBars, LineChart, Table};
use crate::score::{GroupAccuracy, Mitigation};

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// Every group's accuracy in percent, then the worst and the average.
fn rows(of: &GroupAccuracy) -> impl Iterator<Item = Option<f64>> {
    of.groups
        .iter()
        .map(|g| g.accuracy())
        .chain([Some(of.worst()), Some(of.average())])
        .map(|a| a.map(|a| 100.0 * a))
}

impl BarChart {
    /// The components of a mitigation in their order, those switched off in another colour.
    pub fn components(title: impl Into<String>, mitigation: &Mitigation) -> Self {
        let ablated = mitigation.ablated().iter().map(|r| r.name.clone());
        Self::ranked(
            title,
            "score of spurious less core feature",
            &mitigation.order,
        )
        .emphasise(ablated)
    }
}

impl GroupedBars {
    /// Accuracy of each group, worst and average: before, after, and the mean over random choices of as many
    /// components.
    pub fn mitigation(title: impl Into<String>, mitigation: &Mitigation) -> Self {
        let k = mitigation.k;
        let random = &mitigation.random;
        let series = [
            "before".to_owned(),
            format!("top {k} switched off"),
            format!("{k} random ones, mean of {}", random.draws.len()),
        ];
        let names = mitigation.before.groups.iter().map(|g| g.name.as_str());
        let mean = random.mean_groups().into_iter();
        let mean = mean.chain([Some(random.mean_worst()), Some(random.mean_average())]);
        let each = rows(&mitigation.before)
            .zip(rows(&mitigation.after))
            .zip(mean);
        names.chain(["worst", "average"]).zip(each).fold(
            Self::new(title, "accuracy, %", series),
            |chart, (name, ((before, after), random))| {
                chart.group(name, [before, after, random.map(|r| 100.0 * r)])
            },
        )
    }
}

impl LineChart {
    /// Worst and average accuracy on the validation split over the number of components switched off, with the
    /// number chosen.
    pub fn choice(title: impl Into<String>, mitigation: &Mitigation) -> Self {
        let curve = &mitigation.validation;
        Self::new(
            title,
            "components switched off",
            "accuracy on the validation split, %",
        )
        .line(
            "worst group",
            curve.iter().map(|v| (v.0 as f64, 100.0 * v.1)),
        )
        .line("average", curve.iter().map(|v| (v.0 as f64, 100.0 * v.2)))
        .mark(mitigation.k as f64, format!("chosen: {}", mitigation.k))
    }
}

impl Table {
    /// One row a model: every group, worst and average before → after in percent, and the same number of random
    /// components (mean and best draw by the worst group).
    pub fn mitigations<'a>(
        title: impl Into<String>,
        models: impl IntoIterator<Item = (&'a str, &'a Mitigation)>,
    ) -> Self {
        let mut table = Self::new(title);
        for (i, (model, m)) in models.into_iter().enumerate() {
            if i == 0 {
                let groups = m.before.groups.iter().map(|g| g.name.clone());
                let rest = [
                    "worst",
                    "average",
                    "random: worst, mean",
                    "best",
                    "average, mean",
                ];
                table = table.columns(
                    ["model".to_owned(), "k".to_owned()]
                        .into_iter()
                        .chain(groups)
                        .chain(rest.map(str::to_owned)),
                );
            }
            let change = rows(&m.before)
                .zip(rows(&m.after))
                .map(|(b, a)| match (b, a) {
                    (Some(b), Some(a)) => format!("{b:.1} → {a:.1}"),
                    _ => "–".to_owned(),
                });
            let best = m
                .random
                .best()
                .map_or("–".to_owned(), |b| percent(b.worst()));
            let random = [
                percent(m.random.mean_worst()),
                best,
                percent(m.random.mean_average()),
            ];
            table = table.row(
                [model.to_owned(), m.k.to_string()]
                    .into_iter()
                    .chain(change)
                    .chain(random),
            );
        }
        table
    }
}
