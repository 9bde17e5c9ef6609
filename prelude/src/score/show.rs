//! What scores and what is made of them show of themselves.

use super::{
    Ablation, Accuracy, ComponentMeans, GroupAccuracy, LinearHead, Ranking, Scores, TextSpan,
};
use crate::decompose::names_in_words;
use crate::decompose::show::norms;
use crate::facts::{self, Facts};
use crate::identity::{ModelId, debug_as_display};
use std::fmt;

/// Components that a display of scores lists.
const SHOWN: usize = 12;

impl Scores {
    /// What they are, in a line.
    pub(super) fn line(&self) -> String {
        let (measure, n) = (self.measure().name(), facts::count(self.len(), "component"));
        let of = match self.origin() {
            Some(origin) => format!("; {origin}"),
            None => String::new(),
        };
        format!("{measure} of {n}, for {}{of}", self.feature())
    }
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (names, values) = (self.names(), self.values());
        let mut rows: Vec<(String, f64)> = names.into_iter().zip(values.iter().copied()).collect();
        rows.sort_by(|a, b| b.1.total_cmp(&a.1));
        let left = rows.len().saturating_sub(SHOWN);
        rows.truncate(SHOWN);
        let more =
            (left > 0).then(|| format!("and {left} more: .ranked()? has all, .table() in order"));
        let texts = self.texts().map(|texts| texts.clip.to_string());
        let images = self.origin().map(|origin| origin.to_string());
        let shown = Facts::new(format!(
            "{} of {}, for {}",
            self.measure().name(),
            facts::count(self.len(), "component"),
            self.feature()
        ))
        .maybe("contributions", images)
        .maybe("texts", texts)
        .lines(facts::bars(&rows))
        .lines(more);
        write!(f, "{shown}")
    }
}

impl fmt::Display for Ranking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const RANKED: usize = 40;
        let shown = self.iter().take(RANKED);
        let rows: Vec<(String, f64)> = shown.map(|r| (r.name.clone(), r.score)).collect();
        let left = self.len() - rows.len();
        let more = (left > 0).then(|| format!("and {left} more"));
        let whose = self
            .origin()
            .map_or(String::new(), |origin| format!(" of {origin}"));
        let count = facts::count(self.len(), "component");
        let shown = Facts::new(format!("{count} by score{whose}"))
            .lines(facts::bars(&rows))
            .lines(more);
        write!(f, "{shown}")
    }
}

impl fmt::Display for ComponentMeans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = facts::count(self.components().len(), "component");
        let over = match self.origin() {
            Some(origin) => format!(" over {origin}"),
            None => String::new(),
        };
        let stack = self.values().unsqueeze(1);
        let lines = match &stack {
            // Of one vector for each component.
            Ok(stack) => norms(self.components(), stack),
            Err(_) => Vec::new(),
        };
        let shown = Facts::new(format!("means of {count}{over}"))
            .row("components", names_in_words(self.components()))
            .maybe(
                "options",
                self.origin().map(|origin| origin.options.words()),
            )
            .row("values", facts::tensor(self.values()))
            .lines(
                lines
                    .into_iter()
                    .map(|line| line.replace("mean over 1 image", "of the mean")),
            );
        write!(f, "{shown}")
    }
}

impl fmt::Display for LinearHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reads = self
            .reads()
            .map_or("unknown".to_string(), ModelId::to_string);
        let names = self.names().map(|names| facts::list(names, 110));
        let shown = Facts::new(format!("linear head of {}", classes(self.classes())))
            .row("reads", format!("the representation of {reads}"))
            .row("weight", facts::tensor(self.weight()))
            .maybe("classes", names);
        write!(f, "{shown}")
    }
}

fn classes(count: usize) -> String {
    match count {
        1 => "1 class".to_string(),
        n => format!("{n} classes"),
    }
}

impl fmt::Display for Ablation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (components, images) = (self.components(), self.images());
        write!(
            f,
            "logits of {} on {}, taken apart into {}",
            classes(self.classes()),
            facts::count(images, "image"),
            facts::count(components, "component")
        )
    }
}

impl fmt::Display for GroupAccuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let images: usize = self.groups.iter().map(|group| group.images).sum();
        let title = format!(
            "accuracy of {} groups, {}",
            self.groups.len(),
            facts::count(images, "image")
        );
        let rows = self.groups.iter().fold(Facts::new(title), |shown, group| {
            let share = group.accuracy().map_or("–".to_string(), percent);
            let of = facts::count(group.images, "image");
            shown.row(&group.name, format!("{share} of {of}"))
        });
        let shown = rows
            .row("worst", percent(self.worst()))
            .row("average over images", percent(self.average()))
            .row("average over groups", percent(self.average_of_groups()));
        write!(f, "{shown}")
    }
}

impl fmt::Display for TextSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!("span of {}", facts::count(self.picks.len(), "text"));
        let each = self.picks.iter().zip(&self.std).zip(&self.explained);
        let shown = each.fold(Facts::new(title), |shown, ((pick, std), explained)| {
            let share = 100.0 * explained;
            shown.row(
                format!("text {pick}"),
                format!(
                    "deviation {}, {share:.1} % of the variance so far",
                    facts::number(*std)
                ),
            )
        });
        let shown = shown.row("reconstruction", facts::tensor(&self.reconstruction));
        write!(f, "{shown}")
    }
}

debug_as_display!(
    Ablation,
    Accuracy,
    ComponentMeans,
    GroupAccuracy,
    LinearHead,
    Ranking,
    Scores,
    TextSpan
);
