//! The object of an image: outline, colour, pattern, and its exact mask.

use super::canvas::{Canvas, Hsv, Rgb, jitter, mix, rgb};
use super::factors::{Factor, Factors};
use rand::Rng;
use rand::seq::IndexedRandom;
use std::f32::consts::TAU;
use tiny_skia::{FillRule, Mask, Path, PathBuilder, Rect, Transform};

const COLOURS: [Hsv; 6] = [
    [0., 0.80, 0.80],
    [52., 0.80, 0.90],
    [128., 0.65, 0.62],
    [220., 0.72, 0.78],
    [285., 0.60, 0.68],
    [0., 0.00, 0.95],
];
const WHITE: u32 = 5;
const YELLOW: u32 = 1;

/// Draws the object of `factors` and returns the coverage of its outline.
pub(super) fn draw(
    canvas: &mut Canvas,
    factors: &Factors,
    size: usize,
    rng: &mut impl Rng,
) -> Mask {
    let radius = match factors.get(Factor::Size) {
        0 => rng.random_range(0.185..0.22),
        _ => rng.random_range(0.26f32..0.305),
    };
    let centre = |cell: u32, rng: &mut _| place(cell, radius, rng);
    let position = factors.get(Factor::Position);
    let (x, y) = (centre(position % 3, rng), centre(position / 3, rng));
    let turn = rng.random_range(-20f32..20.);
    let stretch = rng.random_range(0.92..1.08);
    let here = canvas.to_pixels().pre_translate(x, y).pre_rotate(turn);
    let transform = here.pre_scale(radius * stretch, radius / stretch);
    let shape = outline(factors.get(Factor::Shape));

    if rng.random_bool(0.4) {
        let shift = [0.03, -0.03].choose(rng).copied().unwrap_or(0.03);
        let shadow = transform.post_translate(shift * size as f32, 0.03 * size as f32);
        canvas.fill_in(shape.clone(), [0.; 3], 0.35, shadow, None);
    }
    let mut mask =
        Mask::new(size as u32, size as u32).expect("the size was checked to be above zero");
    if let Some(path) = &shape {
        mask.fill_path(path, FillRule::EvenOdd, true, transform);
    }
    let hue = factors.get(Factor::Colour);
    let colour = rgb(jitter(rng, COLOURS[hue as usize], [9., 0.1, 0.1]));
    canvas.fill_in(shape.clone(), colour, 1., transform, None);
    pattern(
        canvas,
        factors.get(Factor::Pattern),
        second(colour, hue, rng),
        here,
        &mask,
        rng,
    );
    if rng.random_bool(0.6) {
        let edge = mix(colour, [0.; 3], rng.random_range(0.4..0.8));
        canvas.stroke_in(
            shape,
            edge,
            rng.random_range(0.03..0.05) / radius,
            transform,
            Some(&mask),
        );
    }
    mask
}

/// Where in its row or column of cells the centre lies; at least nine tenths of the object stay inside.
fn place(cell: u32, radius: f32, rng: &mut impl Rng) -> f32 {
    let centre: f32 = [0.27, 0.5, 0.73][cell as usize];
    let margin = 0.95 * radius;
    (centre + rng.random_range(-0.05..0.05)).clamp(margin, 1. - margin)
}

/// The second colour of a pattern: the same, much darker or much paler.
fn second(colour: Rgb, hue: u32, rng: &mut impl Rng) -> Rgb {
    let paler = rng.random_bool(0.35) && hue != WHITE && hue != YELLOW;
    let towards = if paler { [1.; 3] } else { [0.; 3] };
    mix(colour, towards, rng.random_range(0.55..0.75))
}

