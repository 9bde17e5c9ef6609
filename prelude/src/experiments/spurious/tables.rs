//! Tables of what studies came to.

use super::outcome::{AVERAGE, OF_GROUPS, Quantity, WEIGHTED, WORST};
use super::{Mitigated, Outcome, Remedy};
use crate::charts::Table;
use crate::score::Interval;

/// Where a number is not known.
const NONE: &str = "–";

pub(super) fn percent(share: f64) -> String {
    match share.is_finite() {
        true => format!("{:.1}", 100.0 * share),
        false => NONE.to_string(),
    }
}

fn between(interval: &Interval) -> String {
    format!("[{}, {}]", percent(interval.low), percent(interval.high))
}

fn signed(share: f64) -> String {
    format!("{:+.1}", 100.0 * share)
}

fn change(before: Option<f64>, after: Option<f64>) -> String {
    match before.zip(after) {
        Some((before, after)) => format!("{} → {}", percent(before), percent(after)),
        None => NONE.to_string(),
    }
}

impl Mitigated {
    /// The first `k` components by spurious score less core score; those switched off are marked.
    pub fn ranking(&self, k: usize) -> Table {
        let [spurious, core] = &self.features;
        let header = [
            "",
            "component",
            spurious,
            core,
            "difference",
            "switched off",
        ];
        let measure = self.measure.name();
        let title = format!("{}: {spurious} against {core}, {measure}", self.title());
        let rows = self.mitigation.order.iter().take(k).enumerate();
        rows.fold(Table::new(title).columns(header), |table, (i, ranked)| {
            let scored = self.scored(ranked);
            table.row([
                (i + 1).to_string(),
                scored.name.clone(),
                format!("{:.3}", scored.spurious),
                format!("{:.3}", scored.core),
                format!("{:+.3}", ranked.score),
                if i < self.mitigation.k { "yes" } else { "" }.to_string(),
            ])
        })
    }

    /// Accuracies in % with their intervals: every group, the worst one and three averages, before and after each remedy,
    /// and the same changes made to random components.
    pub fn table(&self) -> Table {
        let outcomes: Vec<&Outcome> = std::iter::once(&self.before)
            .chain(self.remedies.iter().map(|r| &r.outcome))
            .collect();
        let names = self.remedies.iter().map(|r| r.kind.name());
        let header = ["", "before"].into_iter().chain(names);
        let row = |label: &str, of: &dyn Fn(&Remedy) -> String| {
            let cells = self.remedies.iter().map(of);
            let first = [label.to_string(), String::new()].into_iter();
            first.chain(cells).collect::<Vec<_>>()
        };
        let title = format!(
            "{}: accuracy in %, {}",
            self.whole_title(),
            self.intervals()
        );
        let mut table = Table::new(title)
            .columns(header)
            .row(row("components", &|r| r.kind.change(&r.weights)));
        let each: Vec<Vec<Quantity>> = outcomes.iter().map(|o| o.quantities()).collect();
        for place in 0..each[0].len() {
            let cell = |all: &Vec<Quantity>| match (all[place].value, &all[place].interval) {
                (Some(value), Some(interval)) => {
                    format!("{} {}", percent(value), between(interval))
                }
                (Some(value), None) => percent(value),
                _ => NONE.to_string(),
            };
            let label = each[0][place].name.clone();
            table = table.row(std::iter::once(label).chain(each.iter().map(cell)));
        }
        let before = self.before.accuracy.worst();
        table = table.row(row("worst group, gain", &|r| {
            let gain = r.outcome.accuracy.worst() - before;
            format!("{} {}", signed(gain), between(&r.gain.worst))
        }));
        let draws = self.mitigation.random.draws.len();
        if draws == 0 {
            return table;
        }
        table
            .row(row(
                &format!("worst group, random, mean of {draws}"),
                &|r| percent(r.random.mean_worst()),
            ))
            .row(row(
                &format!("worst group, random, best of {draws}"),
                &|r| r.random.best().map_or(NONE.into(), |b| percent(b.worst())),
            ))
            .row(row(&format!("{AVERAGE}, random, mean of {draws}"), &|r| {
                percent(r.random.mean_average())
            }))
    }

    /// Whether anything beats mean ablation in the worst group, in a sentence.
    pub fn verdict(&self) -> String {
        let of = |r: &Remedy| percent(r.outcome.accuracy.worst());
        let (ablation, best) = (&self.remedies[0], self.best());
        let title = self.title();
        let Some(over) = &best.over_ablation else {
            let others = match self.remedies.len() {
                1 => "nothing else was tried",
                _ => "nothing tried beats it",
            };
            return format!(
                "{title}: best by mean ablation, worst group {}; {others}",
                of(ablation)
            );
        };
        let gain = best.outcome.accuracy.worst() - ablation.outcome.accuracy.worst();
        let sure = match over.worst.low > 0.0 {
            true => "",
            false => ", within what another draw of test images could change",
        };
        format!(
            "{title}: best by {}, worst group {} against {} by mean ablation: {} {}{sure}",
            best.kind.name(),
            of(best),
            of(ablation),
            signed(gain),
            between(&over.worst)
        )
    }
}

