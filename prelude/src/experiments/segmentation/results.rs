//! What a segmentation came to.

use super::{SegmentationExamples, SegmentationMethod};
use crate::charts::{GroupedBars, Table};
use crate::facts;
use crate::files::rows::{Column, export};
use crate::score::SegmentationScores;
use crate::{Error, Result};
use std::path::Path;

/// One method.
#[derive(Clone, Debug)]
pub struct SegmentationRow {
    pub method: SegmentationMethod,
    pub scores: SegmentationScores,
}

/// How well each method's maps separate objects from background, for one model.
#[derive(Clone)]
pub struct Segmentation {
    pub(super) model: String,
    pub(super) data: String,
    pub(super) images: usize,
    pub(super) classes: String,
    pub rows: Vec<SegmentationRow>,
    /// Methods that are not defined on this model, and why.
    pub undefined: Vec<(SegmentationMethod, String)>,
    /// The first images with all maps.
    pub examples: SegmentationExamples,
}

/// A measure of the sums over a set of images.
type Measure = fn(&SegmentationScores) -> f64;

/// The measures, each under its own name: the paper's "mIoU" is the foreground's IoU; CLIP-PRS's and Chefer et al.'s is the
/// mean of both.
const MEASURES: [(&str, Measure); 5] = [
    ("pixel accuracy", SegmentationScores::pixel_accuracy),
    ("foreground IoU", SegmentationScores::foreground_iou),
    ("mean IoU", SegmentationScores::mean_iou),
    (
        "average precision",
        SegmentationScores::mean_average_precision,
    ),
    (
        "AP of both classes",
        SegmentationScores::joined_mean_average_precision,
    ),
];

impl Segmentation {
    /// The name of the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The scores of one method by its name, `scores("decomposition")`.
    ///
    /// # Errors
    /// When it was not run, or is not defined on the model.
    pub fn scores(&self, method: &str) -> Result<&SegmentationScores> {
        let found = self.rows.iter().find(|row| row.method.name() == method);
        found.map(|row| &row.scores).ok_or_else(|| {
            let undefined = self
                .undefined
                .iter()
                .find(|(known, _)| known.name() == method);
            let expected = match undefined {
                Some((_, why)) => format!("a method that is defined on {} ({why})", self.model),
                None => {
                    let known: Vec<&str> = self.rows.iter().map(|row| row.method.name()).collect();
                    format!("one of {}", known.join(", "))
                }
            };
            Error::argument("method", format!("\"{method}\""), expected)
        })
    }

    fn title(&self) -> String {
        format!(
            "{}: segmentation, {}, {}, n = {}",
            self.model, self.data, self.classes, self.images
        )
    }

    /// One row a method; methods that are not defined on the model stand below with dashes.
    pub fn table(&self) -> Table {
        let header = std::iter::once("method").chain(MEASURES.map(|(name, _)| name));
        let table = Table::new(format!("{}, in %", self.title())).columns(header);
        let table = self.rows.iter().fold(table, |table, row| {
            let cells = MEASURES.map(|(_, measure)| format!("{:.1}", 100.0 * measure(&row.scores)));
            table.row(std::iter::once(row.method.name().to_string()).chain(cells))
        });
        self.undefined.iter().fold(table, |table, (method, _)| {
            let cells = MEASURES.map(|_| "–".to_string());
            table.row(std::iter::once(method.name().to_string()).chain(cells))
        })
    }

    /// Bars: each method by pixel accuracy, both IoUs and average precision.
    pub fn chart(&self) -> GroupedBars {
        let shown = &MEASURES[..4];
        let chart = GroupedBars::new(self.title(), "share", shown.iter().map(|(name, _)| *name));
        self.rows.iter().fold(chart, |chart, row| {
            chart.group(
                row.method.name(),
                shown.iter().map(|(_, measure)| measure(&row.scores)),
            )
        })
    }

