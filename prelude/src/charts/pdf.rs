//! A scene as PDF: one page, shapes and texts as such, with the fonts in the file.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str};

use super::font::{self, Face};
use super::scene::{Anchor, Rgb, Scene, Shape};
use crate::{Error, Result};

/// Points for a pixel of the scene: 96 pixels an inch.
const POINTS: f32 = 0.75;

const INFO: SystemInfo = SystemInfo {
    registry: Str(b"Adobe"),
    ordering: Str(b"Identity"),
    supplement: 0,
};

/// The name of a font in the page's resources.
fn resource(bold: bool) -> Name<'static> {
    match bold {
        true => Name(b"Bold"),
        false => Name(b"Plain"),
    }
}

/// Numbers for the objects of a file.
struct Refs(i32);

impl Refs {
    fn next(&mut self) -> Ref {
        self.0 += 1;
        Ref::new(self.0)
    }
}

impl Scene {
    /// The scene as a PDF page of its nominal size at 96 pixels an inch.
    pub(super) fn pdf(&self) -> Result<Vec<u8>> {
        let mut refs = Refs(0);
        let (catalog, tree, page_id, content_id) =
            (refs.next(), refs.next(), refs.next(), refs.next());
        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(tree);
        pdf.pages(tree).kids([page_id]).count(1);
        let weights: Vec<bool> = [false, true]
            .into_iter()
            .filter(|wanted| {
                let is =
                    |shape: &Shape| matches!(shape, Shape::Text { bold, .. } if bold == wanted);
                self.shapes.iter().any(is)
            })
            .collect();
        let mut fonts = Vec::new();
        for bold in weights {
            let texts = self.shapes.iter().filter_map(|shape| match shape {
                Shape::Text { text, bold: b, .. } if *b == bold => Some(text.as_str()),
                _ => None,
            });
            fonts.push((bold, embed(&mut pdf, &mut refs, bold, texts)?));
        }
        let mut images = Vec::new();
        for shape in &self.shapes {
            if let Shape::Image { image, .. } = shape {
                let id = refs.next();
                let data = compressed(image.as_raw())?;
                let (width, height) = (image.width() as i32, image.height() as i32);
                let mut object = pdf.image_xobject(id, &data);
                object.filter(Filter::FlateDecode);
                object.width(width).height(height).bits_per_component(8);
                object.color_space().device_rgb();
                object.finish();
                images.push((format!("Image{}", images.len()), id));
            }
        }
        let content = compressed(&self.content()?)?;
        pdf.stream(content_id, &content).filter(Filter::FlateDecode);
        let (width, height) = (self.width as f32 * POINTS, self.height as f32 * POINTS);
        let mut page = pdf.page(page_id);
        page.media_box(Rect::new(0.0, 0.0, width, height));
        page.parent(tree).contents(content_id);
        let mut resources = page.resources();
        let mut named = resources.fonts();
        for (bold, id) in &fonts {
            named.pair(resource(*bold), *id);
        }
        named.finish();
        let mut named = resources.x_objects();
        for (name, id) in &images {
            named.pair(Name(name.as_bytes()), *id);
        }
        named.finish();
        resources.finish();
        page.finish();
        Ok(pdf.finish())
    }

    /// The drawing operators of the page. Lengths are the scene's pixels, y turned upwards.
    fn content(&self) -> Result<Vec<u8>> {
        let mut out = Content::new();
        out.transform([POINTS, 0.0, 0.0, POINTS, 0.0, 0.0]);
        let up = |y: f64| (self.height - y) as f32;
        for shape in &self.shapes {
            match shape {
                Shape::Rect {
                    x,
                    y,
                    width,
                    height,
                    color,
                } => {
                    fill(&mut out, *color);
                    out.rect(*x as f32, up(y + height), *width as f32, *height as f32);
                    out.fill_nonzero();
                }
                Shape::Line {
                    points,
                    color: Rgb(r, g, b),
                    stroke,
                } => {
                    out.set_stroke_rgb(unit(*r), unit(*g), unit(*b));
                    out.set_line_width(*stroke as f32);
                    for (i, (x, y)) in points.iter().enumerate() {
                        match i {
                            0 => out.move_to(*x as f32, up(*y)),
                            _ => out.line_to(*x as f32, up(*y)),
                        };
                    }
                    out.stroke();
                }
                Shape::Dot {
                    x,
                    y,
                    radius,
                    color,
                } => {
                    fill(&mut out, *color);
                    circle(&mut out, (*x as f32, up(*y)), *radius as f32);
                }
                Shape::Text { .. } | Shape::Image { .. } => {}
            }
        }
        let mut images = 0;
        for shape in &self.shapes {
            match shape {
                Shape::Image {
                    x,
                    y,
                    width,
                    height,
                    ..
                } => {
                    let (w, h) = (*width as f32, *height as f32);
                    out.save_state();
                    out.transform([w, 0.0, 0.0, h, *x as f32, up(y + height)]);
                    out.x_object(Name(format!("Image{images}").as_bytes()));
                    out.restore_state();
                    images += 1;
                }
                Shape::Text {
                    x,
                    y,
                    text,
                    size,
                    bold,
                    color,
                    anchor,
                    upwards,
                } => {
                    let back = match anchor {
                        Anchor::Start => 0.0,
                        Anchor::Middle => font::width(text, *size, *bold) / 2.0,
                        Anchor::End => font::width(text, *size, *bold),
                    };
                    let matrix = match upwards {
                        false => [1.0, 0.0, 0.0, 1.0, (x - back) as f32, up(*y)],
                        true => [0.0, 1.0, -1.0, 0.0, *x as f32, up(y + back)],
                    };
                    fill(&mut out, *color);
                    out.begin_text();
                    out.set_font(resource(*bold), *size as f32);
                    out.set_text_matrix(matrix);
                    write(&mut out, text, *bold)?;
                    out.end_text();
                }
                _ => {}
            }
        }
        Ok(out.finish().into_vec())
    }
}