/// Before → after mean ablation in % for several models, beside the same number of random components, and the worst group
/// after what goes beyond mean ablation. Three averages: over all images, over groups (the paper's) and over groups weighted
/// by their training images (Sagawa et al.). Intervals are in [`Mitigated::table`] and [`study_accuracies`].
pub fn comparison(results: &[Mitigated]) -> Table {
    let row = |label: &str, cell: &dyn Fn(&Mitigated) -> String| {
        let cells = results.iter().map(cell);
        let label = std::iter::once(label.to_string());
        label.chain(cells).collect::<Vec<_>>()
    };
    // Models may have been tested on different groups: each group's row has a dash where a model lacks it.
    let mut names: Vec<String> = Vec::new();
    for group in results.iter().flat_map(|r| &r.before.accuracy.groups) {
        if !names.contains(&group.name) {
            names.push(group.name.clone());
        }
    }
    names.extend([WORST, AVERAGE, OF_GROUPS, WEIGHTED].map(str::to_string));
    let title = "accuracy in %, before → after switching components off";
    let header = std::iter::once(String::new()).chain(results.iter().map(Mitigated::title));
    let mut table = Table::new(title)
        .columns(header)
        .row(row("switched off", &|r| {
            format!("{} of {}", r.mitigation.k, r.mitigation.order.len())
        }));
    let value = |outcome: &Outcome, name: &str| {
        let all = outcome.quantities();
        all.into_iter().find(|q| q.name == name)?.value
    };
    for name in &names {
        table = table.row(row(name, &|r| {
            let after = r.remedies.first();
            change(
                value(&r.before, name),
                after.and_then(|r| value(&r.outcome, name)),
            )
        }));
    }
    let mut draws: Vec<usize> = results
        .iter()
        .map(|r| r.mitigation.random.draws.len())
        .filter(|draws| *draws > 0)
        .collect();
    draws.sort_unstable();
    draws.dedup();
    if !draws.is_empty() {
        let draws: Vec<String> = draws.iter().map(usize::to_string).collect();
        let draws = draws.join(" or ");
        let random = |r: &Mitigated| r.mitigation.random.clone();
        table = table
            .row(row(
                &format!("random, worst group, mean of {draws}"),
                &|r| percent(random(r).mean_worst()),
            ))
            .row(row(
                &format!("random, worst group, best of {draws}"),
                &|r| random(r).best().map_or(NONE.into(), |b| percent(b.worst())),
            ))
            .row(row(&format!("random, average, mean of {draws}"), &|r| {
                percent(random(r).mean_average())
            }));
    }
    for name in beyond(results) {
        table = table.row(row(&format!("{WORST}, {name}"), &|r| {
            let found = r.remedies.iter().find(|r| r.kind.name() == name);
            found.map_or(NONE.into(), |r| percent(r.outcome.accuracy.worst()))
        }));
    }
    table
}

/// The names of the remedies beyond mean ablation.
fn beyond(results: &[Mitigated]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for remedy in results.iter().flat_map(|r| r.remedies.iter().skip(1)) {
        if !names.contains(&remedy.kind.name()) {
            names.push(remedy.kind.name());
        }
    }
    names
}

/// The worst group in % after each remedy for several models, with intervals, and how much the best one gains over mean
/// ablation (images resampled in pairs).
pub fn remedy_comparison(results: &[Mitigated]) -> Table {
    let beyond = beyond(results);
    let header = ["", "before", "mean ablation"].into_iter();
    let header = header.chain(beyond.iter().copied());
    let header = header.chain(["best", "gain over mean ablation"]);
    let worst = |o: &Outcome| {
        let interval = between(&o.intervals.worst);
        format!("{} {interval}", percent(o.accuracy.worst()))
    };
    let title = "worst group's accuracy in %, with intervals";
    results
        .iter()
        .fold(Table::new(title).columns(header), |table, r| {
            let ablation = &r.remedies[0];
            let mut cells = vec![r.title(), worst(&r.before), worst(&ablation.outcome)];
            cells.extend(beyond.iter().map(|name| {
                let found = r.remedies.iter().find(|r| r.kind.name() == *name);
                found.map_or(NONE.into(), |r| worst(&r.outcome))
            }));
            let best = r.best();
            let of = |r: &Remedy| r.outcome.accuracy.worst();
            let gain = best.over_ablation.as_ref().map(|over| {
                let gain = signed(of(best) - of(ablation));
                format!("{gain} {}", between(&over.worst))
            });
            cells.push(best.kind.name().to_string());
            cells.push(gain.unwrap_or(NONE.into()));
            table.row(cells)
        })
}

/// Every accuracy of every model with the ends of its interval, one a row, in full precision: for other programs
/// (`.save("accuracies.csv")`).
pub fn study_accuracies(results: &[Mitigated]) -> Table {
    let header = [
        "model", "data", "remedy", "quantity", "accuracy", "low", "high",
    ];
    let mut table = Table::new("accuracies with bootstrap intervals").columns(header);
    for result in results {
        let outcomes = std::iter::once(("before", &result.before));
        let after = result.remedies.iter().map(|r| (r.kind.name(), &r.outcome));
        for (remedy, outcome) in outcomes.chain(after) {
            for quantity in outcome.quantities() {
                let number = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
                table = table.row([
                    result.title(),
                    result.data.clone(),
                    remedy.to_string(),
                    quantity.name,
                    number(quantity.value),
                    number(quantity.interval.map(|i| i.low)),
                    number(quantity.interval.map(|i| i.high)),
                ]);
            }
        }
    }
    table
}
