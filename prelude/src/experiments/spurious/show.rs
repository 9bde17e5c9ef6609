//! What a study, its data and its outcomes show of themselves.

use super::tables::percent;
use super::{Mitigated, Outcome, Remedy, Study, StudyData, StudyProtocol};
use crate::facts::{self, Facts};
use crate::identity::debug_as_display;
use std::fmt;

impl fmt::Display for StudyData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [train, validation, test] =
            [&self.train, &self.validation, &self.test].map(|split| split.images.len());
        let title = format!(
            "{}: {} by {}",
            self.name, self.core.name, self.spurious.name
        );
        let counts = format!("{train} training, {validation} validation, {test} test");
        let shown = Facts::new(title)
            .row("images", counts)
            .maybe("reference", self.reference.as_ref().map(|set| set.len()));
        let groups = self.groups.iter().zip(self.training_groups());
        let groups: Vec<(String, f64)> = groups
            .map(|(name, images)| (name.clone(), images as f64))
            .collect();
        let heading = std::iter::once("training images of each group".to_string());
        let shown = shown.lines(heading).lines(facts::bars(&groups));
        write!(f, "{shown}")
    }
}

impl fmt::Display for Study {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        let protocol = match &settings.protocol {
            StudyProtocol::Paper(paper) => format!("the paper's, first {} components", paper.k),
            StudyProtocol::Validated(_) => "k chosen on the validation split".to_string(),
        };
        let bootstrap = &settings.bootstrap;
        let shown = Facts::new(format!("study of {}", self.data.name))
            .row("texts by", self.clip.name())
            .row("decomposition", settings.decompose.words())
            .row("alignment", facts::count(settings.align_epochs, "epoch"))
            .row("scores", settings.measure.name())
            .row("protocol", protocol)
            .row(
                "intervals",
                format!(
                    "{} % of {} resamples",
                    100.0 * bootstrap.level,
                    bootstrap.draws
                ),
            )
            .row(
                "models",
                "one at a time: study.run(&model, Classifier::Probe)?",
            );
        write!(f, "{shown}")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.accuracy)?;
        if let Some(weighted) = self.weighted {
            write!(
                f,
                "\n  weighted by training groups  {} %",
                percent(weighted)
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = self.kind.change(&self.weights);
        write!(f, "{}, {change}: {}", self.kind.name(), self.outcome)
    }
}

impl fmt::Display for Mitigated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.table(), self.verdict())
    }
}

impl Mitigated {
    /// Shows the table in an evcxr front end; called by evcxr for a value at the end of a cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display()
    }
}

debug_as_display!(Mitigated, Outcome, Remedy, Study, StudyData);
