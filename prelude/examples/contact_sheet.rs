//! A page of generated images, each beside its mask: `cargo run --release -p vitrepl-prelude
//! --example contact_sheet -- sheet.png [seed] [pixels]`, captions on the standard output.

use image::{Rgb, RgbImage};
use vitrepl_prelude::data::{GeneratedSet, GeneratedSpec};

const COLUMNS: u32 = 8;
const ROWS: u32 = 6;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or("sheet.png".to_string());
    let seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let size: u32 = arguments.next().map_or(Ok(96), |size| size.parse())?;
    let set = GeneratedSet::new(GeneratedSpec::unbiased(seed, (COLUMNS * ROWS) as usize))?;
    let mut sheet = RgbImage::new(COLUMNS * 2 * size, ROWS * size);
    for i in 0..COLUMNS * ROWS {
        let drawing = set.draw(i as usize, size as usize);
        let (left, top) = (i % COLUMNS * 2 * size, i / COLUMNS * size);
        for (p, (pixel, &mask)) in drawing.rgb.chunks_exact(3).zip(&drawing.mask).enumerate() {
            let (x, y) = (p as u32 % size, p as u32 / size);
            sheet.put_pixel(left + x, top + y, Rgb([pixel[0], pixel[1], pixel[2]]));
            sheet.put_pixel(left + size + x, top + y, Rgb([255 * mask; 3]));
        }
        println!("{i:2} {}", set.caption(i as usize, 0));
    }
    sheet.save(&path)?;
    Ok(())
}
