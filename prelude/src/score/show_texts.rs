//! What codes of texts, segmentations and orders show of themselves.

use super::{Basis, Ordering, Pursuit, Rebuilt, Segmented, SparseCode};
use crate::facts::{self, Facts};
use crate::identity::debug_as_display;
use std::fmt;

/// Texts that a display lists.
const SHOWN: usize = 12;

impl fmt::Display for SparseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.texts();
        let rows = texts.iter().take(SHOWN);
        let rows: Vec<(String, f64)> = rows.map(|(text, c)| (format!("text {text}"), *c)).collect();
        let title = format!(
            "code of {} out of {}, {} of length {} left",
            facts::count(texts.len(), "text"),
            self.coefficients.len(),
            facts::number(self.residual),
            facts::number(self.length)
        );
        write!(f, "{}", Facts::new(title).lines(facts::bars(&rows)))
    }
}

impl fmt::Display for Pursuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let picks = self.picks.iter().map(usize::to_string);
        let left = self.residuals.iter().map(|left| facts::number(*left));
        let title = format!(
            "pursuit of {}, {:.1} % of the squared length",
            facts::count(self.picks.len(), "text"),
            100.0 * self.explained()
        );
        let shown = Facts::new(title)
            .row("texts", facts::list(picks.collect::<Vec<_>>(), 110))
            .row("left", facts::list(left.collect::<Vec<_>>(), 110));
        write!(f, "{shown}")
    }
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!(
            "representation rebuilt from {} of {}",
            facts::count(self.distinct_texts(), "text"),
            facts::count(self.components.len(), "component")
        );
        let shown = Facts::new(title).row("representation", facts::tensor(&self.representation));
        write!(f, "{shown}")
    }
}

impl fmt::Display for Segmented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let above = self.foreground.iter().filter(|above| **above).count();
        let title = format!(
            "segmented image, {above} of {} pixels foreground",
            self.foreground.len()
        );
        let shown = Facts::new(title)
            .row("threshold", facts::number(self.threshold))
            .row("average precision", facts::number(self.average_precision));
        write!(f, "{shown}")
    }
}

impl fmt::Display for Ordering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!(
            "order of {} by {}",
            facts::count(self.within.len(), "component"),
            facts::count(self.between.len(), "feature")
        );
        let shown = Facts::new(title)
            .row("within components, mean", facts::number(self.mean_within()))
            .row(
                "between components, mean",
                facts::number(self.mean_between()),
            );
        write!(f, "{shown}")
    }
}

debug_as_display!(Basis, Ordering, Pursuit, Rebuilt, Segmented, SparseCode);
