//! From a decoded picture to a model's input: resize, centre crop and scaling to [0, 1], as timm
//! (`transforms_imagenet_eval`) and open_clip (`image_transform`) evaluate.
//!
//! ```
//! use vitrepl_prelude::data::{CropMode, ModelInput, Interpolation, Preprocess};
//! let clip = Preprocess { crop: 1., ..Preprocess::default() };
//! let picture = image::RgbImage::from_pixel(640, 480, image::Rgb([10, 20, 30]));
//! assert_eq!(clip.apply(&picture, 224).dimensions(), (224, 224));
//! assert_eq!(ModelInput::new(224, clip).size, 224);
//! assert_eq!(clip.mode, CropMode::Center);
//! assert_eq!(clip.interpolation, Interpolation::Bicubic);
//! ```

pub use super::resample::{Interpolation, resize};

use super::resample::{Window, resize_mask, resize_part};
use crate::{Error, Result};
use image::{GrayImage, Luma, Rgb, RgbImage, imageops};
use serde::{Deserialize, Serialize};

/// How a picture that is not square becomes square (timm `crop_mode`, open_clip `resize_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CropMode {
    /// The shorter side is brought to `floor(size / crop)`, the centre kept (timm `center`, open_clip `shortest`).
    #[default]
    #[serde(alias = "shortest")]
    Center,
    /// Both sides are brought to `floor(size / crop)`, the centre kept.
    Squash,
    /// The longer side is brought to `floor(size / crop)`, and bars of the fill colour are added, one pixel more on the
    /// right or below where their sum is odd (timm `border`, open_clip `longest`).
    #[serde(alias = "longest")]
    Border,
}

/// How a picture is brought to a model's size. It comes from the model ([`crate::models::Model::preprocess`]).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preprocess {
    pub interpolation: Interpolation,
    /// The share of the resized side that the centre crop keeps (timm `crop_pct`; open_clip crops nothing: 1).
    pub crop: f64,
    pub mode: CropMode,
    /// The colour of the bars of [`CropMode::Border`]: `round(255 * mean)` in timm, black in open_clip.
    pub fill: [u8; 3],
    /// Whether a picture is turned upright by its EXIF orientation first, and masks with it. The folders of torchvision
    /// and timm, and open_clip, do not.
    pub upright: bool,
    /// Whether the corner of the centre crop is rounded down where the middle lies between two pixels, as in
    /// transformers' processors; torchvision, and so timm and open_clip, round half to even.
    pub corner_down: bool,
}

impl Default for Preprocess {
    /// timm's for ViTs.
    fn default() -> Self {
        Self {
            interpolation: Interpolation::Bicubic,
            crop: 0.9,
            mode: CropMode::Center,
            fill: [0; 3],
            upright: true,
            corner_down: false,
        }
    }
}

/// What a model takes: the side of its square images, and how pictures are brought there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ModelInput {
    /// In pixels.
    pub size: usize,
    pub preprocess: Preprocess,
}

impl ModelInput {
    /// Images `size` pixels square by `preprocess`.
    pub fn new(size: usize, preprocess: Preprocess) -> Self {
        Self { size, preprocess }
    }

    /// Check the size and the crop.
    pub(crate) fn check(&self) -> Result<()> {
        if !(8..=4096).contains(&self.size) {
            let expected = "an image side between 8 and 4096 pixels";
            return Err(Error::argument("size", self.size, expected));
        }
        self.preprocess.check()?;
        if self.size as f64 / self.preprocess.crop > 65_536. {
            let expected = format!(
                "a share that keeps {} of at most 65536 pixels of the resized side",
                self.size
            );
            return Err(Error::argument("crop", self.preprocess.crop, expected));
        }
        Ok(())
    }
}

impl From<usize> for ModelInput {
    /// With the default [`Preprocess`].
    fn from(size: usize) -> Self {
        Self::new(size, Preprocess::default())
    }
}

/// Where a picture goes: the size it is resized to, and the corner of the crop in it (negative: bars).
#[derive(Debug, PartialEq)]
struct Placement {
    resized: (u32, u32),
    left: i64,
    top: i64,
}

