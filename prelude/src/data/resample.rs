//! Resampling as Pillow does it (`Resample.c`, and `Geometry.c` for nearest): columns first, then rows, with
//! fixed-point weights and 8 bits in between, so that every value is the one Pillow gives.
//!
//! Only the pixels of a window of the resized picture are computed: what a crop would drop costs nothing.

use image::{GrayImage, RgbImage};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// How pixels are interpolated when a picture is resized, named as in timm (`str_to_interp_mode`). All but `Nearest`
/// are antialiased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    Nearest,
    Box,
    Bilinear,
    Hamming,
    Bicubic,
    Lanczos,
}

/// A part of the resized picture: `width` x `height` pixels from (`left`, `top`) on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
}

/// `picture` resized to `size` (width, height), value for value as Pillow's `Image.resize` does it.
pub fn resize(picture: &RgbImage, size: (u32, u32), how: Interpolation) -> RgbImage {
    let whole = Window {
        left: 0,
        top: 0,
        width: size.0,
        height: size.1,
    };
    resize_part(picture, size, whole, how)
}

/// The `window` of `picture` resized to `size` (width, height).
pub(crate) fn resize_part(
    picture: &RgbImage,
    size: (u32, u32),
    window: Window,
    how: Interpolation,
) -> RgbImage {
    let (w, h) = picture.dimensions();
    let Some(filter) = Filter::of(how) else {
        let (columns, rows) = (
            nearest(w, size.0, window.left, window.width),
            nearest(h, size.1, window.top, window.height),
        );
        return RgbImage::from_fn(window.width, window.height, |x, y| {
            *picture.get_pixel(columns[x as usize], rows[y as usize])
        });
    };
    let columns = Taps::new(&filter, w, size.0, window.left, window.width);
    let rows = Taps::new(&filter, h, size.1, window.top, window.height);
    // The source rows that the vertical pass reads.
    let (first, last) = rows.range();
    let narrow = across(picture.as_raw(), w as usize, first..last, &columns);
    let out = down(&narrow, 3 * window.width as usize, first, &rows);
    RgbImage::from_raw(window.width, window.height, out).expect("one value a pixel and channel")
}

/// The `window` of label picture `mask` resized to `size` by nearest neighbour.
pub(crate) fn resize_mask(mask: &GrayImage, size: (u32, u32), window: Window) -> GrayImage {
    let (w, h) = mask.dimensions();
    let columns = nearest(w, size.0, window.left, window.width);
    let rows = nearest(h, size.1, window.top, window.height);
    GrayImage::from_fn(window.width, window.height, |x, y| {
        *mask.get_pixel(columns[x as usize], rows[y as usize])
    })
}

/// The source index of `len` outputs from `start` on. Pillow adds up the step, so the rounding is that of a sum.
fn nearest(from: u32, to: u32, start: u32, len: u32) -> Vec<u32> {
    let step = f64::from(from) / f64::from(to);
    let mut at = step * 0.5;
    let mut sources = Vec::with_capacity(len as usize);
    for out in 0..start + len {
        if out >= start {
            sources.push((at as u32).min(from - 1));
        }
        at += step;
    }
    sources
}

/// A kernel and half its width.
struct Filter {
    kernel: fn(f64) -> f64,
    support: f64,
}

impl Filter {
    fn of(how: Interpolation) -> Option<Self> {
        let (kernel, support): (fn(f64) -> f64, f64) = match how {
            Interpolation::Nearest => return None,
            Interpolation::Box => (|x| f64::from(u8::from(x > -0.5 && x <= 0.5)), 0.5),
            Interpolation::Bilinear => (|x| (1. - x.abs()).max(0.), 1.),
            Interpolation::Hamming => (hamming, 1.),
            Interpolation::Bicubic => (bicubic, 2.),
            Interpolation::Lanczos => (lanczos, 3.),
        };
        Some(Self { kernel, support })
    }
}

