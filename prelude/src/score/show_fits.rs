//! What fits, intervals and controls show of themselves.

use super::{
    AdamProbeReport, Bootstrap, Correction, GroupIntervals, Interval, ProbeReport, RandomDraws,
    Scaled, Scaling, StreamedAblation,
};
use crate::facts::{self, Facts};
use crate::identity::debug_as_display;
use std::fmt;

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// How many components are switched off, and between which factors the others lie.
fn factors(weights: &[f64]) -> String {
    let off = weights.iter().filter(|weight| **weight == 0.0).count();
    let on = weights.iter().filter(|weight| **weight != 0.0);
    let (least, most) = on.fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), w| {
        (least.min(*w), most.max(*w))
    });
    let others = match off == weights.len() {
        true => String::new(),
        false => format!(
            ", the others between {} and {}",
            facts::number(least),
            facts::number(most)
        ),
    };
    format!("{off} of {} off{others}", weights.len())
}

impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = match self.converged {
            true => "converged",
            false => "not converged",
        };
        let unseen: Vec<String> = self.unseen.iter().map(usize::to_string).collect();
        let iterations = facts::count(self.iterations, "iteration");
        let shown = Facts::new(format!("probe fit, {ended} after {iterations}"))
            .row("loss", facts::number(self.loss))
            .row("training accuracy", percent(self.train_accuracy))
            .maybe(
                "classes without images",
                (!unseen.is_empty()).then(|| facts::list(unseen, 110)),
            );
        write!(f, "{shown}")
    }
}

impl fmt::Display for AdamProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epochs = facts::count(self.losses.len(), "epoch");
        let losses = self.losses.iter().map(|loss| facts::number(*loss));
        let shown = Facts::new(format!("probe fit by Adam, {epochs}"))
            .row("losses", facts::list(losses.collect::<Vec<_>>(), 110))
            .row("training accuracy", percent(self.train_accuracy));
        write!(f, "{shown}")
    }
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = match self.converged {
            true => "converged",
            false => "not converged",
        };
        let tried = self.tried.iter().map(|(strength, worst, average)| {
            format!(
                "strength {strength}: worst group {}, average {} in the cross-validation",
                percent(*worst),
                percent(*average)
            )
        });
        let title = format!(
            "weights of {}, pulled to 1 with strength {}",
            facts::count(self.weights.len(), "component"),
            self.strength
        );
        let shown = Facts::new(title)
            .row("weights", factors(&self.weights))
            .row(
                "fit",
                format!(
                    "{ended} after {}",
                    facts::count(self.iterations, "iteration")
                ),
            )
            .row("loss and penalty", facts::number(self.loss))
            .lines(tried);
        write!(f, "{shown}")
    }
}

impl fmt::Display for Correction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} off, {} strengthened by {}; chosen by the {}",
            self.off,
            facts::count(self.weights.len(), "component"),
            self.strengthened,
            facts::number(self.factor),
            self.chosen_on
        )
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (facts::number(self.low), facts::number(self.high));
        write!(f, "{low} to {high}")
    }
}

impl fmt::Display for GroupIntervals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.groups.iter().enumerate();
        let shown = groups.fold(
            Facts::new("bootstrap intervals"),
            |shown, (group, interval)| {
                let interval = interval.map_or("no images".to_string(), |i| i.to_string());
                shown.row(format!("group {group}"), interval)
            },
        );
        let shown = shown
            .row("worst", self.worst)
            .row("average over images", self.average)
            .row("average over groups", self.average_of_groups)
            .maybe("average weighted", self.average_weighted);
        write!(f, "{shown}")
    }
}

impl fmt::Display for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        write!(
            f,
            "{} resamples of {} within {} groups, {} % intervals, seed {}",
            options.draws,
            facts::count(self.images, "image"),
            self.groups,
            100.0 * options.level,
            options.seed
        )
    }
}

impl fmt::Display for RandomDraws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(best) = self.best() else {
            return f.write_str("no random draws");
        };
        let title = format!("{} random draws of components", self.draws.len());
        let shown = Facts::new(title)
            .row("worst group, mean", percent(self.mean_worst()))
            .row("worst group, best draw", percent(best.worst()))
            .row("average, mean", percent(self.mean_average()));
        write!(f, "{shown}")
    }
}

impl fmt::Display for Scaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Facts::new("map scaled to be laid over an image")
            .row("values", facts::tensor(&self.values))
            .row("1 stands for", facts::number(self.threshold))
            .row("values beyond", self.beyond);
        write!(f, "{shown}")
    }
}

impl<C> fmt::Display for StreamedAblation<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "logits of {} classes on {}, taken apart into {}, a block of images at a time",
            self.head.classes(),
            facts::count(self.images, "image"),
            facts::count(self.components, "component")
        )
    }
}

impl<C> fmt::Debug for StreamedAblation<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

debug_as_display!(
    AdamProbeReport,
    Bootstrap,
    Correction,
    GroupIntervals,
    ProbeReport,
    RandomDraws,
    Scaled,
    Scaling
);