/// The glyphs of `text`, moved together where the font says so.
fn write(out: &mut Content, text: &str, bold: bool) -> Result<()> {
    let face = Face::of(bold)?;
    let mut shown = out.show_positioned();
    let mut items = shown.items();
    let mut last = None;
    for c in text.chars() {
        let glyph = face.glyph(c);
        if let Some(last) = last {
            let kern = face.kern(last, glyph);
            if kern != 0.0 {
                items.adjust(-kern);
            }
        }
        items.show(Str(&glyph.to_be_bytes()));
        last = Some(glyph);
    }
    Ok(())
}

/// Puts a font into the file, with what its glyphs in `texts` mean, so that text can be searched and copied.
fn embed<'t>(
    pdf: &mut Pdf,
    refs: &mut Refs,
    bold: bool,
    texts: impl Iterator<Item = &'t str>,
) -> Result<Ref> {
    let face = Face::of(bold)?;
    let (id, cid, descriptor, file, meaning) = (
        refs.next(),
        refs.next(),
        refs.next(),
        refs.next(),
        refs.next(),
    );
    let name = Name(match bold {
        true => b"VITREP+DejaVuSans-Bold",
        false => b"VITREP+DejaVuSans",
    });
    let mut used: Vec<(u16, char)> = texts
        .flat_map(str::chars)
        .map(|c| (face.glyph(c), c))
        .collect();
    used.sort_unstable();
    used.dedup_by_key(|(glyph, _)| *glyph);
    pdf.type0_font(id)
        .base_font(name)
        .encoding_predefined(Name(b"Identity-H"))
        .descendant_font(cid)
        .to_unicode(meaning);
    let mut font = pdf.cid_font(cid);
    font.subtype(CidFontType::Type2).base_font(name);
    font.system_info(INFO).font_descriptor(descriptor);
    font.cid_to_gid_map_predefined(Name(b"Identity"));
    let mut widths = font.widths();
    for (glyph, _) in &used {
        widths.consecutive(*glyph, [face.advance(*glyph)]);
    }
    widths.finish();
    font.finish();
    let (ascent, descent) = face.extent();
    pdf.font_descriptor(descriptor)
        .name(name)
        .flags(FontFlags::SYMBOLIC)
        .bbox(Rect::new(-1100.0, descent, 2000.0, ascent))
        .italic_angle(0.0)
        .ascent(ascent)
        .descent(descent)
        .cap_height(729.0)
        .stem_v(if bold { 140.0 } else { 80.0 })
        .font_file2(file);
    let data = compressed(face.file)?;
    let mut stream = pdf.stream(file, &data);
    stream.filter(Filter::FlateDecode);
    stream.pair(Name(b"Length1"), face.file.len() as i32);
    stream.finish();
    let mut map = UnicodeCmap::new(Name(b"Meaning"), INFO);
    for (glyph, c) in used {
        map.pair(glyph, c);
    }
    pdf.cmap(meaning, &map.finish());
    Ok(id)
}

fn unit(value: u8) -> f32 {
    f32::from(value) / 255.0
}

fn fill(out: &mut Content, Rgb(r, g, b): Rgb) {
    out.set_fill_rgb(unit(r), unit(g), unit(b));
}

/// A filled circle of four Bézier curves.
fn circle(out: &mut Content, (x, y): (f32, f32), r: f32) {
    // The handles that come nearest to a quarter of a circle.
    let k = 0.552_284_8 * r;
    out.move_to(x + r, y);
    out.cubic_to(x + r, y + k, x + k, y + r, x, y + r);
    out.cubic_to(x - k, y + r, x - r, y + k, x - r, y);
    out.cubic_to(x - r, y - k, x - k, y - r, x, y - r);
    out.cubic_to(x + k, y - r, x + r, y - k, x + r, y);
    out.fill_nonzero();
}

fn compressed(data: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(data).and_then(|()| encoder.finish());
    written.map_err(|e| Error::Chart(e.to_string()))
}
