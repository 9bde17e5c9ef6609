//! Pictures of data sets.

use super::render::{block, picture_blocks};
use super::{Chart, HeatmapGrid, Table, Tile};
use crate::data::show::{facts, title};
use crate::data::{
    CropMode, DataSet, FolderSet, GeneratedSet, ModelInput, ParquetSet, Preprocess, Preprocessed,
    Relabelled, SegmentationSet, Subset, TarSet, WhichImages,
};
use crate::score::{Classified, Mitigation};
use crate::{Error, Result};

/// Images that one picture shows.
const MOST: usize = 100;

/// Images that a set shows of itself.
const SAMPLE: usize = 5;

/// Side of a shown image, in pixels.
const SIDE: usize = 168;

/// Labels under an image.
const LABELS: usize = 6;

/// Any data set can show its images.
pub trait ShowImages {
    /// The images `which` with their labels, `images.show(0..10)?`, whole, each with its name where nothing is labelled.
    ///
    /// # Errors
    /// When one does not exist or cannot be read, or they are more than 100.
    fn show(&self, which: impl WhichImages) -> Result<HeatmapGrid>;
}

impl<S: DataSet + ?Sized> ShowImages for S {
    fn show(&self, which: impl WhichImages) -> Result<HeatmapGrid> {
        let which = which.numbers(self.len())?;
        if which.len() > MOST {
            let expected = format!("at most {MOST} at once, such as 0..{MOST}");
            return Err(Error::argument("images", which.len(), expected));
        }
        tiles(&self, &which, &title(&self))
    }
}

/// All of the pictures at `which`, where a model would see a square of their middle: B x 3 x 168 x 168.
pub(crate) fn whole(set: &dyn DataSet, which: &[usize]) -> Result<candle_core::Tensor> {
    let whole = Preprocess {
        crop: 1.0,
        mode: CropMode::Border,
        fill: [255; 3],
        ..Preprocess::default()
    };
    set.pixels(which, ModelInput::new(SIDE, whole))
}

fn tiles(set: &dyn DataSet, which: &[usize], title: &str) -> Result<HeatmapGrid> {
    let pixels = whole(set, which)?;
    let captions = captions(set, which)?;
    let mut grid = HeatmapGrid::new(title, "");
    for (i, caption) in captions.into_iter().enumerate() {
        grid = grid.tile(Tile::of_pixels(&pixels.get(i)?, caption)?);
    }
    Ok(grid)
}

/// What stands below each image: its labels, or its name.
fn captions(set: &dyn DataSet, which: &[usize]) -> Result<Vec<String>> {
    let mut parts = vec![Vec::new(); which.len()];
    for column in set.label_columns().iter().take(LABELS) {
        let labels = set.labels_of(column, which)?;
        for (parts, value) in parts.iter_mut().zip(&labels.values) {
            parts.extend(labels.names.get(*value).cloned());
        }
    }
    let numbered = which.iter().zip(parts).map(|(&i, parts)| {
        let what = match parts.is_empty() {
            true => set.image_name(i),
            false => parts.join(", "),
        };
        format!("{i}: {what}")
    });
    Ok(numbered.collect())
}

/// A set at the end of a cell: its facts, and a few images where there is room for a picture.
fn display(set: &dyn DataSet) {
    let facts = facts(set);
    let sample: Vec<usize> = (0..set.len().min(SAMPLE)).collect();
    let drawn = tiles(set, &sample, &title(set)).and_then(|grid| picture_blocks(&grid.scene()?));
    let (pictures, text) = match drawn {
        Ok(pictures) => (pictures, facts),
        Err(e) => (String::new(), facts.row("no picture", e)),
    };
    crate::report::show(&(pictures + &block("text/plain", &text.to_string())));
}

macro_rules! shows_tiles {
    ($($name:ty),*) => {$(
        impl $name {
            /// Shows facts and a few images in an evcxr front end; called by evcxr for a value at the end of a cell.
            pub fn evcxr_display(&self) {
                display(self)
            }
        }
    )*};
}

shows_tiles!(
    FolderSet,
    GeneratedSet,
    ParquetSet,
    Preprocessed,
    Relabelled,
    SegmentationSet,
    Subset,
    TarSet
);

impl Classified {
    /// One row an image: its name and its `top` most probable classes with their probabilities.
    pub fn table(&self, top: usize) -> Table {
        let top = top.clamp(1, self.class_count());
        let header = ["image".to_owned()]
            .into_iter()
            .chain((1..=top).map(|i| format!("class {i}")));
        let table = Table::new(self.title()).columns(header);
        (0..self.len()).fold(table, |table, i| {
            let best = self.best(i, top);
            let cells = best
                .into_iter()
                .map(|(class, p)| format!("{class} ({p:.3})"));
            table.row([self.image_names()[i].clone()].into_iter().chain(cells))
        })
    }
}

impl Mitigation {
    /// Groups before and after, beside random choices, as a table.
    pub fn table(&self) -> Table {
        Table::mitigations("mitigation", [("accuracy, %", self)])
    }

    /// Shows the table in an evcxr front end; called by evcxr for a value at the end of a cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display()
    }
}
