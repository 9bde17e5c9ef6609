//! From an image file to RGB, as Pillow's `Image.open(..).convert("RGB")` has it.
//!
//! JPEG is decoded by libjpeg's C code as mozjpeg carries it, which gives libjpeg-turbo's values to the digit ([`jpeg`]);
//! PNG and WebP by the `image` crate, whose lossy WebP has libwebp's values. Grey of 16 bits differs: the upper 8 bits are
//! kept, where Pillow saturates.
//!
//! A picture that is not whole is unreadable: nothing is made up for the part that is missing. In three cases Pillow
//! takes a file that is refused here: data that libjpeg itself calls corrupt (Pillow goes on with grey or garbage), a
//! wrong checksum in a PNG, and a PNG that is cut off behind its last row.

mod format;
mod jpeg;

use self::format::{Format, not_read};
use super::Preprocess;
use crate::{Error, Result};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

pub(crate) use self::format::{OTHER_EXTENSIONS, compressed};

/// Raised whenever the decoders or what is done after them give other pixels than before: it is part of the key of each
/// set that decodes.
pub(crate) const VERSION: u32 = 2;

/// File names that end so are taken for images.
pub(crate) const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// The most pixels of a picture, twice Pillow's `Image.MAX_IMAGE_PIXELS`, beyond which Pillow too refuses one. A header
/// of 30 bytes can claim 65535 x 65535.
pub(crate) const MOST_PIXELS: u64 = 178_956_970;

/// The ending of a file name in lower case.
pub(crate) fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    extension.to_lowercase()
}

/// Whether `path` ends as an image does.
pub(crate) fn is_image(path: &Path) -> bool {
    EXTENSIONS.contains(&extension(path).as_str())
}

/// Width, height and EXIF orientation of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Header {
    /// As they are stored.
    pub stored: (u32, u32),
    pub orientation: Orientation,
}

impl Header {
    /// Width and height of the picture as it is shown.
    pub fn shown(&self) -> (u32, u32) {
        use Orientation::*;
        let (w, h) = self.stored;
        match self.orientation {
            Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => (h, w),
            _ => (w, h),
        }
    }
}

/// The header of the picture in the file at `path`; nothing else of it is read.
pub(crate) fn header(path: &Path) -> Result<Header> {
    let opening = |error| unreadable(path, error);
    let file = BufReader::new(File::open(path).map_err(opening)?);
    header_of(file).map_err(|reason| unreadable(path, reason))
}

fn header_of(mut file: impl BufRead + Seek) -> Result<Header, String> {
    let begin = file.fill_buf().map_err(|error| error.to_string())?;
    match Format::of(begin) {
        Some(Format::Jpeg) => jpeg::header(file),
        Some(Format::Png) => {
            format::png_size(begin).map_or(Ok(()), check_size)?;
            Ok(opened(file, ImageFormat::Png)?.1)
        }
        Some(Format::WebP) => Ok(opened(file, ImageFormat::WebP)?.1),
        None => Err(not_read(begin)),
    }
}

/// A decoder that has read the header, which asks for no more pixels than are read.
fn opened<'a>(
    file: impl BufRead + Seek + 'a,
    format: ImageFormat,
) -> Result<(impl ImageDecoder + 'a, Header), String> {
    let reader = ImageReader::with_format(file, format);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let header = Header {
        stored: decoder.dimensions(),
        // A broken EXIF block says nothing of the pixels.
        orientation: decoder.orientation().unwrap_or(Orientation::NoTransforms),
    };
    check_size(header.stored)?;
    Ok((decoder, header))
}

/// Check that a picture of this size is small enough to be decoded.
pub(crate) fn check_size((w, h): (u32, u32)) -> Result<(), String> {
    if w == 0 || h == 0 {
        return Err(format!("it is {w} x {h} pixels"));
    }
    if u64::from(w) * u64::from(h) <= MOST_PIXELS {
        return Ok(());
    }
    Err(format!(
        "its header says {w} x {h} pixels, and at most {MOST_PIXELS} are read, as Pillow does; if it is that large, scale it down"
    ))
}

/// The picture in `bytes` (PNG, JPEG or WebP, known by content), RGB: grey is repeated, palettes are looked up,
/// alpha is dropped, and of 16 bits the upper 8 are kept. Fails with the reason.
pub(crate) fn rgb(bytes: &[u8], upright: bool) -> Result<RgbImage, String> {
    let (picture, header) = match Format::of(bytes) {
        Some(Format::Jpeg) => {
            let (picture, header) = jpeg::rgb(bytes)?;
            (DynamicImage::ImageRgb8(picture), header)
        }
        Some(Format::Png) => {
            format::png_size(bytes).map_or(Ok(()), check_size)?;
            decoded(bytes, ImageFormat::Png)?
        }
        Some(Format::WebP) if format::webp_len(bytes) > bytes.len() as u64 => {
            return Err("it is cut off; download or copy it again".to_string());
        }
        Some(Format::WebP) => decoded(bytes, ImageFormat::WebP)?,
        None => return Err(not_read(bytes)),
    };
    let mut picture = eight_bits(picture);
    if upright && header.orientation != Orientation::NoTransforms {
        let mut turned = DynamicImage::ImageRgb8(picture);
        turned.apply_orientation(header.orientation);
        picture = turned.into_rgb8();
    }
    Ok(picture)
}

fn decoded(bytes: &[u8], format: ImageFormat) -> Result<(DynamicImage, Header), String> {
    let (decoder, header) = opened(Cursor::new(bytes), format)?;
    let picture = DynamicImage::from_decoder(decoder);
    Ok((picture.map_err(|error| error.to_string())?, header))
}

fn eight_bits(picture: DynamicImage) -> RgbImage {
    let high = |value: u16| (value >> 8) as u8;
    match picture {
        DynamicImage::ImageLuma16(p) => RgbImage::from_fn(p.width(), p.height(), |x, y| {
            image::Rgb([high(p.get_pixel(x, y).0[0]); 3])
        }),
        DynamicImage::ImageLumaA16(p) => RgbImage::from_fn(p.width(), p.height(), |x, y| {
            image::Rgb([high(p.get_pixel(x, y).0[0]); 3])
        }),
        DynamicImage::ImageRgb16(p) => RgbImage::from_fn(p.width(), p.height(), |x, y| {
            image::Rgb(p.get_pixel(x, y).0.map(high))
        }),
        DynamicImage::ImageRgba16(p) => RgbImage::from_fn(p.width(), p.height(), |x, y| {
            let [r, g, b, _] = p.get_pixel(x, y).0;
            image::Rgb([r, g, b].map(high))
        }),
        other => other.into_rgb8(),
    }
}

/// The picture in `file`, which was opened at `path`, RGB.
pub(crate) fn read_rgb(mut file: &File, path: &Path, preprocess: &Preprocess) -> Result<RgbImage> {
    let mut bytes = Vec::new();
    let read = file.read_to_end(&mut bytes);
    read.map_err(|error| unreadable(path, error))?;
    rgb(&bytes, preprocess.upright).map_err(|reason| unreadable(path, reason))
}

/// The file at `path` is no image for `reason`.
pub(crate) fn unreadable(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Image {
        path: path.to_path_buf(),
        reason: format!("cannot be read as an image ({reason}); replace or remove it"),
    }
}
