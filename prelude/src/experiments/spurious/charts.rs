//! Charts of what a study came to.

use super::outcome::{AVERAGE, OF_GROUPS, WEIGHTED, WORST};
use super::{Mitigated, Outcome};
use crate::charts::{GroupedBars, LineChart};
use crate::score::RandomDraws;

fn percent(share: f64) -> f64 {
    100.0 * share
}

impl Mitigated {
    /// Both scores of the `k` components that differ most either way.
    pub fn chart(&self, k: usize) -> GroupedBars {
        let [spurious, core] = &self.features;
        let order = &self.mitigation.order;
        let title = format!(
            "{}, {}: components for {spurious} and {core}",
            self.title(),
            self.data
        );
        let series = [spurious.as_str(), core.as_str()];
        let chart = GroupedBars::new(title, self.measure.name(), series);
        let half = k.min(order.len()) / 2;
        let ends = order[..half].iter().chain(&order[order.len() - half..]);
        ends.fold(chart, |chart, ranked| {
            let scored = self.scored(ranked);
            chart.group(scored.name.as_str(), [scored.spurious, scored.core])
        })
    }

    /// Worst group and average over the number of components switched off: on the validation split, where the number is
    /// chosen, or by the paper's protocol on the images tested, where it is fixed beforehand.
    pub fn curve(&self) -> LineChart {
        let curve = &self.mitigation.validation;
        let line = |of: fn(&(usize, f64, f64)) -> f64| {
            curve.iter().map(move |v| (v.0 as f64, 100.0 * of(v)))
        };
        let (images, how) = match self.mitigation.random.draws.is_empty() {
            true => ("validation and test images", "fixed"),
            false => ("the validation split", "chosen"),
        };
        LineChart::new(
            format!("{}, {}: how many components?", self.title(), self.data),
            "components switched off",
            format!("accuracy on {images}, %"),
        )
        .line(WORST, line(|v| v.1))
        .line(AVERAGE, line(|v| v.2))
        .mark(
            self.mitigation.k as f64,
            format!("{how}: {}", self.mitigation.k),
        )
    }

    /// Accuracy of each group, the worst one and the averages with their intervals: before, after mean ablation, and the
    /// mean over random choices of as many components.
    pub fn groups(&self) -> GroupedBars {
        let k = self.mitigation.k;
        let mut series = vec!["before".to_string(), format!("top {k} switched off")];
        let random = &self.mitigation.random;
        let draws = random.draws.len();
        if draws > 0 {
            series.push(format!("{k} random ones, mean of {draws}"));
        }
        let chart = self.bars("accuracy by group", series);
        let outcomes = [&self.before, &self.remedies[0].outcome];
        let random = (draws > 0).then(|| self.mean(random));
        self.filled(chart, &outcomes, random, &|_| true)
    }

    /// Accuracy of each group, the worst one and the average of groups with their intervals, before and after each remedy.
    pub fn remedies_chart(&self) -> GroupedBars {
        let names = self.remedies.iter().map(|r| r.kind.name().to_string());
        let series = std::iter::once("before".to_string()).chain(names);
        let chart = self.bars("what helps?", series.collect());
        let outcomes = self.remedies.iter().map(|r| &r.outcome);
        let outcomes: Vec<&Outcome> = std::iter::once(&self.before).chain(outcomes).collect();
        self.filled(chart, &outcomes, None, &|name| {
            name != AVERAGE && name != WEIGHTED
        })
    }

    fn bars(&self, question: &str, series: Vec<String>) -> GroupedBars {
        let title = format!("{}: {question}", self.whole_title());
        let axis = format!("accuracy, %, {}", self.intervals());
        GroupedBars::new(title, axis, series)
    }

    /// With the quantities of `outcomes` that are `wanted`, and those of `random`.
    fn filled(
        &self,
        chart: GroupedBars,
        outcomes: &[&Outcome],
        random: Option<Vec<Option<f64>>>,
        wanted: &dyn Fn(&str) -> bool,
    ) -> GroupedBars {
        let each: Vec<_> = outcomes.iter().map(|o| o.quantities()).collect();
        let places = (0..each[0].len()).filter(|p| wanted(&each[0][*p].name));
        places.fold(chart, |chart, place| {
            let values = each.iter().map(|all| {
                let interval = all[place].interval;
                let ends = interval.map(|i| (percent(i.low), percent(i.high)));
                (all[place].value.map(percent), ends)
            });
            let random = random.iter().map(|all| (all[place].map(percent), None));
            chart.group_between(each[0][place].name.as_str(), values.chain(random))
        })
    }

    /// Means over random draws, in the order of [`Outcome::quantities`].
    fn mean(&self, random: &RandomDraws) -> Vec<Option<f64>> {
        let groups = random.mean_groups();
        let of_groups: Vec<f64> = groups.iter().flatten().copied().collect();
        let mean = of_groups.iter().sum::<f64>() / of_groups.len() as f64;
        let weights: f64 = self.training.iter().map(|n| *n as f64).sum();
        let weighted = groups.iter().zip(&self.training);
        let weighted = weighted
            .map(|(a, n)| a.unwrap_or(0.0) * *n as f64)
            .sum::<f64>();
        let weighted = self.before.weighted.map(|_| weighted / weights);
        let known = [
            (WORST, Some(random.mean_worst())),
            (AVERAGE, Some(random.mean_average())),
            (OF_GROUPS, Some(mean)),
            (WEIGHTED, weighted),
        ];
        groups.into_iter().chain(known.map(|k| k.1)).collect()
    }
}
