//! From an image file to RGB, as Pillow's `convert("RGB")` has it.

use super::Preprocess;
use crate::{Error, Result};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};
use std::io::Cursor;
use std::path::Path;

/// File names that end so are taken for images.
pub(crate) const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// Whether `path` ends as an image does.
pub(crate) fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    EXTENSIONS.contains(&extension.to_lowercase().as_str())
}

/// The picture in the file at `path`, RGB.
pub(crate) fn read_rgb(path: &Path, preprocess: &Preprocess) -> Result<RgbImage> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, error))?;
    rgb(&bytes, preprocess.upright).map_err(|reason| unreadable(path, reason))
}

/// Width and height of the picture in the file at `path`, upright where that is asked for; only its header is read.
pub(crate) fn dimensions(path: &Path, upright: bool) -> Result<(u32, u32)> {
    let read = || -> image::ImageResult<_> {
        let mut decoder = ImageReader::open(path)?
            .with_guessed_format()?
            .into_decoder()?;
        let (w, h) = decoder.dimensions();
        let turned =
            upright && sideways(decoder.orientation().unwrap_or(Orientation::NoTransforms));
        Ok(if turned { (h, w) } else { (w, h) })
    };
    read().map_err(|error| unreadable(path, error))
}

fn sideways(orientation: Orientation) -> bool {
    use Orientation::*;
    matches!(
        orientation,
        Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH
    )
}

/// The picture in `bytes` (PNG, JPEG or WebP, known by content), RGB: grey is repeated, palettes are looked up,
/// alpha is dropped, and of 16 bits the upper 8 are kept. Fails with the reason.
pub(crate) fn rgb(bytes: &[u8], upright: bool) -> Result<RgbImage, String> {
    Ok(match picture(bytes, upright)? {
        DynamicImage::ImageLuma16(p) => RgbImage::from_fn(p.width(), p.height(), |x, y| {
            let v = high(p.get_pixel(x, y).0[0]);
            image::Rgb([v; 3])
        }),
        DynamicImage::ImageLumaA16(p) => RgbImage::from_fn(p.width(), p.height(), |x, y| {
            let v = high(p.get_pixel(x, y).0[0]);
            image::Rgb([v; 3])
        }),
        DynamicImage::ImageRgb16(p) => RgbImage::from_fn(p.width(), p.height(), |x, y| {
            image::Rgb(p.get_pixel(x, y).0.map(high))
        }),
        DynamicImage::ImageRgba16(p) => RgbImage::from_fn(p.width(), p.height(), |x, y| {
            let [r, g, b, _] = p.get_pixel(x, y).0;
            image::Rgb([r, g, b].map(high))
        }),
        other => other.into_rgb8(),
    })
}

fn high(value: u16) -> u8 {
    (value >> 8) as u8
}

fn picture(bytes: &[u8], upright: bool) -> Result<DynamicImage, String> {
    let read = || -> image::ImageResult<_> {
        let mut decoder = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()?
            .into_decoder()?;
        // A broken EXIF block says nothing of the pixels.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut picture = DynamicImage::from_decoder(decoder)?;
        if upright {
            picture.apply_orientation(orientation);
        }
        Ok(picture)
    };
    read().map_err(|error| error.to_string())
}

/// The file at `path` is no image for `reason`.
pub(crate) fn unreadable(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Image {
        path: path.to_path_buf(),
        reason: format!("cannot be read as an image ({reason}); replace or remove it"),
    }
}
