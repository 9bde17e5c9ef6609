//! Label pictures: a small whole number for each pixel.

use super::decode::{Header, check_size, unreadable};
use crate::{Error, Result};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage};
use png::{BitDepth, ColorType, Transformations};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

fn reader(path: &Path) -> Result<png::Reader<BufReader<File>>> {
    let file = File::open(path).map_err(|e| Error::io("reading", path, e))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    // As stored: a palette's indices and small depths are the labels.
    decoder.set_transformations(Transformations::IDENTITY);
    let reader = decoder.read_info().map_err(|e| unreadable(path, e))?;
    let (w, h) = (reader.info().width, reader.info().height);
    check_size((w, h)).map_err(|reason| unreadable(path, reason))?;
    Ok(reader)
}

/// Size and EXIF orientation, from the header only.
pub(super) fn header(path: &Path) -> Result<Header> {
    let reader = reader(path)?;
    let info = reader.info();
    let exif = info.exif_metadata.as_deref();
    let orientation = exif.and_then(Orientation::from_exif_chunk);
    Ok(Header {
        stored: (info.width, info.height),
        orientation: orientation.unwrap_or(Orientation::NoTransforms),
    })
}

/// `mask` turned as `orientation` says.
pub(super) fn turned(mask: GrayImage, orientation: Orientation) -> GrayImage {
    if orientation == Orientation::NoTransforms {
        return mask;
    }
    let mut turned = DynamicImage::ImageLuma8(mask);
    turned.apply_orientation(orientation);
    turned.into_luma8()
}

/// The orientation that undoes `orientation`.
pub(super) fn inverse(orientation: Orientation) -> Orientation {
    match orientation {
        Orientation::Rotate90 => Orientation::Rotate270,
        Orientation::Rotate270 => Orientation::Rotate90,
        other => other,
    }
}

/// The labels of the PNG at `path`: grey values or palette indices of up to 8 bits, as they are stored.
///
/// # Errors
/// When it is no PNG, or its pixels are colours or more than 8 bits wide.
pub(super) fn read(path: &Path) -> Result<GrayImage> {
    let mut reader = reader(path)?;
    let (colour, depth) = reader.output_color_type();
    let labels = matches!(colour, ColorType::Grayscale | ColorType::Indexed);
    if !labels || depth == BitDepth::Sixteen {
        let remedy = match colour {
            ColorType::Grayscale => {
                "with numbers below 256: in Python `Image.fromarray(np.asarray(Image.open(p)).astype(np.uint8)).save(p)`"
            }
            ColorType::GrayscaleAlpha => {
                "without alpha: in Python `Image.open(p).getchannel(0).save(p)`"
            }
            _ => {
                "with the number of each colour's class in place of the colour; where red, green and blue are alike: in Python `Image.open(p).getchannel(0).save(p)`"
            }
        };
        let reason = format!(
            "its pixels are {colour:?} of {} bits, where a mask has one label of up to 8 bits; save it as a grey or palette PNG {remedy}",
            depth as u8
        );
        return Err(unreadable(path, reason));
    }
    let size = reader.output_buffer_size().unwrap_or_default();
    let mut packed = vec![0; size];
    let frame = reader
        .next_frame(&mut packed)
        .map_err(|e| unreadable(path, e))?;
    let bits = depth as usize;
    let per_byte = 8 / bits;
    let mask = u8::MAX >> (8 - bits);
    Ok(GrayImage::from_fn(frame.width, frame.height, |x, y| {
        let byte = packed[y as usize * frame.line_size + x as usize / per_byte];
        let shift = 8 - bits * (x as usize % per_byte + 1);
        image::Luma([(byte >> shift) & mask])
    }))
}
