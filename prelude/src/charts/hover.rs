//! What a pointer finds in a picture: areas that show their names and values.
//!
//! It is done by SVG alone: each area is an invisible shape above the drawing, with a `<title>`, which browsers show as
//! a tooltip, and a CSS rule that outlines the area under the pointer. Neither needs a script, so that it works in a
//! notebook, in a saved page and in an SVG file opened in a browser. PNG and PDF leave the areas out.
//!
//! A front end that takes a picture as `image/svg+xml` may put it into an `<img>`, where nothing answers the pointer
//! (JupyterLab does). A chart therefore shows itself as `text/html` too, with the SVG as part of the page and the PNG
//! behind it. A rule that stands inside the SVG shows the one and hides the other. Where HTML is cleaned of SVG (in
//! JupyterLab that of a notebook which is not trusted) the rule goes with it: the PNG is seen, and what is left of the
//! SVG, its texts, stays hidden.

use std::fmt::Write;

use super::scene::Scene;

/// A part of a picture that answers the pointer; lengths in pixels, y downwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Hover {
    pub area: Area,
    /// One line, such as `block 11 head 3: 0.62`.
    pub title: String,
}

/// Where the pointer must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Area {
    Rect {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
    },
    Circle {
        x: f64,
        y: f64,
        radius: f64,
    },
}

/// Rules for the areas, and for the picture in a page.
const STYLE: &str = "<style>\
    .vitrepl-hover>*:hover{fill-opacity:.13;stroke:#111;stroke-width:2}\
    .vitrepl-chart>div{display:block}\
    .vitrepl-chart>img{display:none}\
    .vitrepl-chart svg{max-width:100%;height:auto}\
    </style>\n";

impl Scene {
    /// Gives the rectangle at `(x, y)` a title, that the pointer shows.
    pub(super) fn hover(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        title: impl AsRef<str>,
    ) {
        self.hovers.push(Hover {
            area: Area::Rect {
                x,
                y,
                width,
                height,
            },
            title: printable(title.as_ref()),
        });
    }

    /// Gives the circle around `(x, y)` a title, that the pointer shows.
    pub(super) fn hover_circle(&mut self, (x, y): (f64, f64), radius: f64, title: impl AsRef<str>) {
        self.hovers.push(Hover {
            area: Area::Circle { x, y, radius },
            title: printable(title.as_ref()),
        });
    }

    /// The areas as SVG, in the picture's units, of which `density` are a pixel.
    pub(super) fn svg_hovers(&self, density: f64) -> String {
        let mut out = STYLE.to_owned();
        if self.hovers.is_empty() {
            return out;
        }
        out += "<g class=\"vitrepl-hover\" fill=\"#000\" fill-opacity=\"0\">\n";
        let unit = |v: f64| (v * density * 10.0).round() / 10.0;
        for Hover { area, title } in &self.hovers {
            let title = escape(title);
            // Writing to a string cannot fail.
            let _ = match *area {
                Area::Rect {
                    x,
                    y,
                    width,
                    height,
                } => writeln!(
                    out,
                    "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{title}</title></rect>",
                    unit(x),
                    unit(y),
                    unit(width),
                    unit(height)
                ),
                Area::Circle { x, y, radius } => writeln!(
                    out,
                    "<circle cx=\"{}\" cy=\"{}\" r=\"{}\"><title>{title}</title></circle>",
                    unit(x),
                    unit(y),
                    unit(radius)
                ),
            };
        }
        out + "</g>\n"
    }
}

/// A picture as part of a page: the SVG, and the PNG (in base64) for where the SVG is taken out, both `width` pixels wide.
/// `alt` says in a line what they show. `hidden` has a value, without which JupyterLab's cleaner of HTML takes it out.
pub(super) fn html(svg: &str, png: &str, alt: &str, width: f64) -> String {
    let alt = escape(&printable(alt));
    let svg = svg.trim_end();
    format!(
        "<div class=\"vitrepl-chart\"><div hidden=\"hidden\">{svg}</div>\
         <img alt=\"{alt}\" width=\"{width:.0}\" src=\"data:image/png;base64,{png}\"></div>"
    )
}

/// Text as XML and HTML take it, in an attribute too.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Text in one line, without the characters that XML has no way to write.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().map(shown).collect()
}
