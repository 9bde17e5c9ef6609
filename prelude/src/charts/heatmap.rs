//! A grid of images, each with a heatmap laid over it.
//!
//! Values of one sign go from dark to bright, from the least to the greatest. Values of both signs are blue below zero
//! and red above, the scale reaching as far to both sides, with zero marked beside it. A few values far beyond all
//! others do not take the colours from the rest: the scale ends before them, and a note names them. Maps that are the
//! same everywhere are grey.

use super::color::{FAINT, INK};
use super::font;
use super::heat_scale::{Scale, signed};
use super::number::Format;
use super::render::Chart;
use super::scale_bar::scale_bar;
use super::scene::{Anchor, Scene, Shape, bold, plain};
use super::tile::{Heat, SIDE, Tile, blend};
use crate::{Error, Result};

/// Tiles in rows, all heatmaps on one scale unless each is to have its own.
#[derive(Clone)]
pub struct HeatmapGrid {
    title: String,
    legend: String,
    tiles: Vec<Tile>,
    columns: usize,
    own_scale: bool,
}

const EDGE: f64 = 24.0;
const CELL: f64 = 168.0;
const GAP: f64 = 14.0;
const CAPTION: f64 = 12.0;
const LINES: usize = 3;
const SCALE: f64 = 16.0;
/// With more patches than this the pointer shows each image's range: a title a patch would make a page slow.
const MOST_PATCHES: usize = 20_000;

impl HeatmapGrid {
    /// An empty grid: title, and what the heatmaps show.
    pub fn new(title: impl Into<String>, legend: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            legend: legend.into(),
            tiles: Vec::new(),
            columns: 5,
            own_scale: false,
        }
    }

    /// With one more tile.
    pub fn tile(mut self, tile: Tile) -> Self {
        self.tiles.push(tile);
        self
    }

    /// With so many tiles a row, five if not said.
    pub fn columns(mut self, columns: usize) -> Self {
        self.columns = columns.max(1);
        self
    }

    /// With every heatmap on a scale of its own, from its least to its greatest value; if one of them has values of both
    /// signs, all are symmetric around zero.
    pub fn own_scales(mut self) -> Self {
        self.own_scale = true;
        self
    }

    fn heats(&self) -> impl Iterator<Item = &Heat> {
        self.tiles.iter().filter_map(|t| t.heat.as_ref())
    }

    /// The scale of each tile; none for one without heat.
    fn scales(&self) -> Vec<Option<Scale>> {
        let both = self.heats().any(|h| signed(&h.values));
        let all: Vec<f32> = self
            .heats()
            .flat_map(|h| h.values.iter().copied())
            .collect();
        // The shared range may have both signs where no single map has.
        let shared = Scale::of(&all, signed(&all));
        let of = |heat: &Heat| match self.own_scale {
            true if heat.constant() => Scale::Neutral(heat.values[0]),
            true => Scale::of(&heat.values, both),
            false => shared,
        };
        self.tiles.iter().map(|t| t.heat.as_ref().map(of)).collect()
    }

    /// The scale that all tiles have, if they share one.
    fn shared(&self) -> Option<Scale> {
        match self.own_scale {
            true => None,
            false => self.scales().into_iter().flatten().next(),
        }
    }

    /// What the colours do not show: values beyond the scale, maps without variation.
    fn notes(&self) -> Vec<String> {
        let scales = self.scales();
        let mut beyond = Vec::new();
        for (tile, scale) in self.tiles.iter().zip(&scales) {
            let (Some(heat), Some(scale)) = (&tile.heat, scale) else {
                continue;
            };
            for (i, value) in heat.values.iter().enumerate() {
                if scale.beyond(*value) {
                    beyond.push((*value, tile, 1 + i / heat.columns, 1 + i % heat.columns));
                }
            }
        }
        let mut notes = Vec::new();
        beyond.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
        if let Some((value, tile, row, column)) = beyond.first() {
            let count = match beyond.len() {
                1 => "1 value beyond the scale".to_owned(),
                n => format!("{n} values beyond the scale, the furthest"),
            };
            let place = match self.tiles.len() {
                1 => String::new(),
                _ => format!("\"{}\", ", tile.caption),
            };
            let value = Format::of(std::iter::once(f64::from(*value))).write(f64::from(*value));
            notes.push(format!(
                "{count}: {value} ({place}row {row}, column {column})"
            ));
        }
        let still = scales
            .iter()
            .flatten()
            .filter(|s| matches!(s, Scale::Neutral(_)));
        let one_value = match (still.count(), self.heats().count()) {
            (0, _) => None,
            (1, 1) => Some("the map has".to_owned()),
            (1, all) => Some(format!("1 of {all} maps has")),
            (still, all) => Some(format!("{still} of {all} maps have")),
        };
        notes.extend(one_value.map(|which| format!("grey: {which} one value everywhere")));
        notes
    }
}

