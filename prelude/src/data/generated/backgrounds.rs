//! The textured places. Each has a texture of its own and four palettes, which overlap between
//! places, so that a place is told by texture and colour together.

use super::canvas::{Canvas, Hsv, Rgb, jitter, mix, rgb};
use super::noise::cloud;
use rand::Rng;
use rand::seq::IndexedRandom;
use tiny_skia::PathBuilder;

/// A base and an accent.
type Palette = [Hsv; 2];

const SEA: [Palette; 4] = [
    [[205., 0.65, 0.55], [213., 0.45, 0.78]],
    [[178., 0.55, 0.50], [170., 0.35, 0.75]],
    [[210., 0.20, 0.48], [205., 0.14, 0.70]],
    [[255., 0.35, 0.48], [265., 0.25, 0.66]],
];
const DESERT: [Palette; 4] = [
    [[42., 0.45, 0.85], [38., 0.52, 0.68]],
    [[28., 0.50, 0.80], [24., 0.55, 0.62]],
    [[10., 0.40, 0.70], [8., 0.45, 0.52]],
    [[45., 0.14, 0.75], [40., 0.20, 0.58]],
];
const SNOW: [Palette; 4] = [
    [[210., 0.06, 0.96], [212., 0.18, 0.80]],
    [[0., 0.00, 0.92], [220., 0.06, 0.76]],
    [[330., 0.07, 0.94], [300., 0.12, 0.78]],
    [[190., 0.15, 0.92], [200., 0.25, 0.74]],
];
const FOREST: [Palette; 4] = [
    [[125., 0.60, 0.22], [110., 0.55, 0.45]],
    [[165., 0.50, 0.22], [150., 0.40, 0.42]],
    [[28., 0.65, 0.30], [38., 0.70, 0.60]],
    [[85., 0.50, 0.26], [75., 0.50, 0.50]],
];
const MEADOW: [Palette; 4] = [
    [[100., 0.50, 0.62], [105., 0.60, 0.40]],
    [[68., 0.55, 0.70], [75., 0.60, 0.48]],
    [[50., 0.50, 0.75], [55., 0.50, 0.52]],
    [[140., 0.40, 0.60], [145., 0.50, 0.40]],
];
const CITY: [Palette; 4] = [
    [[8., 0.50, 0.60], [5., 0.45, 0.40]],
    [[0., 0.00, 0.62], [0., 0.00, 0.42]],
    [[35., 0.30, 0.72], [30., 0.30, 0.50]],
    [[215., 0.22, 0.55], [215., 0.25, 0.38]],
];

/// Covers the canvas with the place of index `location`.
pub(super) fn draw(canvas: &mut Canvas, location: u32, rng: &mut impl Rng) {
    let (palettes, texture): (_, fn(&mut Canvas, [Rgb; 2], &mut _)) = match location {
        0 => (SEA, sea),
        1 => (DESERT, desert),
        2 => (SNOW, snow),
        3 => (FOREST, forest),
        4 => (MEADOW, meadow),
        _ => (CITY, city),
    };
    let palette = palettes.choose(rng).unwrap_or(&palettes[0]);
    let colours = palette.map(|hsv| rgb(jitter(rng, hsv, [10., 0.08, 0.08])));
    texture(canvas, colours, rng);
}

/// Clouds of the two colours; `across` and `down` count the cells.
fn ground(canvas: &mut Canvas, [a, b]: [Rgb; 2], across: f32, down: f32, rng: &mut impl Rng) {
    let seed = rng.random();
    canvas.shade(|x, y| mix(a, b, cloud(x * across, y * down, seed)));
}

/// A wavy line through the whole image.
struct Wave {
    start: f32,
    /// Down for each step right.
    slope: f32,
    height: f32,
    length: f32,
    width: f32,
    colour: Rgb,
}

impl Wave {
    fn draw(&self, canvas: &mut Canvas, rng: &mut impl Rng) {
        let half = self.length / 2.;
        let mut path = PathBuilder::new();
        let mut x = -rng.random_range(0f32..self.length);
        let mut y = self.start + self.slope * x;
        path.move_to(x, y);
        let mut height = self.height;
        while x < 1. {
            let drop = self.slope * half;
            path.quad_to(x + half / 2., y + drop / 2. + height, x + half, y + drop);
            (x, y, height) = (x + half, y + drop, -height);
        }
        canvas.stroke_in(
            path.finish(),
            self.colour,
            self.width,
            canvas.to_pixels(),
            None,
        );
    }
}

/// Short horizontal waves and flecks of foam.
fn sea(canvas: &mut Canvas, colours: [Rgb; 2], rng: &mut impl Rng) {
    ground(
        canvas,
        [colours[0], mix(colours[0], colours[1], 0.5)],
        2.,
        6.,
        rng,
    );
    let rows = rng.random_range(6..10);
    let length = rng.random_range(0.18..0.32);
    for row in 0..rows {
        let wave = Wave {
            start: (row as f32 + rng.random_range(0.2..0.8)) / rows as f32,
            slope: 0.,
            height: rng.random_range(0.02..0.05),
            length,
            width: rng.random_range(0.012..0.028),
            colour: mix(colours[0], colours[1], rng.random_range(0.6..1.3)),
        };
        wave.draw(canvas, rng);
    }
    for _ in 0..rng.random_range(3..8) {
        let (x, y) = (rng.random::<f32>(), rng.random::<f32>());
        let half = rng.random_range(0.01..0.04);
        canvas.line(
            (x - half, y),
            (x + half, y),
            0.016,
            mix(colours[1], [1.; 3], 0.6),
        );
    }
}

