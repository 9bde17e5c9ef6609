//! Some images with their masks and the maps of every method.

use super::SegmentationMethod;
use crate::Result;
use crate::charts::{HeatmapGrid, Tile, show_or_say};
use crate::score::clipped;
use candle_core::Tensor;

/// One image.
#[derive(Clone)]
pub(super) struct Example {
    pub image: String,
    pub class: String,
    /// 3 x H x W.
    pub pixels: Tensor,
    /// H x W.
    pub mask: Tensor,
    /// H x W, one a method.
    pub maps: Vec<Tensor>,
}

/// The first images with their masks and maps.
#[derive(Clone, Default)]
pub struct SegmentationExamples {
    model: String,
    methods: Vec<SegmentationMethod>,
    examples: Vec<Example>,
}

impl SegmentationExamples {
    pub(super) fn add(&mut self, example: Example) {
        self.examples.push(example)
    }

    pub(super) fn named(&mut self, model: &str, methods: &[SegmentationMethod]) {
        self.model = model.to_string();
        self.methods = methods.to_vec();
    }

    /// One row an image: its mask, then each method's map, each over its own maximum.
    ///
    /// # Errors
    /// Where no examples were kept.
    pub fn chart(&self) -> Result<HeatmapGrid> {
        let title = format!("{}: the object, and what each method marks", self.model);
        let legend = "each map over its own maximum, what lies below 0 cut off";
        let mut grid = HeatmapGrid::new(title, legend).columns(1 + self.methods.len());
        for example in &self.examples {
            let shown = Tile::of_pixels(
                &example.pixels,
                format!("{}: {}", example.image, example.class),
            )?;
            let labelled = example.mask.lt(255f32)?.to_dtype(candle_core::DType::F32)?;
            let mask = (example.mask.clamp(0f32, 1f32)? * labelled)?;
            grid = grid.tile(shown.heat(&mask)?);
            for (method, map) in self.methods.iter().zip(&example.maps) {
                let tile = Tile::of_pixels(&example.pixels, method.name())?;
                grid = grid.tile(tile.heat(&clipped(map)?)?);
            }
        }
        Ok(grid)
    }

    /// Shown by evcxr.
    pub fn evcxr_display(&self) {
        show_or_say(self.chart())
    }
}

impl std::fmt::Display for SegmentationExamples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.chart() {
            Ok(chart) => write!(f, "{chart}"),
            Err(error) => write!(f, "{error}"),
        }
    }
}

crate::identity::debug_as_display!(SegmentationExamples);
