//! What a chart consists of once it is laid out: shapes in pixels, before any backend.

use image::RgbImage;

use super::font;
use super::hover::{Hover, printable};

/// The em of a chart's title.
pub(super) const TITLE: f64 = 18.0;

/// A colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

/// Which point of a text its position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing to draw; lengths in pixels, y downwards.
#[derive(Debug, Clone)]
pub enum Shape {
    Rect {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        color: Rgb,
    },
    Line {
        points: Vec<(f64, f64)>,
        color: Rgb,
        stroke: f64,
    },
    Dot {
        x: f64,
        y: f64,
        radius: f64,
        color: Rgb,
    },
    /// `y` is the baseline; `size` the em. `upwards` turns it a quarter to the left.
    Text {
        x: f64,
        y: f64,
        text: String,
        size: f64,
        bold: bool,
        color: Rgb,
        anchor: Anchor,
        upwards: bool,
    },
    /// Drawn above everything else.
    Image {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        image: RgbImage,
    },
}

/// A laid-out chart on a white ground.
#[derive(Debug, Clone)]
pub struct Scene {
    pub width: f64,
    pub height: f64,
    pub shapes: Vec<Shape>,
    /// Areas that answer the pointer, in SVG; later ones lie above earlier ones.
    pub hovers: Vec<Hover>,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type {
    pub size: f64,
    pub bold: bool,
    pub color: Rgb,
}

pub(super) const fn plain(size: f64, color: Rgb) -> Type {
    Type {
        size,
        bold: false,
        color,
    }
}

pub(super) const fn bold(size: f64, color: Rgb) -> Type {
    Type {
        size,
        bold: true,
        color,
    }
}

impl Scene {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            shapes: Vec::new(),
            hovers: Vec::new(),
        }
    }

    pub(super) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), color: Rgb) {
        self.shapes.push(Shape::Rect {
            x,
            y,
            width,
            height,
            color,
        });
    }

    pub(super) fn line(&mut self, points: Vec<(f64, f64)>, color: Rgb, stroke: f64) {
        self.shapes.push(Shape::Line {
            points,
            color,
            stroke,
        });
    }

    pub(super) fn text(&mut self, text: &str, (x, y): (f64, f64), anchor: Anchor, how: Type) {
        self.shapes.push(Shape::Text {
            x,
            y,
            text: printable(text),
            size: how.size,
            bold: how.bold,
            color: how.color,
            anchor,
            upwards: false,
        });
    }

    /// The chart's title in the upper left, in two lines where one does not hold it; how far it reaches beyond one line.
    pub(super) fn heading(&mut self, title: &str, edge: f64) -> f64 {
        const LINE: f64 = 24.0;
        let mut below = 0.0;
        for (i, line) in font::wrap(title, TITLE, true, self.width - 2.0 * edge, 2)
            .iter()
            .enumerate()
        {
            below = LINE * i as f64;
            let how = bold(TITLE, super::color::INK);
            self.text(line, (edge, 34.0 + below), Anchor::Start, how);
        }
        below
    }

    /// A text that reads upwards, centred on (x, y).
    pub(super) fn upwards(&mut self, text: &str, (x, y): (f64, f64), how: Type) {
        self.shapes.push(Shape::Text {
            x,
            y,
            text: printable(text),
            size: how.size,
            bold: how.bold,
            color: how.color,
            anchor: Anchor::Middle,
            upwards: true,
        });
    }

    /// The chart's title, whose lines are the first texts of the size of titles.
    pub(super) fn title(&self) -> String {
        let lines = self.shapes.iter().filter_map(|shape| match shape {
            Shape::Text {
                text,
                bold: true,
                size,
                ..
            } if *size >= TITLE => Some(text.as_str()),
            _ => None,
        });
        match lines.collect::<Vec<_>>().join(" ") {
            title if title.is_empty() => "chart".to_owned(),
            title => title,
        }
    }

    /// Whether every text lies wholly on the canvas.
    pub fn nothing_cut_off(&self) -> bool {
        self.shapes.iter().all(|shape| match shape {
            Shape::Text {
                x,
                y,
                text,
                size,
                bold,
                anchor,
                upwards,
                ..
            } => {
                let width = font::width(text, *size, *bold);
                let first = match anchor {
                    Anchor::Start => 0.0,
                    Anchor::Middle => -width / 2.0,
                    Anchor::End => -width,
                };
                // Ascent and descent of most letters.
                let (over, under) = (0.76 * size, 0.24 * size);
                let (x0, x1, y0, y1) = match upwards {
                    false => (x + first, x + first + width, y - over, y + under),
                    true => (x - over, x + under, y - width - first, y - first),
                };
                x0 >= -0.5 && y0 >= -0.5 && x1 <= self.width + 0.5 && y1 <= self.height + 0.5
            }
            _ => true,
        })
    }
}
