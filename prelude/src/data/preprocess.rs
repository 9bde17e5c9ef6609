//! From a decoded picture to a model's input: shorter side to `floor(size / crop)`, centre crop,
//! scaling to [0, 1] (timm `transforms_imagenet_eval`).

use image::{RgbImage, imageops};
use serde::{Deserialize, Serialize};

/// How pixels are interpolated when a picture is resized; both are antialiased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    Bilinear,
    Bicubic,
}

/// How a picture is brought to a model's size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    pub interpolation: Interpolation,
    /// The share of the resized shorter side that the centre crop keeps (timm `crop_pct`).
    pub crop: f64,
}

impl Default for Preprocess {
    fn default() -> Self {
        Self {
            interpolation: Interpolation::Bicubic,
            crop: 0.9,
        }
    }
}

impl Preprocess {
    /// The centre of `picture`, `size` x `size`.
    pub fn apply(&self, picture: &RgbImage, size: usize) -> RgbImage {
        let size = size as u32;
        let target = ((f64::from(size) / self.crop).floor() as u32).max(size);
        let (w, h) = picture.dimensions();
        let scaled = |long: u32, short: u32| {
            (u64::from(target) * u64::from(long) / u64::from(short)).max(u64::from(target)) as u32
        };
        let (new_w, new_h) = if w <= h {
            (target, scaled(h, w))
        } else {
            (scaled(w, h), target)
        };
        let filter = match self.interpolation {
            Interpolation::Bilinear => imageops::FilterType::Triangle,
            Interpolation::Bicubic => imageops::FilterType::CatmullRom,
        };
        let resized = if (new_w, new_h) == (w, h) {
            picture.clone()
        } else {
            imageops::resize(picture, new_w, new_h, filter)
        };
        // torchvision rounds half to even here.
        let start = |long: u32| ((f64::from(long - size)) / 2.).round_ties_even() as u32;
        imageops::crop_imm(&resized, start(new_w), start(new_h), size, size).to_image()
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