/// Long smooth slanting dunes and a few pebbles.
fn desert(canvas: &mut Canvas, colours: [Rgb; 2], rng: &mut impl Rng) {
    ground(
        canvas,
        [colours[0], mix(colours[0], colours[1], 0.7)],
        1.5,
        2.5,
        rng,
    );
    let slope = rng.random_range(0.25..0.6) * if rng.random() { 1. } else { -1. };
    let dunes = rng.random_range(5..9);
    for dune in 0..dunes {
        let wave = Wave {
            start: -0.6 + 2.2 * (dune as f32 + rng.random_range(0.2..0.8)) / dunes as f32,
            slope,
            height: rng.random_range(0.03..0.07),
            length: 1.1,
            width: rng.random_range(0.01..0.03),
            colour: mix(colours[0], colours[1], rng.random_range(0.7..1.2)),
        };
        wave.draw(canvas, rng);
    }
    for _ in 0..rng.random_range(2..7) {
        let (x, y, r) = (rng.random(), rng.random(), rng.random_range(0.008..0.02));
        canvas.disc(x, y, r, mix(colours[1], [0.; 3], 0.35));
    }
}

/// Soft drifts under falling flakes.
fn snow(canvas: &mut Canvas, colours: [Rgb; 2], rng: &mut impl Rng) {
    ground(canvas, colours, 2., 3., rng);
    for _ in 0..rng.random_range(18..34) {
        let (x, y, r) = (rng.random(), rng.random(), rng.random_range(0.008..0.022));
        canvas.disc(x, y, r, mix(colours[0], [1.; 3], 0.8));
    }
}

/// Trunks and clumps of leaves.
fn forest(canvas: &mut Canvas, colours: [Rgb; 2], rng: &mut impl Rng) {
    ground(
        canvas,
        [colours[0], mix(colours[0], colours[1], 0.4)],
        5.,
        5.,
        rng,
    );
    for _ in 0..rng.random_range(3..6) {
        let x = rng.random::<f32>();
        let lean = rng.random_range(-0.06..0.06);
        let bark = rgb(jitter(rng, [25., 0.4, 0.25], [10., 0.2, 0.1]));
        canvas.line((x, 0.), (x + lean, 1.), rng.random_range(0.03..0.07), bark);
    }
    for _ in 0..rng.random_range(24..40) {
        let (x, y, r) = (rng.random(), rng.random(), rng.random_range(0.025..0.065));
        canvas.disc(
            x,
            y,
            r,
            mix(colours[0], colours[1], rng.random_range(0.2..1.2)),
        );
    }
}

/// Upright blades of grass and small flowers.
fn meadow(canvas: &mut Canvas, colours: [Rgb; 2], rng: &mut impl Rng) {
    ground(
        canvas,
        [colours[0], mix(colours[0], colours[1], 0.5)],
        4.,
        3.,
        rng,
    );
    for _ in 0..rng.random_range(45..70) {
        let (x, y) = (rng.random::<f32>(), rng.random_range(0f32..1.1));
        let (lean, height) = (rng.random_range(-0.03..0.03), rng.random_range(0.05..0.12));
        let colour = mix(colours[0], colours[1], rng.random_range(-0.4..1.3));
        canvas.line((x, y), (x + lean, y - height), 0.014, colour);
    }
    let petals: [Hsv; 4] = [
        [50., 0.7, 0.95],
        [0., 0., 0.95],
        [350., 0.6, 0.9],
        [280., 0.4, 0.85],
    ];
    let petal = rgb(*petals.choose(rng).unwrap_or(&petals[0]));
    for _ in 0..rng.random_range(4..10) {
        canvas.disc(
            rng.random(),
            rng.random(),
            rng.random_range(0.01..0.02),
            petal,
        );
    }
}

/// Walls of staggered bricks, or of windows in rows.
fn city(canvas: &mut Canvas, colours: [Rgb; 2], rng: &mut impl Rng) {
    ground(
        canvas,
        [colours[0], mix(colours[0], colours[1], 0.3)],
        6.,
        6.,
        rng,
    );
    let rows = rng.random_range(5..9);
    let height = 1. / rows as f32;
    let width = height * rng.random_range(1.3..2.1);
    let bricks = rng.random_bool(0.6);
    let (shift_x, shift_y) = (rng.random_range(0.0..width), rng.random_range(0.0..height));
    for row in 0..=rows {
        let y = row as f32 * height - shift_y;
        let stagger = if bricks && row % 2 == 1 {
            width / 2.
        } else {
            0.
        };
        if bricks {
            canvas.line((0., y), (1., y), 0.016, colours[1]);
        }
        let mut x = stagger - shift_x;
        while x < 1. {
            if bricks {
                canvas.line((x, y), (x, y + height), 0.016, colours[1]);
            } else {
                let lit = rng.random_range(0.6..1.5);
                let window =
                    tiny_skia::Rect::from_xywh(x, y + 0.2 * height, 0.6 * width, 0.6 * height);
                canvas.fill(
                    window.map(PathBuilder::from_rect),
                    mix(colours[0], colours[1], lit),
                    1.,
                );
            }
            x += width;
        }
    }
}
