//! The kernel's logo: a representation as the sum of its components.

use anyhow::{Context, Result};
use image::{ImageFormat, Rgba, RgbaImage};
use std::io::Cursor;

/// The logo is drawn on a grid of so many units.
const UNITS: u32 = 32;

/// Bars: left, top, width and height in units, and colour.
const BARS: &[(u32, u32, u32, u32, [u8; 3])] = &[
    (4, 4, 24, 4, [38, 70, 83]),
    (4, 11, 10, 3, [42, 157, 143]),
    (15, 11, 6, 3, [233, 196, 106]),
    (22, 11, 6, 3, [231, 111, 81]),
    (4, 17, 10, 11, [42, 157, 143]),
    (15, 20, 6, 8, [233, 196, 106]),
    (22, 23, 6, 5, [231, 111, 81]),
];

/// The logo as a PNG of `size` by `size` pixels.
pub fn png(size: u32) -> Result<Vec<u8>> {
    let scale = size / UNITS;
    let mut picture = RgbaImage::new(size, size);
    for &(left, top, width, height, [r, g, b]) in BARS {
        for y in top * scale..(top + height) * scale {
            for x in left * scale..(left + width) * scale {
                picture.put_pixel(x, y, Rgba([r, g, b, 255]));
            }
        }
    }
    let mut file = Cursor::new(Vec::new());
    picture
        .write_to(&mut file, ImageFormat::Png)
        .context("cannot draw the logo")?;
    Ok(file.into_inner())
}

/// The logo as SVG.
pub fn svg() -> String {
    let bars: String = BARS
        .iter()
        .map(|(left, top, width, height, [r, g, b])| {
            format!(
                "  <rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" \
                 fill=\"#{r:02x}{g:02x}{b:02x}\"/>\n"
            )
        })
        .collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {UNITS} {UNITS}\">\n{bars}</svg>\n"
    )
}
