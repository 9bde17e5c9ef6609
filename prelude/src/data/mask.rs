//! Label pictures: a small whole number for each pixel.

use super::decode::unreadable;
use crate::{Error, Result};
use image::GrayImage;
use png::{BitDepth, ColorType, Transformations};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

fn reader(path: &Path) -> Result<png::Reader<BufReader<File>>> {
    let file = File::open(path).map_err(|e| Error::io("reading", path, e))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    // As stored: a palette's indices and small depths are the labels.
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.read_info().map_err(|e| unreadable(path, e))
}

/// Width and height, from the header only.
pub(super) fn dimensions(path: &Path) -> Result<(u32, u32)> {
    let reader = reader(path)?;
    Ok((reader.info().width, reader.info().height))
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
        let reason = format!(
            "its pixels are {colour:?} of {} bits, where a mask has one label of up to 8 bits; save it as a grey or palette PNG",
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
