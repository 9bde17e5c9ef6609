//! A scene on plotters' two backends.

use std::io::Cursor;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::{ImageFormat, RgbImage, imageops};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::font;
use super::hover::escape;
use super::scene::{Anchor, Rgb, Scene, Shape};
use crate::{Error, Result};

/// Pixels of a bitmap for one of the scene: sharp on a dense screen.
const DENSITY: f64 = 2.0;
/// plotters writes an SVG font size as its own over this.
const SVG_FONT: f64 = 1.24;
/// Where plotters puts the baseline below an SVG text's top, in em.
const SVG_BASELINE: f64 = 0.76;

fn failed(e: impl std::fmt::Display) -> Error {
    Error::Chart(e.to_string())
}

fn color(Rgb(r, g, b): Rgb) -> RGBColor {
    RGBColor(r, g, b)
}

fn at(x: f64, y: f64) -> (i32, i32) {
    ((x * DENSITY).round() as i32, (y * DENSITY).round() as i32)
}

impl Scene {
    fn pixels(&self) -> (u32, u32) {
        let (w, h) = at(self.width, self.height);
        (w.max(1) as u32, h.max(1) as u32)
    }

    /// The scene as SVG, of its nominal size, drawn on the bitmap's grid.
    pub(super) fn svg(&self) -> Result<String> {
        let (w, h) = self.pixels();
        let mut out = String::new();
        {
            let root = SVGBackend::with_string(&mut out, (w, h)).into_drawing_area();
            self.paint(&root)?;
            for shape in &self.shapes {
                svg_text(&root, shape)?;
            }
            root.present().map_err(failed)?;
        }
        let nominal = format!(
            r#"<svg role="img" aria-label="{}" width="{}" height="{}""#,
            escape(&self.title()),
            self.width,
            self.height
        );
        out = out.replacen(&format!(r#"<svg width="{w}" height="{h}""#), &nominal, 1);
        // What plotters has no element for lies above what it has drawn.
        let end = out
            .rfind("</svg>")
            .ok_or_else(|| failed("the SVG was not finished"))?;
        out.truncate(end);
        for shape in &self.shapes {
            if let Shape::Image {
                x,
                y,
                width,
                height,
                image,
            } = shape
            {
                let (x, y) = at(*x, *y);
                let (w, h) = at(*width, *height);
                let data = BASE64_STANDARD.encode(encode(image)?);
                out += &format!(
                    "<image x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" href=\"data:image/png;base64,{data}\"/>\n"
                );
            }
        }
        out += &self.svg_hovers(DENSITY);
        out += "</svg>\n";
        Ok(out)
    }

    /// The scene as PNG, twice its nominal size.
    pub(super) fn png(&self) -> Result<Vec<u8>> {
        encode(&self.bitmap()?)
    }

    fn bitmap(&self) -> Result<RgbImage> {
        let (w, h) = self.pixels();
        let mut canvas = RgbImage::new(w, h);
        {
            let root = BitMapBackend::with_buffer(&mut canvas, (w, h)).into_drawing_area();
            self.paint(&root)?;
            root.present().map_err(failed)?;
        }
        for shape in &self.shapes {
            match shape {
                Shape::Image {
                    x,
                    y,
                    width,
                    height,
                    image,
                } => {
                    let (w, h) = at(*width, *height);
                    let filter = imageops::FilterType::CatmullRom;
                    let sized = imageops::resize(image, w.max(1) as u32, h.max(1) as u32, filter);
                    let (x, y) = at(*x, *y);
                    imageops::replace(&mut canvas, &sized, x.into(), y.into());
                }
                shape => bitmap_text(&mut canvas, shape)?,
            }
        }
        Ok(canvas)
    }

    /// Everything but texts and images.
    fn paint<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>) -> Result<()> {
        root.fill(&WHITE).map_err(failed)?;
        for shape in &self.shapes {
            match shape {
                Shape::Rect {
                    x,
                    y,
                    width,
                    height,
                    color: c,
                } => {
                    let corners = [at(*x, *y), at(x + width, y + height)];
                    root.draw(&Rectangle::new(corners, color(*c).filled()))
                        .map_err(failed)?;
                }
                Shape::Line {
                    points,
                    color: c,
                    stroke,
                } => {
                    let points: Vec<_> = points.iter().map(|&(x, y)| at(x, y)).collect();
                    let style = color(*c).stroke_width((stroke * DENSITY).round() as u32);
                    root.draw(&PathElement::new(points, style))
                        .map_err(failed)?;
                }
                Shape::Dot {
                    x,
                    y,
                    radius,
                    color: c,
                } => {
                    let radius = (radius * DENSITY).round() as i32;
                    root.draw(&Circle::new(at(*x, *y), radius, color(*c).filled()))
                        .map_err(failed)?;
                }
                Shape::Text { .. } | Shape::Image { .. } => {}
            }
        }
        Ok(())
    }
}

fn svg_text<B: DrawingBackend>(root: &DrawingArea<B, Shift>, shape: &Shape) -> Result<()> {
    let Shape::Text {
        x,
        y,
        text,
        size,
        bold,
        color: c,
        anchor,
        upwards,
    } = shape
    else {
        return Ok(());
    };
    let style = match bold {
        true => FontStyle::Bold,
        false => FontStyle::Normal,
    };
    let mut font = FontDesc::new(
        FontFamily::from(font::FAMILY),
        size * DENSITY * SVG_FONT,
        style,
    );
    // The text starts its drop below the point given; a turned one drops to the right.
    let drop = size * SVG_BASELINE;
    let place = match upwards {
        true => at(x - drop, *y),
        false => at(*x, y - drop),
    };
    if *upwards {
        font = font.transform(FontTransform::Rotate270);
    }
    let h = match anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    let ink = color(*c);
    let style = TextStyle::from(font)
        .color(&ink)
        .pos(Pos::new(h, VPos::Top));
    root.draw_text(text, &style, place).map_err(failed)
}

fn bitmap_text(canvas: &mut RgbImage, shape: &Shape) -> Result<()> {
    let Shape::Text {
        x,
        y,
        text,
        size,
        bold,
        color: Rgb(r, g, b),
        anchor,
        upwards,
    } = shape
    else {
        return Ok(());
    };
    let em = size * DENSITY;
    let width = font::width(text, em, *bold);
    let back = match anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => width / 2.0,
        Anchor::End => width,
    };
    let (x, y) = (x * DENSITY, y * DENSITY);
    let ink = [*r, *g, *b];
    let mut blend = |px: i32, py: i32, coverage: f32| {
        let (Ok(px), Ok(py)) = (u32::try_from(px), u32::try_from(py)) else {
            return;
        };
        if let Some(pixel) = canvas.get_pixel_mut_checked(px, py) {
            for (p, ink) in pixel.0.iter_mut().zip(ink) {
                *p = (f32::from(*p) * (1.0 - coverage) + f32::from(ink) * coverage).round() as u8;
            }
        }
    };
    if *upwards {
        let (x, y) = (x.round() as i32, (y + back).round() as i32);
        font::draw(text, em, *bold, (0.0, 0.0), |dx, dy, c| {
            blend(x + dy, y - dx, c)
        })
    } else {
        font::draw(text, em, *bold, (x - back, y.round()), blend)
    }
}

pub(super) fn encode(image: &RgbImage) -> Result<Vec<u8>> {
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, ImageFormat::Png).map_err(failed)?;
    Ok(out.into_inner())
}