fn hamming(x: f64) -> f64 {
    match x.abs() {
        0. => 1.,
        x if x >= 1. => 0.,
        x => sinc(x) * (0.54 + 0.46 * (x * PI).cos()),
    }
}

/// The cubic of parameter -1/2.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x.abs() {
        x if x < 1. => ((A + 2.) * x - (A + 3.)) * x * x + 1.,
        x if x < 2. => (((x - 5.) * x + 8.) * x - 4.) * A,
        _ => 0.,
    }
}

fn lanczos(x: f64) -> f64 {
    if (-3. ..3.).contains(&x) {
        sinc(x) * sinc(x / 3.)
    } else {
        0.
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0. {
        1.
    } else {
        (x * PI).sin() / (x * PI)
    }
}

/// Fractional bits of a weight.
const BITS: u32 = 22;
const HALF: i32 = 1 << (BITS - 1);

/// For each output of one axis: the first source it reads, and its weights.
struct Taps {
    first: Vec<usize>,
    weights: Vec<Vec<i32>>,
}

impl Taps {
    /// For the `len` outputs from `start` on, of `from` pixels resized to `to`.
    fn new(filter: &Filter, from: u32, to: u32, start: u32, len: u32) -> Self {
        let range = start..start + len;
        if from == to {
            // That axis is left alone.
            return Self {
                first: range.map(|i| i as usize).collect(),
                weights: vec![vec![1 << BITS]; len as usize],
            };
        }
        let scale = f64::from(from) / f64::from(to);
        let stretch = scale.max(1.);
        let support = filter.support * stretch;
        let (first, weights) = range
            .map(|out| {
                let centre = (f64::from(out) + 0.5) * scale;
                let low = (centre - support + 0.5).max(0.) as usize;
                let high = ((centre + support + 0.5) as usize).min(from as usize);
                let kernel = |i: usize| (i as f64 - centre + 0.5) * (1. / stretch);
                let weights: Vec<f64> = (low..high).map(|i| (filter.kernel)(kernel(i))).collect();
                let sum: f64 = weights.iter().sum();
                let fixed = |w: f64| {
                    let w = if sum == 0. { w } else { w / sum } * f64::from(1 << BITS);
                    (w + 0.5_f64.copysign(w)) as i32
                };
                (low, weights.into_iter().map(fixed).collect())
            })
            .unzip();
        Self { first, weights }
    }

    /// The sources read by any output.
    fn range(&self) -> (usize, usize) {
        let ends = self.first.iter().zip(&self.weights);
        let last = ends.map(|(first, weights)| first + weights.len()).max();
        (
            self.first.iter().copied().min().unwrap_or(0),
            last.unwrap_or(0),
        )
    }
}

fn to_byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// The columns of `rows` of an RGB picture `width` pixels wide, resampled.
fn across(rgb: &[u8], width: usize, rows: std::ops::Range<usize>, taps: &Taps) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 * rows.len() * taps.first.len());
    for row in rgb.chunks_exact(3 * width).take(rows.end).skip(rows.start) {
        for (&first, weights) in taps.first.iter().zip(&taps.weights) {
            let pixels = &row[3 * first..3 * (first + weights.len())];
            let (mut r, mut g, mut b) = (HALF, HALF, HALF);
            for (pixel, weight) in pixels.chunks_exact(3).zip(weights) {
                r += i32::from(pixel[0]) * weight;
                g += i32::from(pixel[1]) * weight;
                b += i32::from(pixel[2]) * weight;
            }
            out.extend([to_byte(r), to_byte(g), to_byte(b)]);
        }
    }
    out
}

/// The rows of `stride` values, resampled; the first of `values` is source row `offset`.
fn down(values: &[u8], stride: usize, offset: usize, taps: &Taps) -> Vec<u8> {
    let mut out = Vec::with_capacity(stride * taps.first.len());
    let mut sums = vec![0; stride];
    for (&first, weights) in taps.first.iter().zip(&taps.weights) {
        sums.fill(HALF);
        let rows = values[stride * (first - offset)..].chunks_exact(stride);
        for (row, weight) in rows.zip(weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    out
}
