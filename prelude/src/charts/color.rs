//! Colours that hold apart for colour-blind eyes and in print.

use super::scene::Rgb;

/// Series colours: Paul Tol's "bright" scheme.
const SERIES: [Rgb; 7] = [
    Rgb(0x44, 0x77, 0xaa),
    Rgb(0xee, 0x66, 0x77),
    Rgb(0x22, 0x88, 0x33),
    Rgb(0xcc, 0xbb, 0x44),
    Rgb(0xaa, 0x33, 0x77),
    Rgb(0x66, 0xcc, 0xee),
    Rgb(0xbb, 0xbb, 0xbb),
];

pub(super) const INK: Rgb = Rgb(0x22, 0x22, 0x22);
pub(super) const FAINT: Rgb = Rgb(0x66, 0x66, 0x66);
pub(super) const GRID: Rgb = Rgb(0xe2, 0xe2, 0xe2);
pub(super) const BAND: Rgb = Rgb(0xf5, 0xf6, 0xf8);
pub(super) const EMPHASIS: Rgb = Rgb(0xd9, 0x6a, 0x1e);

/// The colour of series `i`. After seven they come again darker, then lighter, then as they were.
pub(super) fn series(i: usize) -> Rgb {
    let own = SERIES[i % SERIES.len()];
    let mixed = |ground: f32, share: f32| {
        let mix = |c: u8| (f32::from(c) * (1.0 - share) + ground * share).round() as u8;
        Rgb(mix(own.0), mix(own.1), mix(own.2))
    };
    match (i / SERIES.len()) % 3 {
        0 => own,
        1 => mixed(0.0, 0.45),
        _ => mixed(255.0, 0.5),
    }
}

/// Dark ink on light ground, white on dark.
pub(super) fn ink_on(Rgb(r, g, b): Rgb) -> Rgb {
    let light = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
    if light > 140.0 {
        INK
    } else {
        Rgb(0xff, 0xff, 0xff)
    }
}

/// Whether series `i` has the colour of one before it.
pub(super) fn repeats(i: usize) -> bool {
    i >= SERIES.len()
}

/// matplotlib's "inferno" at ninths; equal steps look equal and it reads in grey.
const INFERNO: [[f32; 3]; 9] = [
    [0.0, 0.0, 4.0],
    [31.0, 12.0, 72.0],
    [85.0, 15.0, 109.0],
    [136.0, 34.0, 106.0],
    [186.0, 54.0, 85.0],
    [227.0, 89.0, 51.0],
    [249.0, 140.0, 10.0],
    [249.0, 201.0, 50.0],
    [252.0, 255.0, 164.0],
];

/// ColorBrewer's "RdBu" turned round: blue, white, red; told apart by colour-blind eyes.
const BLUE_RED: [[f32; 3]; 9] = [
    [33.0, 102.0, 172.0],
    [67.0, 147.0, 195.0],
    [146.0, 197.0, 222.0],
    [209.0, 229.0, 240.0],
    [247.0, 247.0, 247.0],
    [253.0, 219.0, 199.0],
    [244.0, 165.0, 130.0],
    [214.0, 96.0, 77.0],
    [178.0, 24.0, 43.0],
];

/// For what has no place on a scale.
pub(super) const NEUTRAL: Rgb = Rgb(0x99, 0x99, 0x99);

/// The colour of `v` in 0 to 1, dark to bright.
pub(super) fn heat(v: f32) -> Rgb {
    along(&INFERNO, v)
}

/// The colour of `v` in -1 to 1: blue below zero, white at it, red above.
pub(super) fn signed(v: f32) -> Rgb {
    along(&BLUE_RED, (v + 1.0) / 2.0)
}

fn along(colors: &[[f32; 3]; 9], v: f32) -> Rgb {
    let place = v.clamp(0.0, 1.0) * (colors.len() - 1) as f32;
    let low = (place as usize).min(colors.len() - 2);
    let part = place - low as f32;
    let mix = |c: usize| (colors[low][c] * (1.0 - part) + colors[low + 1][c] * part).round() as u8;
    Rgb(mix(0), mix(1), mix(2))
}