impl Preprocess {
    /// Check that the crop is a share above 0 and at most 1.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self) -> Result<()> {
        if self.crop > 0. && self.crop <= 1. {
            return Ok(());
        }
        Err(Error::argument(
            "crop",
            self.crop,
            "a share above 0 and at most 1",
        ))
    }

    /// `picture` as the model sees it, `size` x `size`.
    pub fn apply(&self, picture: &RgbImage, size: usize) -> RgbImage {
        let place = self.place(picture.dimensions(), size);
        let (window, at) = place.window(size as u32);
        let part = resize_part(picture, place.resized, window, self.interpolation);
        if part.dimensions() == (size as u32, size as u32) {
            return part;
        }
        let mut whole = RgbImage::from_pixel(size as u32, size as u32, Rgb(self.fill));
        imageops::replace(&mut whole, &part, at.0, at.1);
        whole
    }

    /// A label picture in the same geometry by nearest neighbour, `size` x `size`; 0 in bars.
    pub fn apply_mask(&self, mask: &GrayImage, size: usize) -> GrayImage {
        let place = self.place(mask.dimensions(), size);
        let (window, at) = place.window(size as u32);
        let part = resize_mask(mask, place.resized, window);
        let mut whole = GrayImage::from_pixel(size as u32, size as u32, Luma([0]));
        imageops::replace(&mut whole, &part, at.0, at.1);
        whole
    }

    fn place(&self, (w, h): (u32, u32), size: usize) -> Placement {
        let target = ((size as f64 / self.crop).floor() as u32).max(size as u32);
        let long = |long: u32, short: u32| {
            (u64::from(target) * u64::from(long) / u64::from(short)).min(u32::MAX.into()) as u32
        };
        let resized = match self.mode {
            CropMode::Center if w <= h => (target, long(h, w)),
            CropMode::Center => (long(w, h), target),
            CropMode::Squash => (target, target),
            CropMode::Border => {
                let ratio = f64::from(w.max(h)) / f64::from(target);
                let side = |side: u32| ((f64::from(side) / ratio).round_ties_even() as u32).max(1);
                (side(w), side(h))
            }
        };
        let start = |side: u32| match i64::from(side) - size as i64 {
            more @ 0.. if self.corner_down => more / 2,
            // Python rounds half to even.
            more @ 0.. => (more as f64 / 2.).round_ties_even() as i64,
            // Of an odd number of bar pixels the last one is on the right or below (`center_crop_or_pad` of both).
            less => -(-less / 2),
        };
        Placement {
            resized,
            left: start(resized.0),
            top: start(resized.1),
        }
    }
}

impl Placement {
    /// The part of the resized picture that is kept, and where it lies in the crop.
    fn window(&self, size: u32) -> (Window, (i64, i64)) {
        let window = Window {
            left: self.left.max(0) as u32,
            top: self.top.max(0) as u32,
            width: self.resized.0.min(size),
            height: self.resized.1.min(size),
        };
        (window, ((-self.left).max(0), (-self.top).max(0)))
    }
}

/// `3 x H x W` values in [0, 1] of an RGB picture stored row by row, pixel by pixel.
pub(crate) fn planes(rgb: &[u8]) -> Vec<f32> {
    (0..3)
        .flat_map(|channel| {
            rgb[channel..]
                .iter()
                .step_by(3)
                .map(|&v| f32::from(v) / 255.)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_torchvision() {
        let place = |mode, crop, from, size| {
            let preprocess = Preprocess {
                mode,
                crop,
                ..Preprocess::default()
            };
            let place = preprocess.place(from, size);
            (place.resized, place.left, place.top)
        };
        let center = CropMode::Center;
        assert_eq!(place(center, 0.875, (500, 375), 224), ((341, 256), 58, 16));
        assert_eq!(place(center, 0.95, (375, 500), 224), ((235, 313), 6, 44));
        assert_eq!(place(center, 1., (224, 225), 224), ((224, 225), 0, 0));
        assert_eq!(place(center, 1., (224, 227), 224), ((224, 227), 0, 2));
        let squash = CropMode::Squash;
        assert_eq!(place(squash, 1., (500, 375), 384), ((384, 384), 0, 0));
        let border = CropMode::Border;
        assert_eq!(place(border, 1., (500, 375), 224), ((224, 168), 0, -28));
        // The odd pixel is on the right or below: 37 rows above and 38 below.
        assert_eq!(place(border, 1., (640, 427), 224), ((224, 149), 0, -37));
        assert_eq!(place(border, 1., (427, 640), 224), ((149, 224), -37, 0));
        assert_eq!(place(border, 1., (223, 224), 224), ((223, 224), 0, 0));
        assert_eq!(place(border, 1., (221, 224), 224), ((221, 224), -1, 0));
        // One side cropped, the other with bars.
        assert_eq!(place(border, 0.9, (640, 427), 224), ((248, 165), 12, -29));
    }
}
