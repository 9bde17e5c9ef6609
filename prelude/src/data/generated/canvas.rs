//! Drawing in unit coordinates (the image is the unit square, y downwards) at any resolution.

use rand::Rng;
use tiny_skia::{
    Color, FillRule, LineCap, Mask, Paint, Path, PathBuilder, Pixmap, Stroke, Transform,
};

/// Red, green and blue in [0, 1].
pub(super) type Rgb = [f32; 3];

/// Hue in degrees, saturation and value in [0, 1].
pub(super) type Hsv = [f32; 3];

/// A square picture being drawn.
pub(super) struct Canvas {
    pixmap: Pixmap,
    size: usize,
}

impl Canvas {
    pub(super) fn new(size: usize) -> Self {
        let pixmap =
            Pixmap::new(size as u32, size as u32).expect("the size was checked to be above zero");
        Self { pixmap, size }
    }

    /// From unit coordinates to pixels.
    pub(super) fn to_pixels(&self) -> Transform {
        Transform::from_scale(self.size as f32, self.size as f32)
    }

    /// Sets every pixel from its centre's coordinates.
    pub(super) fn shade(&mut self, colour: impl Fn(f32, f32) -> Rgb) {
        let step = 1. / self.size as f32;
        for (i, pixel) in self.pixmap.pixels_mut().iter_mut().enumerate() {
            let (x, y) = ((i % self.size) as f32 + 0.5, (i / self.size) as f32 + 0.5);
            *pixel = opaque(colour(x * step, y * step))
                .premultiply()
                .to_color_u8();
        }
    }

    /// Fills `path`, in unit coordinates.
    pub(super) fn fill(&mut self, path: Option<Path>, colour: Rgb, alpha: f32) {
        self.fill_in(path, colour, alpha, self.to_pixels(), None);
    }

    /// Fills `path` under `transform`, inside `clip`.
    pub(super) fn fill_in(
        &mut self,
        path: Option<Path>,
        colour: Rgb,
        alpha: f32,
        transform: Transform,
        clip: Option<&Mask>,
    ) {
        if let Some(path) = path {
            self.pixmap.fill_path(
                &path,
                &paint(colour, alpha),
                FillRule::EvenOdd,
                transform,
                clip,
            );
        }
    }

    /// Strokes `path` under `transform`, inside `clip`; `width` is in the path's coordinates.
    pub(super) fn stroke_in(
        &mut self,
        path: Option<Path>,
        colour: Rgb,
        width: f32,
        transform: Transform,
        clip: Option<&Mask>,
    ) {
        if let Some(path) = path {
            let stroke = Stroke {
                width,
                line_cap: LineCap::Butt,
                ..Stroke::default()
            };
            self.pixmap
                .stroke_path(&path, &paint(colour, 1.), &stroke, transform, clip);
        }
    }

    /// A straight stroke in unit coordinates.
    pub(super) fn line(&mut self, from: (f32, f32), to: (f32, f32), width: f32, colour: Rgb) {
        let mut path = PathBuilder::new();
        path.move_to(from.0, from.1);
        path.line_to(to.0, to.1);
        self.stroke_in(path.finish(), colour, width, self.to_pixels(), None);
    }

    /// A disc in unit coordinates.
    pub(super) fn disc(&mut self, x: f32, y: f32, radius: f32, colour: Rgb) {
        self.fill(PathBuilder::from_circle(x, y, radius), colour, 1.);
    }

    /// RGB bytes, row by row.
    pub(super) fn rgb(&self) -> Vec<u8> {
        self.pixmap
            .pixels()
            .iter()
            .flat_map(|p| [p.red(), p.green(), p.blue()])
            .collect()
    }
}

fn opaque([r, g, b]: Rgb) -> Color {
    let unit = |v: f32| v.clamp(0., 1.);
    Color::from_rgba(unit(r), unit(g), unit(b), 1.).unwrap_or(Color::BLACK)
}

fn paint(colour: Rgb, alpha: f32) -> Paint<'static> {
    let mut colour = opaque(colour);
    colour.set_alpha(alpha);
    let mut paint = Paint {
        anti_alias: true,
        ..Paint::default()
    };
    paint.set_color(colour);
    paint
}

/// The usual hexcone.
pub(super) fn rgb([hue, saturation, value]: Hsv) -> Rgb {
    let channel = |n: f32| {
        let k = (n + hue / 60.).rem_euclid(6.);
        value - value * saturation * k.min(4. - k).clamp(0., 1.)
    };
    [channel(5.), channel(3.), channel(1.)]
}

/// `base` moved by up to the given amounts.
pub(super) fn jitter(rng: &mut impl Rng, base: Hsv, by: Hsv) -> Hsv {
    let mut moved = [0, 1, 2].map(|i| base[i] + by[i] * rng.random_range(-1f32..1.));
    moved[1] = moved[1].clamp(0., 1.);
    moved[2] = moved[2].clamp(0., 1.);
    moved
}

/// `a` at 0, `b` at 1.
pub(super) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * t)
}
