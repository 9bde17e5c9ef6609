//! A displayed value in the two forms that a terminal has for it: a picture as PNG, and text. Other crates give SVG, JPEG or
//! HTML alone.

use super::value::Value;
use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;
use resvg::{tiny_skia, usvg};
use std::io::Cursor;

/// Kinds of pictures, in base64, of which PNG is made.
const PICTURES: [&str; 2] = ["image/jpeg", "image/webp"];

/// Characters of a line of HTML that is shown as text.
const LINE: usize = 100;

/// The value's picture as PNG, if it has one.
pub fn picture(value: &Value) -> Result<Option<Vec<u8>>> {
    if let Some(png) = value.get("image/png") {
        return decode(png).map(Some);
    }
    for kind in PICTURES {
        if let Some(data) = value.get(kind) {
            let picture = image::load_from_memory(&decode(data)?)
                .with_context(|| format!("a picture that cannot be read as {kind}"))?;
            let mut png = Cursor::new(Vec::new());
            picture.write_to(&mut png, ImageFormat::Png)?;
            return Ok(Some(png.into_inner()));
        }
    }
    let svg = value.get("image/svg+xml");
    let svg = svg.or_else(|| svg_in(value.get("text/html")?));
    svg.map(draw).transpose()
}

/// The SVG that HTML holds: plotters' figures for evcxr come so.
fn svg_in(html: &str) -> Option<&str> {
    let svg = &html[html.find("<svg")?..];
    Some(&svg[..svg.rfind("</svg>")? + "</svg>".len()])
}

/// The value's text, if it has any. HTML around a picture is none.
pub fn text(value: &Value) -> Option<String> {
    let plain = value
        .get("text/plain")
        .or_else(|| value.get("text/markdown"));
    if let Some(text) = plain {
        return Some(text.to_owned());
    }
    let html = value
        .get("text/html")
        .filter(|html| svg_in(html).is_none())?;
    // What is no HTML is shown as it is.
    let text = html2text::from_read(html.as_bytes(), LINE);
    Some(text.unwrap_or_else(|_| html.to_owned()))
}

fn decode(base64: &str) -> Result<Vec<u8>> {
    let text: String = base64.split_whitespace().collect();
    STANDARD
        .decode(text)
        .context("a picture that is no valid base64")
}

/// An SVG as PNG, one pixel for each of its units.
fn draw(svg: &str) -> Result<Vec<u8>> {
    let mut options = usvg::Options::default();
    options.fontdb_mut().load_system_fonts();
    let tree = usvg::Tree::from_str(svg, &options).context("a picture that is no valid SVG")?;
    let size = tree.size().to_int_size();
    let mut pixels = tiny_skia::Pixmap::new(size.width(), size.height())
        .ok_or_else(|| anyhow!("an SVG of no size"))?;
    resvg::render(
        &tree,
        tiny_skia::Transform::identity(),
        &mut pixels.as_mut(),
    );
    pixels.encode_png().context("cannot draw an SVG")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: &str, data: &str) -> Value {
        Value::new(vec![(kind.to_owned(), data.to_owned())])
    }

    fn png_of(svg: &str) -> Vec<u8> {
        picture(&value("image/svg+xml", svg)).unwrap().unwrap()
    }

    #[test]
    fn svg_and_jpeg_are_pictures() {
        let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20" fill="red"/></svg>"#;
        let png = png_of(svg);
        let drawn = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(drawn.dimensions(), (40, 20));
        assert_eq!(drawn.get_pixel(20, 10).0, [255, 0, 0]);
        let mut jpeg = Cursor::new(Vec::new());
        drawn.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
        let jpeg = STANDARD.encode(jpeg.into_inner());
        let png = picture(&value("image/jpeg", &jpeg)).unwrap().unwrap();
        assert_eq!(image::load_from_memory(&png).unwrap().width(), 40);
        let html = value("text/html", &format!("<div>\n{svg}\n</div>"));
        assert_eq!(
            picture(&html).unwrap().map(|png| png.len()),
            Some(png_of(svg).len())
        );
        assert_eq!(text(&html), None);
        assert!(picture(&value("image/svg+xml", "no SVG")).is_err());
        assert!(picture(&value("text/plain", "a")).unwrap().is_none());
    }

    #[test]
    fn html_is_told_as_text_where_there_is_no_other() {
        let html = value(
            "text/html",
            "<table><tr><td>one</td><td>two</td></tr></table>",
        );
        let told = text(&html).unwrap();
        assert!(
            told.contains("one") && told.contains("two") && !told.contains('<'),
            "{told}"
        );
        let both = Value::new(vec![
            ("text/html".to_owned(), "<b>x</b>".to_owned()),
            ("text/plain".to_owned(), "x".to_owned()),
        ]);
        assert_eq!(text(&both).unwrap(), "x");
    }
}
