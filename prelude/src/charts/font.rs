//! DejaVu Sans, carried along so that a chart looks the same on a machine without fonts.
//!
//! SVG viewers set text themselves, in DejaVu Sans or Verdana, which is as wide; for bitmaps text is set here.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, GlyphId, PxScale, ScaleFont, point};

use crate::{Error, Result};

/// The families an SVG asks for, in this order.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

static REGULAR: &[u8] = include_bytes!("../../assets/DejaVuSans.subset.ttf");
static BOLD: &[u8] = include_bytes!("../../assets/DejaVuSans-Bold.subset.ttf");

struct Fonts {
    regular: FontRef<'static>,
    bold: FontRef<'static>,
}

static FONTS: LazyLock<Result<Fonts, String>> = LazyLock::new(|| {
    let read =
        |bytes| FontRef::try_from_slice(bytes).map_err(|e| format!("its font is damaged: {e}"));
    Ok(Fonts {
        regular: read(REGULAR)?,
        bold: read(BOLD)?,
    })
});

fn font(bold: bool) -> Result<&'static FontRef<'static>> {
    match &*FONTS {
        Ok(fonts) if bold => Ok(&fonts.bold),
        Ok(fonts) => Ok(&fonts.regular),
        Err(e) => Err(Error::Chart(e.clone())),
    }
}

/// The glyphs of `text` set from x = 0 on the baseline y = 0 with an em of `em` pixels, and the width.
fn set(text: &str, em: f32, bold: bool) -> Result<(Vec<Glyph>, f32)> {
    let font = font(bold)?;
    // ab_glyph's scale is the height from descent to ascent, not the em.
    let units = font.units_per_em().unwrap_or(2048.0);
    let scale = PxScale::from(em * font.height_unscaled() / units);
    let scaled = font.as_scaled(scale);
    let (mut x, mut last) = (0.0, None);
    let mut glyphs = Vec::with_capacity(text.len());
    for c in text.chars() {
        let id = scaled.glyph_id(c);
        if let Some(last) = last {
            x += scaled.kern(last, id);
        }
        glyphs.push(id.with_scale_and_position(scale, point(x, 0.0)));
        x += scaled.h_advance(id);
        last = Some(id);
    }
    Ok((glyphs, x))
}

/// Width in pixels of `text` with an em of `em` pixels.
pub(super) fn width(text: &str, em: f64, bold: bool) -> f64 {
    set(text, em as f32, bold).map_or(0.0, |(_, width)| f64::from(width))
}

/// Calls `dot(x, y, coverage)` for each pixel of `text` set from (0, 0) on the baseline.
pub(super) fn draw(
    text: &str,
    em: f64,
    bold: bool,
    start: (f64, f64),
    mut dot: impl FnMut(i32, i32, f32),
) -> Result<()> {
    let font = font(bold)?;
    for mut glyph in set(text, em as f32, bold)?.0 {
        glyph.position.x += start.0 as f32;
        glyph.position.y += start.1 as f32;
        let Some(outline) = font.outline_glyph(glyph) else {
            continue;
        };
        let corner = outline.px_bounds().min;
        outline.draw(|x, y, coverage| {
            dot(
                x as i32 + corner.x as i32,
                y as i32 + corner.y as i32,
                coverage,
            );
        });
    }
    Ok(())
}

/// `text`, or as much of it as fits in `room` pixels with an ellipsis.
pub(super) fn fit(text: &str, em: f64, bold: bool, room: f64) -> String {
    if width(text, em, bold) <= room {
        return text.to_owned();
    }
    let mut kept: String = text.to_owned();
    while kept.pop().is_some() {
        let short = format!("{}…", kept.trim_end());
        if width(&short, em, bold) <= room {
            return short;
        }
    }
    "…".to_owned()
}

/// `text` broken at spaces into at most `lines` lines of `room` pixels, the last shortened if need be.
pub(super) fn wrap(text: &str, em: f64, bold: bool, room: f64, lines: usize) -> Vec<String> {
    let mut out: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let last = out.len() - 1;
        let line = &out[last];
        let longer = match line.as_str() {
            "" => word.to_owned(),
            _ => format!("{line} {word}"),
        };
        if line.is_empty() || out.len() == lines || width(&longer, em, bold) <= room {
            out[last] = longer;
        } else {
            out.push(word.to_owned());
        }
    }
    out.iter().map(|line| fit(line, em, bold, room)).collect()
}

/// A font as a document embeds it; lengths in thousandths of an em.
pub(super) struct Face {
    /// TrueType.
    pub file: &'static [u8],
    font: &'static FontRef<'static>,
    units: f32,
}

impl Face {
    pub fn of(bold: bool) -> Result<Self> {
        let font = font(bold)?;
        Ok(Self {
            file: if bold { BOLD } else { REGULAR },
            font,
            units: font.units_per_em().unwrap_or(2048.0),
        })
    }

    /// The number of a character's glyph; 0 where the font has none.
    pub fn glyph(&self, c: char) -> u16 {
        self.font.glyph_id(c).0
    }

    pub fn advance(&self, glyph: u16) -> f32 {
        self.font.h_advance_unscaled(GlyphId(glyph)) * 1000.0 / self.units
    }

    /// How much further apart than their advance two glyphs stand.
    pub fn kern(&self, left: u16, right: u16) -> f32 {
        self.font.kern_unscaled(GlyphId(left), GlyphId(right)) * 1000.0 / self.units
    }

    /// Ascent and descent, the latter below zero.
    pub fn extent(&self) -> (f32, f32) {
        let scale = 1000.0 / self.units;
        (
            self.font.ascent_unscaled() * scale,
            self.font.descent_unscaled() * scale,
        )
    }
}
