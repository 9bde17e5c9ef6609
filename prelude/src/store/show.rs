//! What a store shows of itself.

use super::ContributionStore;
use super::header::Header;
use crate::facts::{self, Facts};
use crate::identity::debug_as_display;
use std::fmt;

/// Of what the contributions of a header are.
pub(super) fn about(header: &Header) -> String {
    match &header.origin {
        Some(origin) => origin.to_string(),
        None => format!("unknown origin ({})", facts::count(header.images, "image")),
    }
}

impl fmt::Display for ContributionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = match self.missing() {
            Ok(missing) if missing.is_empty() => "none".to_string(),
            Ok(missing) => {
                let ranges = missing
                    .iter()
                    .map(|range| format!("{} to {}", range.start, range.end - 1));
                facts::list(ranges.collect::<Vec<_>>(), 100)
            }
            Err(e) => e.to_string(),
        };
        let shown = Facts::new(format!("store of contributions of {}", about(&self.header)))
            .row("at", self.address())
            .row(
                "chunks",
                format!(
                    "{} of {} images, {:?}",
                    self.chunks(),
                    self.header.chunk,
                    self.header.dtype
                ),
            )
            .row("missing images", missing);
        write!(f, "{shown}")
    }
}

debug_as_display!(ContributionStore);