    /// In words: which methods the decomposition's maps are better than, and which they are not, by the foreground's IoU.
    pub fn verdict(&self) -> String {
        let iou = |row: &SegmentationRow| row.scores.foreground_iou();
        let own = |row: &&SegmentationRow| !matches!(row.method, SegmentationMethod::Relevance(_));
        let Some(best) = self
            .rows
            .iter()
            .filter(own)
            .max_by(|a, b| iou(a).total_cmp(&iou(b)))
        else {
            return format!("{}: the decomposition was not run", self.model);
        };
        let others = self.rows.iter().filter(|row| !own(row));
        let (below, above): (Vec<_>, Vec<_>) = others.partition(|row| iou(row) < iou(best));
        let list = |rows: Vec<&SegmentationRow>| match rows.is_empty() {
            true => "nothing".to_string(),
            false => {
                let named = rows
                    .iter()
                    .map(|row| format!("{} ({:.1})", row.method.name(), 100.0 * iou(row)));
                named.collect::<Vec<_>>().join(", ")
            }
        };
        format!(
            "{}: foreground IoU {:.1} % by the {}\n  above {}\n  not above {}",
            self.model,
            100.0 * iou(best),
            best.method.name(),
            list(below),
            list(above)
        )
    }

    /// Writes one row a method: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save(path.as_ref(), std::slice::from_ref(self))
    }

    /// Shown by evcxr.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display()
    }
}

fn save(path: &Path, results: &[Segmentation]) -> Result<()> {
    let all: Vec<_> = results
        .iter()
        .flat_map(|result| result.rows.iter().map(move |row| (result, row)))
        .collect();
    let number = |measure: Measure| {
        Column::Number(all.iter().map(|(_, row)| measure(&row.scores)).collect())
    };
    export(
        path,
        &[
            (
                "model",
                Column::Text(all.iter().map(|(r, _)| r.model.clone()).collect()),
            ),
            (
                "data",
                Column::Text(all.iter().map(|(r, _)| r.data.clone()).collect()),
            ),
            (
                "method",
                Column::Text(
                    all.iter()
                        .map(|(_, row)| row.method.name().to_string())
                        .collect(),
                ),
            ),
            (
                "images",
                Column::Count(all.iter().map(|(r, _)| r.images).collect()),
            ),
            ("pixel_accuracy", number(MEASURES[0].1)),
            ("foreground_iou", number(MEASURES[1].1)),
            ("mean_iou", number(MEASURES[2].1)),
            ("average_precision", number(MEASURES[3].1)),
            ("joined_average_precision", number(MEASURES[4].1)),
        ],
    )
}

/// The paper's table: one row a method, one column a model, each pixel accuracy / foreground IoU / average precision in %.
pub fn segmentation_table(results: &[Segmentation]) -> Table {
    let header = std::iter::once("method").chain(results.iter().map(|r| r.model.as_str()));
    let title = "pixel accuracy / foreground IoU / average precision, in %";
    let mut table = Table::new(title).columns(header);
    let mut methods: Vec<SegmentationMethod> = Vec::new();
    for method in results
        .iter()
        .flat_map(|r| r.rows.iter().map(|row| row.method))
    {
        if !methods.contains(&method) {
            methods.push(method)
        }
    }
    for method in methods {
        let cells = results.iter().map(|result| {
            let found = result.rows.iter().find(|row| row.method == method);
            found.map_or("–".to_string(), |row| {
                let percent = |i: usize| format!("{:.1}", 100.0 * MEASURES[i].1(&row.scores));
                [percent(0), percent(1), percent(3)].join(" / ")
            })
        });
        let name = std::iter::once(method.name().to_string());
        table = table.row(name.chain(cells));
    }
    table
}

impl std::fmt::Display for Segmentation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.table())?;
        // The reason begins with the name that the method has where it is computed.
        let reason = |why: &String| {
            why.split_once(": ")
                .map_or(why.clone(), |(_, why)| why.to_string())
        };
        let one_reason = self.undefined.chunk_by(|a, b| reason(&a.1) == reason(&b.1));
        for methods in one_reason {
            let names: Vec<&str> = methods.iter().map(|(method, _)| method.name()).collect();
            let told = format!(
                "not defined here: {}, {}",
                names.join(", "),
                reason(&methods[0].1)
            );
            write!(f, "\n{}", facts::wrapped(&told, facts::WIDEST))?;
        }
        Ok(())
    }
}

crate::identity::debug_as_display!(Segmentation);
