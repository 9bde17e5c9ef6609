//! The pointing game: whether the hottest patch of a map lies on the object (Zhang et al. 2016, "Top-Down Neural Attention by
//! Excitation Backprop").

use crate::charts::of_tokens::check_images;
use crate::charts::{GroupedBars, Table};
use crate::data::{DataSet, Labels, ModelInput, Preprocess};
use crate::decompose::TokenScores;
use crate::files::rows::{Column, export};
use crate::{Result, check};
use candle_core::DType;
use std::path::Path;

/// Side at which masks are looked at, in pixels.
const SIDE: usize = 168;

/// Images whose masks are held at once.
const TOGETHER: usize = 256;

/// One direction, over the images whose label it is.
#[derive(Clone, Debug)]
pub struct PointingRow {
    pub text: String,
    pub images: usize,
    /// Images in which the middle of the hottest patch lies on the object.
    pub hits: usize,
    /// The mean share of the image that the object covers: the hits of a random pixel.
    pub covered: f64,
}

/// How often the hottest patch lies on the object.
#[derive(Clone, Debug)]
pub struct PointingGame {
    title: String,
    pub rows: Vec<PointingRow>,
}

/// For each direction of `scores`, over the images whose value in `labels` is called so ("star" in images of stars): whether
/// the middle of the patch that gives most lies on the object by the set's masks. `images` are those the scores are of.
///
/// # Errors
/// Other images, images without masks, or labels for another number of images.
pub fn pointing_game(
    scores: &TokenScores,
    images: impl DataSet,
    labels: &Labels,
) -> Result<PointingGame> {
    let set: &dyn DataSet = &images;
    let (model, of, input) = scores.origin();
    check_images("playing the pointing game", of, scores.images(), set)?;
    check::same("labels", labels.values.len(), set.len(), "images")?;
    let preprocess = input.map_or(Preprocess::default(), |input| input.preprocess);
    let names = scores.directions();
    let mut rows: Vec<PointingRow> = names
        .iter()
        .map(|text| PointingRow {
            text: text.clone(),
            images: 0,
            hits: 0,
            covered: 0.0,
        })
        .collect();
    let side = scores.layout().side();
    let all: Vec<usize> = (0..set.len()).collect();
    for chunk in all.chunks(TOGETHER) {
        let masks = set.masks(chunk, ModelInput::new(SIDE, preprocess))?;
        for (i, &image) in chunk.iter().enumerate() {
            let Some(label) = labels.names.get(labels.values[image]) else {
                continue;
            };
            let Some(row) = names.iter().position(|name| name == label) else {
                continue;
            };
            let mask: Vec<Vec<u8>> = masks.get(i)?.to_dtype(DType::U8)?.to_vec2()?;
            let (r, c, _) = scores.shares(image, label)?.hottest;
            let middle = |place: usize| (2 * place + 1) * SIDE / (2 * side);
            let on = |v: u8| v > 0 && v != crate::score::LEFT_OUT;
            let row = &mut rows[row];
            row.images += 1;
            row.hits += usize::from(on(mask[middle(r)][middle(c)]));
            let covered = mask.iter().flatten().filter(|v| on(**v)).count();
            row.covered += covered as f64 / (SIDE * SIDE) as f64;
        }
    }
    for row in &mut rows {
        row.covered /= row.images.max(1) as f64;
    }
    let whose = model.map_or(String::new(), |model| format!("{model} "));
    Ok(PointingGame {
        title: format!(
            "{whose}{}: hottest patch on the object, {}, n = {}",
            scores.component(),
            set.name(),
            set.len()
        ),
        rows,
    })
}

impl PointingRow {
    /// Share of the images.
    pub fn share(&self) -> f64 {
        self.hits as f64 / self.images as f64
    }
}

impl PointingGame {
    /// Images of all directions in which the hottest patch lies on the object, as a share.
    pub fn share(&self) -> f64 {
        let (hits, images) = self.sums();
        hits as f64 / images as f64
    }

    /// The mean share of the image that the object covers.
    pub fn covered(&self) -> f64 {
        let all: f64 = self
            .rows
            .iter()
            .map(|row| row.covered * row.images as f64)
            .sum();
        all / self.sums().1 as f64
    }

    fn sums(&self) -> (usize, usize) {
        let rows = self.rows.iter();
        rows.fold((0, 0), |(hits, images), row| {
            (hits + row.hits, images + row.images)
        })
    }

    /// One row a text, and all together, in percent.
    pub fn table(&self) -> Table {
        let percent = |share: f64| match share.is_finite() {
            true => format!("{:.1}", 100.0 * share),
            false => "–".to_string(),
        };
        let header = [
            "text",
            "images",
            "hottest patch on the object",
            "object covers",
        ];
        let table = Table::new(format!("{}, in %", self.title)).columns(header);
        let table = self.rows.iter().fold(table, |table, row| {
            table.row([
                row.text.clone(),
                row.images.to_string(),
                percent(row.share()),
                percent(row.covered),
            ])
        });
        table.row([
            "all".to_string(),
            self.sums().1.to_string(),
            percent(self.share()),
            percent(self.covered()),
        ])
    }

    /// Bars: hits beside what a random pixel would hit.
    pub fn chart(&self) -> GroupedBars {
        let chart = GroupedBars::new(
            self.title.as_str(),
            "share of images",
            [
                "hottest patch on the object",
                "share that the object covers",
            ],
        );
        let rows = self.rows.iter().filter(|row| row.images > 0);
        rows.fold(chart, |chart, row| {
            chart.group(row.text.as_str(), [row.share(), row.covered])
        })
    }

    /// Writes one row a text: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let rows = self.rows.iter();
        export(
            path.as_ref(),
            &[
                (
                    "text",
                    Column::Text(rows.clone().map(|r| r.text.clone()).collect()),
                ),
                (
                    "images",
                    Column::Count(rows.clone().map(|r| r.images).collect()),
                ),
                (
                    "hits",
                    Column::Count(rows.clone().map(|r| r.hits).collect()),
                ),
                ("covered", Column::Number(rows.map(|r| r.covered).collect())),
            ],
        )
    }

    /// Shown by evcxr.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display()
    }
}

impl std::fmt::Display for PointingGame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.table())
    }
}
