//! JPEG by libjpeg's C code, in the copy that mozjpeg builds with nothing but a C compiler. Pillow decodes with
//! libjpeg-turbo: both do the integer DCT ("islow") and "fancy" upsampling, and agree in every value.

use super::{Header, check_size};
use image::RgbImage;
use image::metadata::Orientation;
use mozjpeg::decompress::{DecompressBuilder, DecompressStarted};
use mozjpeg::{ColorSpace, Decompress, Marker};
use mozjpeg_sys::{jpeg_common_struct, jpeg_error_mgr};
use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null;

/// Where EXIF stands.
const MARKERS: [Marker; 1] = [Marker::APP(1)];

/// Width, height and orientation by the markers before the pixels.
pub(super) fn header(file: impl BufRead) -> Result<Header, String> {
    let ended = Cell::new(false);
    let whole = Whole {
        file,
        ended: &ended,
    };
    let read = || Ok(header_of(&started(whole)?));
    caught(&ended, read, || "its header is damaged".to_string())
}

/// The picture in `bytes`, RGB, as it is stored.
pub(super) fn rgb(bytes: &[u8]) -> Result<(RgbImage, Header), String> {
    let ended = Cell::new(false);
    let whole = Whole {
        file: bytes,
        ended: &ended,
    };
    let read = || {
        let jpeg = started(whole)?;
        let header = header_of(&jpeg);
        check_size(header.stored)?;
        let damaged =
            |what: &str| format!("its data are damaged {what}; download or copy it again");
        DAMAGED.set(false);
        let pixels = match jpeg.components().len() {
            1 | 3 => rows(jpeg.rgb())?,
            4 => from_cmyk(&rows(jpeg.to_colorspace(ColorSpace::JCS_CMYK))?),
            other => return Err(format!("it has {other} colour components, not 1, 3 or 4")),
        };
        if DAMAGED.get() {
            // libjpeg fills up what it cannot read with grey.
            return Err(damaged(
                "(libjpeg warns of them, and a part of the picture may be made up)",
            ));
        }
        let (w, h) = header.stored;
        let picture =
            RgbImage::from_raw(w, h, pixels).ok_or_else(|| damaged("(rows are missing)"))?;
        Ok((picture, header))
    };
    caught(&ended, read, || explained(bytes))
}

thread_local! {
    /// Whether libjpeg has warned on this thread since this was last set to false.
    static DAMAGED: Cell<bool> = const { Cell::new(false) };
}

/// A decoder that has read the header. libjpeg's warnings go to [`DAMAGED`]: in the header they are about the
/// likes of a version number, among the pixels about data that is missing or wrong.
fn started<R: BufRead>(file: R) -> Result<Decompress<R>, String> {
    let builder = DecompressBuilder::new().with_err(errors());
    let jpeg = builder.with_markers(&MARKERS).from_reader(file);
    jpeg.map_err(|error| error.to_string())
}

fn header_of<R>(jpeg: &Decompress<R>) -> Header {
    let mut exif = Vec::new();
    for marker in jpeg.markers() {
        // An EXIF block beyond 64 kB goes on in the next marker.
        if let Some(part) = marker.data.strip_prefix(b"Exif\0\0") {
            exif.extend_from_slice(part)
        }
    }
    let orientation = Orientation::from_exif_chunk(&exif);
    Header {
        stored: (jpeg.width() as u32, jpeg.height() as u32),
        orientation: orientation.unwrap_or(Orientation::NoTransforms),
    }
}

/// All rows. What follows the last of them is not asked for: like Pillow's, a picture whose rows are all there is whole.
fn rows<R>(started: io::Result<DecompressStarted<R>>) -> Result<Vec<u8>, String> {
    let pixels = started.and_then(|mut jpeg| jpeg.read_scanlines());
    pixels.map_err(|error| error.to_string())
}

/// Pillow's `CMYK;I` and `cmyk2rgb`: inks are stored inverted, as Adobe does it.
fn from_cmyk(inks: &[u8]) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(inks.len() / 4 * 3);
    for ink in inks.chunks_exact(4) {
        let light = u32::from(ink[3]);
        pixels.extend([ink[0], ink[1], ink[2]].map(|ink| {
            let product = u32::from(255 - ink) * light + 128;
            let dark = ((product >> 8) + product) >> 8;
            light.saturating_sub(dark) as u8
        }));
    }
    pixels
}

/// A file that must not end while more of it is asked for. libjpeg would take its end for the end of the picture, and
/// leave the rest grey.
struct Whole<'a, R> {
    file: R,
    ended: &'a Cell<bool>,
}

impl<R: BufRead> Read for Whole<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl<R: BufRead> BufRead for Whole<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let buffer = self.file.fill_buf()?;
        if buffer.is_empty() {
            self.ended.set(true);
            return Err(io::Error::other("the file is cut off"));
        }
        Ok(buffer)
    }

    fn consume(&mut self, bytes: usize) {
        self.file.consume(bytes)
    }
}

/// Run `read`, in which libjpeg may give up, for a reason that `explain` finds.
fn caught<T>(
    ended: &Cell<bool>,
    read: impl FnOnce() -> Result<T, String>,
    explain: impl FnOnce() -> String,
) -> Result<T, String> {
    let result = catch_unwind(AssertUnwindSafe(read));
    if ended.get() {
        return Err("it is cut off; download or copy it again".to_string());
    }
    result.unwrap_or_else(|_| Err(explain()))
}

/// Why libjpeg gives up on `bytes`, in its own words: the error manager of the `mozjpeg` crate can say, and ours, which
/// may read nothing behind a pointer, cannot.
fn explained(bytes: &[u8]) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let jpeg = Decompress::new_mem(bytes)?;
        match jpeg.components().len() {
            4 => jpeg.to_colorspace(ColorSpace::JCS_CMYK)?.read_scanlines(),
            _ => jpeg.rgb()?.read_scanlines(),
        }
    };
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Err(error)) => error.to_string(),
        Err(reason) if reason.is::<String>() => *reason.downcast::<String>().unwrap_or_default(),
        _ => "it is damaged".to_string(),
    }
}

/// An error manager that unwinds out of libjpeg, which is built for that, and writes nothing anywhere.
fn errors() -> jpeg_error_mgr {
    jpeg_error_mgr {
        error_exit: Some(give_up),
        emit_message: Some(warn),
        output_message: Some(say_nothing),
        format_message: None,
        reset_error_mgr: Some(say_nothing),
        msg_code: 0,
        msg_parm: Default::default(),
        trace_level: 0,
        num_warnings: 0,
        jpeg_message_table: null(),
        last_jpeg_message: 0,
        addon_message_table: null(),
        first_addon_message: 0,
        last_addon_message: 0,
    }
}

extern "C-unwind" fn give_up(_: &mut jpeg_common_struct) {
    // No panic handler is called: this is no panic, but the only way out of C.
    resume_unwind(Box::new(()))
}

extern "C-unwind" fn warn(_: &mut jpeg_common_struct, level: i32) {
    if level < 0 {
        DAMAGED.set(true)
    }
}

extern "C-unwind" fn say_nothing(_: &mut jpeg_common_struct) {}
