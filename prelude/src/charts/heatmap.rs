//! A grid of images, each with a heatmap laid over it.

use candle_core::{DType, Tensor};
use image::{Rgb as Pixel, RgbImage};

use super::color::{self, FAINT, INK};
use super::font;
use super::render::Chart;
use super::scene::{Anchor, Rgb, Scene, Shape, bold, plain};
use crate::{Error, Result};

/// An image, what is laid over it, and its caption.
#[derive(Clone)]
pub struct Tile {
    image: RgbImage,
    heat: Option<Heat>,
    caption: String,
}

#[derive(Clone)]
struct Heat {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Tile {
    /// An image on its own.
    pub fn new(image: RgbImage, caption: impl Into<String>) -> Self {
        Self {
            image,
            heat: None,
            caption: caption.into(),
        }
    }

    /// From pixels 3 x H x W in 0 to 1.
    ///
    /// # Errors
    /// Another shape.
    pub fn of_pixels(pixels: &Tensor, caption: impl Into<String>) -> Result<Self> {
        let (3, height, width) = pixels.dims3().unwrap_or_default() else {
            return Err(Error::argument(
                "pixels",
                format!("{:?}", pixels.dims()),
                "3 x height x width",
            ));
        };
        let bytes: Vec<u8> = ((pixels.to_dtype(DType::F32)?.clamp(0f32, 1f32)? * 255.0)? + 0.5)?
            .permute((1, 2, 0))?
            .flatten_all()?
            .to_vec1::<f32>()?
            .into_iter()
            .map(|v| v as u8)
            .collect();
        let image = RgbImage::from_raw(width as u32, height as u32, bytes)
            .ok_or_else(|| Error::Chart("the image holds too few pixels".to_owned()))?;
        Ok(Self::new(image, caption))
    }

    /// With a heatmap (rows x columns, such as one value a patch) over the whole image.
    ///
    /// # Errors
    /// Another shape, NaN or infinity.
    pub fn heat(mut self, map: &Tensor) -> Result<Self> {
        let (rows, columns) = crate::align::check::matrix("map", map)?;
        crate::align::check::finite("map", map)?;
        let values = map.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        self.heat = Some(Heat {
            rows,
            columns,
            values,
        });
        Ok(self)
    }
}

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
/// Side of a tile's picture in pixels.
const SIDE: u32 = 336;

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

    /// With every heatmap on a scale of its own, from its least to its greatest value.
    pub fn own_scales(mut self) -> Self {
        self.own_scale = true;
        self
    }

    /// Least and greatest value of all heatmaps.
    fn range(&self) -> Option<(f32, f32)> {
        let values = self.tiles.iter().filter_map(|t| t.heat.as_ref());
        values
            .flat_map(|h| h.values.iter().copied())
            .fold(None, widen)
    }
}

