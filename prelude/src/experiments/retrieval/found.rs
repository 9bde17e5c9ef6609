//! What a retrieval found: images, their scores and their pictures.

use crate::charts::of_images::whole;
use crate::charts::{HeatmapGrid, Table, Tile};
use crate::data::DataSet;
use crate::facts::{self, Facts};
use crate::files::rows::{Column, export};
use crate::score::Ranked;
use crate::{Error, Result};
use candle_core::Tensor;
use std::path::Path;

/// A found image.
#[derive(Clone)]
pub struct RetrievedImage {
    /// Its place in the data set.
    pub index: usize,
    pub image: String,
    pub score: f64,
    pixels: Tensor,
}

facts::shows!(RetrievedImage, |it| Facts::new(format!(
    "image {}, \"{}\", score {}",
    it.index,
    it.image,
    facts::number(it.score)
)));

/// What one query found, best first.
#[derive(Clone)]
pub struct RetrievedRow {
    /// The text, or the feature.
    pub query: String,
    /// The components whose sum was compared.
    pub components: Vec<String>,
    pub images: Vec<RetrievedImage>,
}

facts::shows!(RetrievedRow, |it| {
    let images = it
        .images
        .iter()
        .map(|found| (found.image.clone(), found.score));
    Facts::new(format!("images found for \"{}\"", it.query))
        .row("components", facts::list(&it.components, 110))
        .lines(facts::bars(&images.collect::<Vec<_>>()))
});

/// The images that several queries found.
#[derive(Clone)]
pub struct Retrieved {
    pub(super) title: String,
    pub(super) score: &'static str,
    /// The image that others were compared with, where there is one.
    pub(super) probe: Option<(String, Tensor)>,
    pub rows: Vec<RetrievedRow>,
    /// How many rows stand side by side as columns, where they are of groups of components.
    pub(super) beside: Option<usize>,
}

impl RetrievedRow {
    /// The images of `set` that `ranked` names, with their pictures.
    pub(super) fn new(
        set: &dyn DataSet,
        query: String,
        components: Vec<String>,
        ranked: &[Ranked],
    ) -> Result<Self> {
        let which: Vec<usize> = ranked.iter().map(|found| found.index).collect();
        let pixels = whole(set, &which)?;
        let images = ranked.iter().enumerate().map(|(i, found)| {
            Ok(RetrievedImage {
                index: found.index,
                image: found.name.clone(),
                score: found.score,
                pixels: pixels.get(i)?,
            })
        });
        Ok(Self {
            query,
            components,
            images: images.collect::<Result<_>>()?,
        })
    }
}

impl Retrieved {
    /// One row for each image that was found.
    pub fn table(&self) -> Table {
        let header = ["query", "components", "rank", "image", self.score];
        let mut table = Table::new(self.title.as_str()).columns(header);
        for row in &self.rows {
            let components = crate::facts::list(&row.components, 60);
            for (rank, found) in row.images.iter().enumerate() {
                table = table.row([
                    row.query.clone(),
                    components.clone(),
                    (rank + 1).to_string(),
                    found.image.clone(),
                    format!("{:.4}", found.score),
                ]);
            }
        }
        table
    }

    /// The pictures with their scores: one row a query, the probe first where there is one; groups of components stand as
    /// columns, the most relevant on the left.
    ///
    /// # Errors
    /// Pictures that cannot be laid out.
    pub fn chart(&self) -> Result<HeatmapGrid> {
        let most = self.rows.iter().map(|row| row.images.len()).max();
        let most = most.unwrap_or_default();
        let legend = String::new();
        let columns = match self.beside {
            Some(groups) => groups,
            None => most + usize::from(self.probe.is_some()),
        };
        let mut grid = HeatmapGrid::new(self.title.as_str(), legend).columns(columns);
        if let Some(groups) = self.beside {
            for side_by_side in self.rows.chunks(groups) {
                for rank in 0..most {
                    for row in side_by_side {
                        grid = grid.tile(row.tile(rank)?);
                    }
                }
            }
            return Ok(grid);
        }
        for row in &self.rows {
            if let Some((name, pixels)) = &self.probe {
                let caption = format!("probe {name}: {}", row.query);
                grid = grid.tile(Tile::of_pixels(pixels, caption)?);
            }
            for rank in 0..row.images.len() {
                grid = grid.tile(row.tile(rank)?);
            }
        }
        Ok(grid)
    }

    /// Writes one row for each image that was found: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let all = self.rows.iter().flat_map(|row| {
            let each = row.images.iter().enumerate();
            each.map(move |(rank, found)| (row, rank, found))
        });
        let all: Vec<_> = all.collect();
        let text = |f: &dyn Fn(&RetrievedRow, &RetrievedImage) -> String| {
            Column::Text(all.iter().map(|(row, _, found)| f(row, found)).collect())
        };
        let score = all.iter().map(|(.., found)| found.score).collect();
        export(
            path.as_ref(),
            &[
                ("query", text(&|row, _| row.query.clone())),
                ("components", text(&|row, _| row.components.join("; "))),
                (
                    "rank",
                    Column::Count(all.iter().map(|(_, rank, _)| rank + 1).collect()),
                ),
                ("image", text(&|_, found| found.image.clone())),
                (
                    "index",
                    Column::Count(all.iter().map(|(.., found)| found.index).collect()),
                ),
                ("score", Column::Number(score)),
            ],
        )
    }

    /// Shown by evcxr: the pictures.
    pub fn evcxr_display(&self) {
        match self.chart() {
            Ok(chart) => chart.evcxr_display(),
            Err(_) => self.table().evcxr_display(),
        }
    }
}

impl RetrievedRow {
    /// The picture at `rank`, from 0.
    fn tile(&self, rank: usize) -> Result<Tile> {
        let found = self.images.get(rank).ok_or_else(|| {
            Error::Chart(format!(
                "\"{}\" has no image number {}",
                self.query,
                rank + 1
            ))
        })?;
        let score = crate::facts::number(found.score);
        let caption = format!(
            "{}, rank {}: {score} ({})",
            self.query,
            rank + 1,
            found.image
        );
        Tile::of_pixels(&found.pixels, caption)
    }
}

impl std::fmt::Display for Retrieved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.table())
    }
}

crate::identity::debug_as_display!(Retrieved);
