//! Charts of what scoring and mitigation return.

use super::{BarChart, GroupedBars, LineChart, Table};
use crate::Result;
use crate::score::{GroupAccuracy, Mitigation, Scores};

fn percent(share: f64) -> String {
    match share.is_finite() {
        true => format!("{:.1}", 100.0 * share),
        // Of no random draws there is no mean.
        false => "–".to_owned(),
    }
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

impl Scores {
    /// The `count` components that score highest, as bars, the model, the data and n in the title.
    ///
    /// # Errors
    /// When `count` is 0, or more than there are.
    pub fn chart(&self, count: usize) -> Result<BarChart> {
        let of = self.origin().map_or(String::new(), |origin| {
            let images = &origin.images;
            format!(
                ", {}, {}, n = {}",
                origin.model.name,
                images.set,
                images.len()
            )
        });
        let title = format!("{}{of}", self.feature());
        Ok(BarChart::ranked(
            title,
            self.measure().name(),
            &self.top(count)?,
        ))
    }

    /// The components with their scores, in the order of the model.
    pub fn table(&self) -> Table {
        let title = format!("{}: {}", self.measure().name(), self.feature());
        let table = Table::new(title).columns(["component", "score"]);
        let rows = self.names().into_iter().zip(self.values());
        rows.fold(table, |table, (name, score)| {
            table.row([name, format!("{score:.3}")])
        })
    }
}

impl GroupedBars {
    /// Accuracy of each group, worst and average over all images: before, after, and the mean over random choices of as
    /// many components.
    pub fn mitigation(title: impl Into<String>, mitigation: &Mitigation) -> Self {
        let k = mitigation.k;
        let random = &mitigation.random;
        let series = [
            "before".to_owned(),
            format!("top {k} switched off"),
            format!("{k} random ones, mean of {}", random.draws.len()),
        ];
        let names = mitigation.before.groups.iter().map(|g| g.name.as_str());
        let mean = match random.draws.is_empty() {
            true => vec![None; mitigation.before.groups.len() + 2],
            false => {
                let ends = [Some(random.mean_worst()), Some(random.mean_average())];
                [random.mean_groups(), ends.to_vec()].concat()
            }
        };
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
    /// One column a model: every group, worst and average before → after in percent, and the same number of random
    /// components (mean and best draw by the worst group). The average is over all images
    /// ([`GroupAccuracy::average`]); papers weigh groups otherwise.
    pub fn mitigations<'a>(
        title: impl Into<String>,
        models: impl IntoIterator<Item = (&'a str, &'a Mitigation)>,
    ) -> Self {
        let (names, models): (Vec<_>, Vec<_>) = models.into_iter().unzip();
        // Models may have been tested on different groups: each group's row has a dash where a model lacks it.
        let mut groups: Vec<&str> = Vec::new();
        for group in models.iter().flat_map(|m| &m.before.groups) {
            if !groups.contains(&group.name.as_str()) {
                groups.push(&group.name);
            }
        }
        let row = |label: &str, cell: &dyn Fn(&Mitigation) -> String| {
            let cells = models.iter().map(|m| cell(m));
            std::iter::once(label.to_owned())
                .chain(cells)
                .collect::<Vec<_>>()
        };
        let mut table = Self::new(title)
            .columns(std::iter::once("").chain(names))
            .row(row("switched off", &|m| {
                format!("{} of {}", m.k, m.order.len())
            }));
        let change = |before: Option<f64>, after: Option<f64>| match before.zip(after) {
            Some((before, after)) => format!("{} → {}", percent(before), percent(after)),
            None => "–".to_owned(),
        };
        for name in groups {
            let of = |all: &GroupAccuracy| {
                let group = all.groups.iter().find(|g| g.name == name);
                group.and_then(|g| g.accuracy())
            };
            table = table.row(row(name, &|m| change(of(&m.before), of(&m.after))));
        }
        for (label, of) in [
            (
                "worst group",
                GroupAccuracy::worst as fn(&GroupAccuracy) -> f64,
            ),
            ("average", GroupAccuracy::average),
        ] {
            let both = |m: &Mitigation| change(Some(of(&m.before)), Some(of(&m.after)));
            table = table.row(row(label, &both));
        }
        let mut draws: Vec<usize> = models.iter().map(|m| m.random.draws.len()).collect();
        draws.dedup();
        let draws: Vec<String> = draws.iter().map(usize::to_string).collect();
        let draws = draws.join(" or ");
        table
            .row(row(
                &format!("random, worst group, mean of {draws}"),
                &|m| percent(m.random.mean_worst()),
            ))
            .row(row(
                &format!("random, worst group, best of {draws}"),
                &|m| {
                    let best = m.random.best();
                    best.map_or("–".to_owned(), |b| percent(b.worst()))
                },
            ))
            .row(row(&format!("random, average, mean of {draws}"), &|m| {
                percent(m.random.mean_average())
            }))
    }
}
