//! What data sets and labels show of themselves.

use super::generated::Batch;
use super::{
    DataSet, FolderSet, GeneratedSet, Labels, ParquetSet, Preprocessed, Relabelled,
    SegmentationSet, Subset, TarSet,
};
use crate::facts::{self, Facts};
use crate::identity::debug_as_display;
use std::fmt;

/// Images that a display names.
const NAMED: usize = 20;

/// The facts about a set: how many images, its label columns, the first images by name, what was left out. No picture is
/// read for them.
pub(crate) fn facts(set: &dyn DataSet) -> Facts {
    let columns = set.label_columns();
    let columns = match columns.is_empty() {
        true => "none".to_string(),
        false => facts::list(columns, 110),
    };
    let names: Vec<String> = (0..set.len().min(NAMED))
        .map(|i| set.image_name(i))
        .collect();
    let left_out = set.skipped().first().map(|first| {
        let count = set.skipped().len();
        format!("{count}, listed by .skipped(); the first: {first}")
    });
    Facts::new(title(set))
        .row("labels", columns)
        .row("images", first_of(&names, set.len()))
        .maybe("left out", left_out)
}

/// Name and number of images.
pub(crate) fn title(set: &dyn DataSet) -> String {
    let count = facts::count(set.len(), "image");
    match set.name().ends_with(&count) {
        true => set.name().to_string(),
        false => format!("{}, {count}", set.name()),
    }
}

/// The first of `all` names, as many as fit in a line.
fn first_of(names: &[String], all: usize) -> String {
    let mut shown = String::new();
    for (i, name) in names.iter().enumerate() {
        if i > 0 && shown.chars().count() + name.chars().count() > 100 {
            break;
        }
        shown += &format!("{}{name}", if i > 0 { ", " } else { "" });
        if i + 1 == all {
            return shown;
        }
    }
    format!("{shown}, ...")
}

macro_rules! shows_facts {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", facts(self))
            }
        }

        debug_as_display!($name);
    )*};
}

shows_facts!(
    FolderSet,
    GeneratedSet,
    ParquetSet,
    Preprocessed,
    Relabelled,
    SegmentationSet,
    Subset,
    TarSet
);

debug_as_display!(Batch, Labels);

impl fmt::Display for dyn DataSet + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What takes a set takes a reference to one.
        write!(f, "{}", facts(&self))
    }
}

impl fmt::Debug for dyn DataSet + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CLASSES: usize = 20;
        let mut counts = vec![0usize; self.names.len()];
        for &value in &self.values {
            if let Some(count) = counts.get_mut(value) {
                *count += 1;
            }
        }
        let title = format!(
            "labels of {}, {} values",
            facts::count(self.values.len(), "image"),
            self.names.len()
        );
        let rows = self.names.iter().zip(&counts).take(CLASSES);
        let rows: Vec<(String, f64)> = rows
            .map(|(name, count)| (name.clone(), *count as f64))
            .collect();
        let left = self.names.len().saturating_sub(CLASSES);
        let shown = Facts::new(title)
            .lines(facts::bars(&rows))
            .lines((left > 0).then(|| format!("and {left} more values")));
        write!(f, "{shown}")
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Facts::new("images with their masks")
            .row("pixels", facts::tensor(&self.pixels))
            .row("masks", facts::tensor(&self.masks));
        write!(f, "{shown}")
    }
}