fn widen(range: Option<(f32, f32)>, v: f32) -> Option<(f32, f32)> {
    Some(range.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
}

/// The tile's picture: the heat's colour over the image, denser where it is hotter.
fn blend(tile: &Tile, shared: Option<(f32, f32)>) -> RgbImage {
    let filter = match tile.image.width().max(tile.image.height()) <= SIDE / 3 {
        // Few pixels are shown as what they are.
        true => image::imageops::FilterType::Nearest,
        false => image::imageops::FilterType::CatmullRom,
    };
    let side = tile.image.width().max(tile.image.height()).max(1);
    let scaled = |v: u32| (v * SIDE / side).max(1);
    let (w, h) = (scaled(tile.image.width()), scaled(tile.image.height()));
    let mut out = image::imageops::resize(&tile.image, w, h, filter);
    let Some(heat) = &tile.heat else {
        return out;
    };
    let own = || heat.values.iter().copied().fold(None, widen);
    let (low, high) = shared.or_else(own).unwrap_or((0.0, 1.0));
    for (x, y, pixel) in out.enumerate_pixels_mut() {
        let value = heat.at((x as f32 + 0.5) / w as f32, (y as f32 + 0.5) / h as f32);
        let v = match high > low {
            true => (value - low) / (high - low),
            false => 0.0,
        };
        let Rgb(r, g, b) = color::heat(v);
        let dense = 0.35 + 0.4 * v;
        let mix =
            |p: u8, c: u8| (f32::from(p) * (1.0 - dense) + f32::from(c) * dense).round() as u8;
        *pixel = Pixel([mix(pixel.0[0], r), mix(pixel.0[1], g), mix(pixel.0[2], b)]);
    }
    out
}

impl Heat {
    /// The value at (x, y), both 0 to 1, linear between the middles of the patches.
    fn at(&self, x: f32, y: f32) -> f32 {
        let along = |place: f32, n: usize| {
            let p = (place * n as f32 - 0.5).clamp(0.0, (n - 1) as f32);
            let low = (p as usize).min(n.saturating_sub(2));
            (low, (low + 1).min(n - 1), p - low as f32)
        };
        let (x0, x1, fx) = along(x, self.columns);
        let (y0, y1, fy) = along(y, self.rows);
        let v = |r: usize, c: usize| self.values[r * self.columns + c];
        let row = |r: usize| v(r, x0) * (1.0 - fx) + v(r, x1) * fx;
        row(y0) * (1.0 - fy) + row(y1) * fy
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
        let shared = self.range().filter(|_| !self.own_scale);
        let inner = columns as f64 * (CELL + GAP) - GAP;
        // Room for the scale and its figures.
        let side = if self.range().is_some() { 96.0 } else { 0.0 };
        let width = (inner + side + 2.0 * EDGE).max(360.0);
        let mut scene = Scene::new(width, 0.0);
        let mut y = 34.0;
        for line in font::wrap(&self.title, 18.0, true, width - 2.0 * EDGE, 2) {
            scene.text(&line, (EDGE, y), Anchor::Start, bold(18.0, INK));
            y += 24.0;
        }
        if self.range().is_some() {
            let legend = font::fit(&self.legend, 12.5, false, width - 2.0 * EDGE);
            scene.text(&legend, (EDGE, y), Anchor::Start, plain(12.5, FAINT));
            y += 14.0;
        }
        let top = y;
        let captions: Vec<Vec<String>> = self
            .tiles
            .iter()
            .map(|t| font::wrap(&t.caption, CAPTION, false, CELL, LINES))
            .collect();
        let deep = captions.iter().map(Vec::len).max().unwrap_or(0) as f64;
        let row = CELL + 6.0 + deep * 16.0 + 10.0;
        for (i, (tile, lines)) in self.tiles.iter().zip(&captions).enumerate() {
            let x = EDGE + (i % columns) as f64 * (CELL + GAP);
            let y = top + (i / columns) as f64 * row;
            let image = blend(tile, shared);
            let (w, h) = (f64::from(image.width()), f64::from(image.height()));
            let fit = CELL / f64::from(SIDE);
            scene.shapes.push(Shape::Image {
                x: x + (CELL - w * fit) / 2.0,
                y: y + (CELL - h * fit) / 2.0,
                width: w * fit,
                height: h * fit,
                image,
            });
            for (l, line) in lines.iter().enumerate() {
                let place = (x + CELL / 2.0, y + CELL + 16.0 + 16.0 * l as f64);
                scene.text(line, place, Anchor::Middle, plain(CAPTION, INK));
            }
        }
        scene.height = top + rows as f64 * row + 8.0;
        if self.range().is_some() {
            let x = EDGE + inner + 16.0;
            self.scale(&mut scene, (x, top), shared);
        }
        Ok(scene)
    }

    fn text(&self) -> String {
        let mut out = match self.legend.as_str() {
            "" => format!("{}\n", self.title),
            legend => format!("{} ({legend})\n", self.title),
        };
        for tile in &self.tiles {
            let range = tile
                .heat
                .as_ref()
                .and_then(|h| h.values.iter().copied().fold(None, widen));
            let range = range.map_or(String::new(), |(l, h)| format!(": {l:.3} to {h:.3}"));
            let (w, h) = tile.image.dimensions();
            out += &format!("  {} ({w} x {h}){range}\n", tile.caption);
        }
        out
    }
}

impl HeatmapGrid {
    /// The colour scale beside the first row.
    fn scale(&self, scene: &mut Scene, (x, top): (f64, f64), shared: Option<(f32, f32)>) {
        const STEPS: usize = 84;
        let step = CELL / STEPS as f64;
        for i in 0..STEPS {
            let v = 1.0 - (i as f32 + 0.5) / STEPS as f32;
            let place = (x, top + i as f64 * step);
            scene.rect(place, (SCALE, step), color::heat(v));
        }
        let (low, high) = match shared {
            Some((low, high)) => {
                let format =
                    super::number::Format::of([f64::from(low), f64::from(high)].into_iter());
                (format.write(f64::from(low)), format.write(f64::from(high)))
            }
            None => ("least".to_owned(), "most".to_owned()),
        };
        let how = plain(11.5, FAINT);
        scene.text(&high, (x + SCALE + 6.0, top + 10.0), Anchor::Start, how);
        scene.text(&low, (x + SCALE + 6.0, top + CELL), Anchor::Start, how);
    }
}

super::chart!(HeatmapGrid);