/// The outline of `shape` in coordinates of its radius, with much the same area for every shape.
fn outline(shape: u32) -> Option<Path> {
    let mut path = PathBuilder::new();
    match shape {
        0 => path.push_circle(0., 0., 0.95),
        1 => {
            path.push_circle(0., 0., 1.08);
            path.push_circle(0., 0., 0.52);
        }
        2 => {
            path.move_to(0., 1.08);
            path.cubic_to(-1.75, -0.05, -0.95, -1.45, 0., -0.52);
            path.cubic_to(0.95, -1.45, 1.75, -0.05, 0., 1.08);
            path.close();
        }
        3 => polygon(&mut path, &[1.18], 4, TAU / 8.),
        4 => polygon(&mut path, &[1.28], 3, -TAU / 4.),
        _ => polygon(&mut path, &[1.25, 0.58], 10, -TAU / 4.),
    }
    path.finish()
}

/// `corners` points at even angles from `start`, at the `radii` in turn.
fn polygon(path: &mut PathBuilder, radii: &[f32], corners: usize, start: f32) {
    for corner in 0..corners {
        let (sin, cos) = (start + TAU * corner as f32 / corners as f32).sin_cos();
        let radius = radii[corner % radii.len()];
        match corner {
            0 => path.move_to(radius * cos, radius * sin),
            _ => path.line_to(radius * cos, radius * sin),
        }
    }
    path.close();
}

/// Draws `pattern` in `colour` over the object, in image units around its centre.
fn pattern(
    canvas: &mut Canvas,
    pattern: u32,
    colour: Rgb,
    here: Transform,
    object: &Mask,
    rng: &mut impl Rng,
) {
    let mut path = PathBuilder::new();
    // The reach covers the largest object, whatever its turn.
    let reach = 0.42;
    let phase = rng.random::<f32>();
    let turn = match pattern {
        1 => rng.random_range(0f32..180.),
        _ => rng.random_range(-25f32..25.),
    };
    match pattern {
        1 => {
            let period = rng.random_range(0.09..0.12);
            for i in -5..=5 {
                bar(
                    &mut path,
                    -reach,
                    (i as f32 + phase) * period,
                    2. * reach,
                    0.48 * period,
                );
            }
        }
        2 => {
            let period = rng.random_range(0.095..0.12);
            for (i, j) in grid(5) {
                path.push_circle((i + phase) * period, (j + phase) * period, 0.30 * period);
            }
        }
        3 => {
            let side = rng.random_range(0.065..0.085);
            for (i, j) in grid(7).filter(|(i, j)| (i + j) as i32 % 2 == 0) {
                bar(
                    &mut path,
                    (i + phase) * side,
                    (j + phase) * side,
                    side,
                    side,
                );
            }
        }
        _ => return,
    }
    canvas.fill_in(
        path.finish(),
        colour,
        1.,
        here.pre_rotate(turn),
        Some(object),
    );
}

fn bar(path: &mut PathBuilder, x: f32, y: f32, width: f32, height: f32) {
    if let Some(rect) = Rect::from_xywh(x, y, width, height) {
        path.push_rect(rect);
    }
}

fn grid(half: i32) -> impl Iterator<Item = (f32, f32)> {
    (-half..=half).flat_map(move |i| (-half..=half).map(move |j| (i as f32, j as f32)))
}

/// Up to three small things that are not the object: discs, bars and slivers in any colour.
pub(super) fn distractors(canvas: &mut Canvas, rng: &mut impl Rng) {
    for _ in 0..rng.random_range(0..4) {
        let hue = rng.random_range(0..COLOURS.len());
        let colour = rgb(jitter(rng, COLOURS[hue], [25., 0.2, 0.2]));
        let (x, y): (f32, f32) = (rng.random(), rng.random());
        let radius = rng.random_range(0.025..0.05);
        let turn = rng.random_range(0f32..360.);
        let mut path = PathBuilder::new();
        match rng.random_range(0..3) {
            0 => path.push_circle(0., 0., 1.),
            1 => bar(&mut path, -1.3, -0.4, 2.6, 0.8),
            _ => polygon(&mut path, &[1.2], 3, 0.),
        }
        let here = canvas
            .to_pixels()
            .pre_translate(x, y)
            .pre_rotate(turn)
            .pre_scale(radius, radius);
        canvas.fill_in(path.finish(), colour, 1., here, None);
    }
}
