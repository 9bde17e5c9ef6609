//! One image of a [`HeatmapGrid`](super::HeatmapGrid), with or without a heatmap.

use candle_core::{DType, Tensor};
use image::{Rgb as Pixel, RgbImage};

use super::heat_scale::Scale;
use super::number::{Format, precise};
use super::scene::{Rgb, Scene};
use crate::facts::Facts;
use crate::{Error, Result};

/// Side of a tile's picture in pixels.
pub(super) const SIDE: u32 = 336;

/// An image, what is laid over it, and its caption.
#[derive(Clone)]
pub struct Tile {
    pub(super) image: RgbImage,
    pub(super) heat: Option<Heat>,
    pub(super) caption: String,
}

impl std::fmt::Display for Tile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (width, height) = self.image.dimensions();
        let heat = self
            .heat
            .as_ref()
            .map(|heat| format!("{} x {} values laid over it", heat.rows, heat.columns));
        let shown = Facts::new(format!("tile \"{}\"", self.caption))
            .row("image", format!("{width} x {height} pixels"))
            .maybe("heat map", heat)
            .row("drawn by", "HeatmapGrid::new(title, legend).tile(tile)");
        write!(f, "{shown}")
    }
}

crate::identity::debug_as_display!(Tile);

/// One value for each place of a grid, row by row.
#[derive(Clone)]
pub(super) struct Heat {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f32>,
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
    /// Another shape ([`Self::heat_tokens`] takes values in a row), nothing in it, NaN or infinity.
    pub fn heat(mut self, map: &Tensor) -> Result<Self> {
        let (rows, columns) = match *map.dims() {
            [rows, columns] if rows * columns > 0 => (rows, columns),
            [n] => {
                return Err(Error::argument(
                    "map",
                    format!("{n} values in a row"),
                    "rows x columns; .heat_tokens(&values, model.encoder().token_grid()) takes one value a token",
                ));
            }
            _ => {
                return Err(Error::argument(
                    "map",
                    format!("{:?}", map.dims()),
                    "rows x columns of one image, with nothing empty; take one image's map with .get(i)?",
                ));
            }
        };
        let values = map.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::argument(
                "map",
                format!(
                    "{} in row {}, column {}",
                    values[i],
                    1 + i / columns,
                    1 + i % columns
                ),
                "finite values only; look at the contributions that it came from",
            ));
        }
        self.heat = Some(Heat {
            rows,
            columns,
            values,
        });
        Ok(self)
    }

    /// With one value a token as a heatmap. The tokens are those of a grid of `side` x `side` patches, row by row, after
    /// `before` others (class token, registers), which have no place and are left out; without them if there are only
    /// side * side. [`ImageEncoder::token_grid`](crate::models::ImageEncoder::token_grid) has both numbers for the last
    /// stage of a model.
    ///
    /// # Errors
    /// Another number of values, as from a head of another stage; NaN or infinity.
    pub fn heat_tokens(self, values: &Tensor, (side, before): (usize, usize)) -> Result<Self> {
        let patches = side * side;
        let found = match *values.dims() {
            [n] => n,
            _ => {
                return Err(Error::argument(
                    "values",
                    format!("{:?}", values.dims()),
                    "one value a token of one image; pick image and direction with .get(i)? and .narrow(..)?",
                ));
            }
        };
        let first = match found {
            n if n == patches && n > 0 => 0,
            n if n == patches + before && patches > 0 => before,
            n => {
                let with = match before {
                    0 => String::new(),
                    _ => format!(", or {} with the {before} before them", patches + before),
                };
                return Err(Error::argument(
                    "values",
                    format!("{n} values"),
                    format!(
                        "{patches} for a grid of {side} x {side} patches{with}; a head of an earlier stage has a larger \
                         grid, so give that: (side, 0)"
                    ),
                ));
            }
        };
        let map = values.narrow(0, first, patches)?.reshape((side, side))?;
        self.heat(&map)
    }
}

impl Tile {
    /// What the pointer shows over the tile's picture: the value of each patch, or, where they are too many or there are
    /// none, the caption and the range.
    pub(super) fn hover(
        &self,
        scene: &mut Scene,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        each_patch: bool,
    ) {
        let heat = match &self.heat {
            Some(heat) if each_patch => heat,
            heat => {
                let range = heat.as_ref().map_or(String::new(), Heat::range);
                scene.hover((x, y), (width, height), format!("{}{range}", self.caption));
                return;
            }
        };
        let size = (width / heat.columns as f64, height / heat.rows as f64);
        for (i, value) in heat.values.iter().enumerate() {
            let (row, column) = (i / heat.columns, i % heat.columns);
            let title = format!(
                "{}: row {}, column {}: {}",
                self.caption,
                row + 1,
                column + 1,
                precise(f64::from(*value))
            );
            let corner = (x + column as f64 * size.0, y + row as f64 * size.1);
            scene.hover(corner, size, title.trim_start_matches(": "));
        }
    }
}

/// The tile's picture: the heat's colour over the image, denser where it is stronger.
pub(super) fn blend(tile: &Tile, scale: Option<Scale>) -> RgbImage {
    let filter = match tile.image.width().max(tile.image.height()) <= SIDE / 3 {
        // Few pixels are shown as what they are.
        true => image::imageops::FilterType::Nearest,
        false => image::imageops::FilterType::CatmullRom,
    };
    let side = tile.image.width().max(tile.image.height()).max(1);
    let scaled = |v: u32| (v * SIDE / side).max(1);
    let (w, h) = (scaled(tile.image.width()), scaled(tile.image.height()));
    let mut out = image::imageops::resize(&tile.image, w, h, filter);
    let (Some(heat), Some(scale)) = (&tile.heat, scale) else {
        return out;
    };
    // Beyond the scale there is no colour, so an outlier must not spread into its neighbours either.
    let heat = Heat {
        values: heat.values.iter().map(|v| scale.within(*v)).collect(),
        ..*heat
    };
    for (x, y, pixel) in out.enumerate_pixels_mut() {
        let value = heat.at((x as f32 + 0.5) / w as f32, (y as f32 + 0.5) / h as f32);
        let (Rgb(r, g, b), dense) = scale.color(value);
        let mix =
            |p: u8, c: u8| (f32::from(p) * (1.0 - dense) + f32::from(c) * dense).round() as u8;
        *pixel = Pixel([mix(pixel.0[0], r), mix(pixel.0[1], g), mix(pixel.0[2], b)]);
    }
    out
}

impl Heat {
    pub fn constant(&self) -> bool {
        self.values.iter().all(|v| *v == self.values[0])
    }

    /// `: -0.120 to 0.340`, or `: 0.120 everywhere`.
    pub fn range(&self) -> String {
        let low = self.values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = self
            .values
            .iter()
            .copied()
            .fold(f32::NEG_INFINITY, f32::max);
        let format = Format::of([f64::from(low), f64::from(high)].into_iter());
        match low == high {
            true => format!(": {} everywhere", format.write(f64::from(low))),
            false => format!(
                ": {} to {}",
                format.write(f64::from(low)),
                format.write(f64::from(high))
            ),
        }
    }

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