impl Chart for HeatmapGrid {
    fn scene(&self) -> Result<Scene> {
        if self.tiles.is_empty() {
            return Err(Error::Chart(format!(
                "\"{}\" has no images; add one with .tile(..)",
                self.title
            )));
        }
        let columns = self.columns.min(self.tiles.len());
        let rows = self.tiles.len().div_ceil(columns);
        let scales = self.scales();
        let any = self.heats().next().is_some();
        let patches: usize = self.heats().map(|heat| heat.values.len()).sum();
        let each_patch = patches <= MOST_PATCHES;
        let inner = columns as f64 * (CELL + GAP) - GAP;
        // Room for the scale and its figures.
        let side = if any { 96.0 } else { 0.0 };
        let width = (inner + side + 2.0 * EDGE).max(360.0);
        let mut scene = Scene::new(width, 0.0);
        let mut y = 34.0;
        for line in font::wrap(&self.title, 18.0, true, width - 2.0 * EDGE, 2) {
            scene.text(&line, (EDGE, y), Anchor::Start, bold(18.0, INK));
            y += 24.0;
        }
        if any {
            let legend = font::fit(&self.legend, 12.5, false, width - 2.0 * EDGE);
            scene.text(&legend, (EDGE, y), Anchor::Start, plain(12.5, FAINT));
            y += 14.0;
        }
        for note in self.notes() {
            for line in font::wrap(&note, 12.5, false, width - 2.0 * EDGE, 2) {
                scene.text(&line, (EDGE, y + 3.0), Anchor::Start, plain(12.5, INK));
                y += 17.0;
            }
        }
        let top = y;
        let captions: Vec<Vec<String>> = self
            .tiles
            .iter()
            .map(|t| font::wrap(&t.caption, CAPTION, false, CELL, LINES))
            .collect();
        let deep = captions.iter().map(Vec::len).max().unwrap_or(0) as f64;
        let row = CELL + 6.0 + deep * 16.0 + 10.0;
        for (i, ((tile, scale), lines)) in self.tiles.iter().zip(&scales).zip(&captions).enumerate()
        {
            let x = EDGE + (i % columns) as f64 * (CELL + GAP);
            let y = top + (i / columns) as f64 * row;
            let image = blend(tile, *scale);
            let (w, h) = (f64::from(image.width()), f64::from(image.height()));
            let fit = CELL / f64::from(SIDE);
            let corner = (x + (CELL - w * fit) / 2.0, y + (CELL - h * fit) / 2.0);
            scene.shapes.push(Shape::Image {
                x: corner.0,
                y: corner.1,
                width: w * fit,
                height: h * fit,
                image,
            });
            tile.hover(&mut scene, corner, (w * fit, h * fit), each_patch);
            for (l, line) in lines.iter().enumerate() {
                let place = (x + CELL / 2.0, y + CELL + 16.0 + 16.0 * l as f64);
                scene.text(line, place, Anchor::Middle, plain(CAPTION, INK));
            }
        }
        scene.height = top + rows as f64 * row + 8.0;
        if any {
            let x = EDGE + inner + 16.0;
            self.legend(&mut scene, (x, top));
        }
        Ok(scene)
    }

    fn text(&self) -> String {
        let mut out = match self.legend.as_str() {
            "" => format!("{}\n", self.title),
            legend => format!("{} ({legend})\n", self.title),
        };
        for tile in &self.tiles {
            let range = tile.heat.as_ref().map_or(String::new(), Heat::range);
            let (w, h) = tile.image.dimensions();
            out += &format!("  {} ({w} x {h}){range}\n", tile.caption);
        }
        for note in self.notes() {
            out += &format!("  {note}\n");
        }
        out
    }
}

impl HeatmapGrid {
    /// The colour scale beside the first row, with zero marked where it is in the middle.
    fn legend(&self, scene: &mut Scene, (x, top): (f64, f64)) {
        let both = self.heats().any(|h| signed(&h.values));
        let scale = self.shared().unwrap_or(match both {
            true => Scale::Signed(1.0),
            false => Scale::Rising {
                low: 0.0,
                high: 1.0,
            },
        });
        let labels = match (self.own_scale, both) {
            (false, _) => scale.labels(),
            (true, true) => [(0.0, "- most"), (0.5, "0"), (1.0, "+ most")]
                .map(|(place, text)| (place, text.to_owned()))
                .to_vec(),
            (true, false) => [(0.0, "least"), (1.0, "most")]
                .map(|(place, text)| (place, text.to_owned()))
                .to_vec(),
        };
        scale_bar(scene, scale, &labels, (x, top), (SCALE, CELL));
    }
}

super::chart!(HeatmapGrid);
