//! Pictures and tables of what source tokens give along directions.

use super::{HeatmapGrid, Table, Tile};
use crate::data::{DataSet, ModelInput, Preprocess};
use crate::decompose::{TokenScores, unrelated};
use crate::facts;
use crate::identity::ImagesId;
use crate::{Error, Result};

/// Maps that one picture shows.
const MOST: usize = 100;

/// Side of a picture below its map, in pixels.
const SIDE: usize = 168;

/// Directions that stand side by side.
const BESIDE: usize = 6;

/// The pixels of the images `which` of `set` as a model sees them, at a size for looking at.
pub(crate) fn seen(
    set: &dyn DataSet,
    which: &[usize],
    input: Option<ModelInput>,
) -> Result<candle_core::Tensor> {
    let preprocess = input.map_or(Preprocess::default(), |input| input.preprocess);
    set.pixels(which, ModelInput::new(SIDE, preprocess))
}

/// Refuses images other than those that a result is of.
pub(crate) fn check_images(
    doing: &'static str,
    of: Option<&ImagesId>,
    count: usize,
    set: &dyn DataSet,
) -> Result<()> {
    let given = ImagesId::of(set);
    match of.and_then(|of| of.difference(&given).map(|reason| (of, reason))) {
        Some((of, reason)) => Err(unrelated(
            doing,
            &format!("a result on {of}"),
            &format!("pictures of {given}"),
            reason,
            "give the images that the result was made of, or the same part of both",
        )),
        None if count == set.len() => Ok(()),
        None => Err(Error::argument(
            "images",
            set.len(),
            format!("{count}, the images that the result is of"),
        )),
    }
}

impl TokenScores {
    /// The maps of these scores over the pictures of `images`, which are those the scores are of: one row an image, its
    /// directions side by side. Class token and registers stand in the captions.
    ///
    /// # Errors
    /// Other images than those the scores are of, one that cannot be read, more than 100 maps.
    pub fn heatmap(&self, images: impl DataSet) -> Result<HeatmapGrid> {
        let set: &dyn DataSet = &images;
        let (model, of, input) = self.origin();
        check_images("drawing token scores", of, self.images(), set)?;
        let maps = self.images() * self.directions().len();
        if maps > MOST {
            return Err(Error::argument(
                "maps",
                maps,
                format!(
                    "at most {MOST} in one picture; scores.select_images(0..8)?.heatmap(images.subset(&[0, 1, 2, 3, 4, 5, \
                     6, 7])?)? draws some"
                ),
            ));
        }
        let which: Vec<usize> = (0..set.len()).collect();
        let pixels = seen(set, &which, input)?;
        let whose = model.map_or(String::new(), |model| format!("{model} "));
        let title = format!(
            "{whose}{}, {}, n = {}",
            self.component(),
            set.name(),
            set.len()
        );
        let grid = HeatmapGrid::new(title, "what each patch gives along the text")
            .columns(self.directions().len().min(BESIDE));
        let mut grid = match self.directions().len() {
            1 => grid.columns(5),
            _ => grid,
        };
        for i in which {
            for direction in self.directions() {
                let caption = self.caption(i, direction)?;
                let tile = Tile::of_pixels(&pixels.get(i)?, caption)?;
                grid = grid.tile(tile.heat(&self.map(i, direction)?)?);
            }
        }
        Ok(grid)
    }

    /// `1:7: sea (class token 0.012)`.
    fn caption(&self, image: usize, direction: &str) -> Result<String> {
        let shares = self.shares(image, direction)?;
        let mut parts = Vec::new();
        if let Some((name, value)) = shares.before.first() {
            parts.push(format!("{name} {}", facts::number(*value)));
        }
        if shares.before.len() > 1 {
            let rest: f64 = shares.before[1..].iter().map(|(_, v)| v).sum();
            parts.push(format!("registers {}", facts::number(rest)));
        }
        let name = self.image_name(image);
        Ok(match parts.is_empty() {
            true => format!("{name}: {direction}"),
            false => format!("{name}: {direction} ({})", parts.join(", ")),
        })
    }

    /// One row for each image and direction: what all tokens give, what class token, registers and patches have of it, and
    /// the patch that gives most.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn table(&self) -> Result<Table> {
        let before = self.layout().before();
        let header = ["image", "direction", "all tokens"].map(str::to_string);
        let header = header.into_iter().chain(before.iter().cloned());
        let header = header.chain(["patches", "hottest patch", "gives"].map(str::to_string));
        let mut table =
            Table::new(format!("source tokens of {}", self.component())).columns(header);
        for i in 0..self.images() {
            for direction in self.directions() {
                let shares = self.shares(i, direction)?;
                let (row, column, most) = shares.hottest;
                let start = [
                    self.image_name(i),
                    direction.clone(),
                    format!("{:.4}", shares.total),
                ];
                let apart = shares.before.iter().map(|(_, v)| format!("{v:.4}"));
                let end = [
                    format!("{:.4}", shares.patches),
                    format!("row {row}, column {column}"),
                    format!("{most:.4}"),
                ];
                table = table.row(start.into_iter().chain(apart).chain(end));
            }
        }
        Ok(table)
    }
}
