//! From a value of a heatmap to its colour.

use super::color;
use super::number::Format;
use super::scene::Rgb;

/// A few values that reach this many times further than all others would leave these no colours.
const OUTLYING: f32 = 5.0;

/// At most this share of the values, or one of them, counts as outlying.
const FEW: f64 = 0.02;

/// Fewer values have no outliers.
const ENOUGH: usize = 9;

/// The range of values that is spread over the colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// All values are this one: there is nothing to tell apart, so the colour is grey.
    Neutral(f32),
    /// From the least to the greatest value, dark to bright.
    Rising { low: f32, high: f32 },
    /// Values of both signs, from minus to plus this one, blue and red with white for zero.
    Signed(f32),
}

/// Whether there are values of both signs.
pub(super) fn signed(values: &[f32]) -> bool {
    values.iter().any(|v| *v < 0.0) && values.iter().any(|v| *v > 0.0)
}

impl Scale {
    /// The scale of `values`, symmetric around zero if `signed`. A few outlying ones are left outside.
    pub fn of(values: &[f32], signed: bool) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f32::total_cmp);
        let (Some(&low), Some(&high)) = (sorted.first(), sorted.last()) else {
            return Self::Neutral(0.0);
        };
        if signed {
            let mut sizes: Vec<f32> = values.iter().map(|v| v.abs()).collect();
            sizes.sort_by(f32::total_cmp);
            return match reach(&sizes, 0.0) {
                0.0 => Self::Neutral(0.0),
                most => Self::Signed(most),
            };
        }
        if low == high {
            return Self::Neutral(low);
        }
        let middle = sorted[sorted.len() / 2];
        let high = reach(&sorted, middle);
        let mirrored: Vec<f32> = sorted.iter().rev().map(|v| -v).collect();
        let low = -reach(&mirrored, -middle);
        Self::Rising { low, high }
    }

    /// The colour of a value, and how much of it covers the image.
    pub fn color(self, value: f32) -> (Rgb, f32) {
        match self {
            Self::Neutral(_) => (color::NEUTRAL, 0.35),
            Self::Rising { low, high } => {
                let v = ((value - low) / (high - low)).clamp(0.0, 1.0);
                (color::heat(v), 0.35 + 0.4 * v)
            }
            Self::Signed(most) => {
                let v = (value / most).clamp(-1.0, 1.0);
                (color::signed(v), 0.15 + 0.6 * v.abs())
            }
        }
    }

    /// The value, or the end of the range that it lies beyond.
    pub fn within(self, value: f32) -> f32 {
        match self {
            Self::Neutral(_) => value,
            Self::Rising { low, high } => value.clamp(low, high),
            Self::Signed(most) => value.clamp(-most, most),
        }
    }

    /// Whether a value lies outside the range.
    pub fn beyond(self, value: f32) -> bool {
        self.within(value) != value
    }

    /// The value at a place between 0 (the lower end) and 1.
    pub fn at(self, place: f32) -> f32 {
        match self {
            Self::Neutral(value) => value,
            Self::Rising { low, high } => low + place * (high - low),
            Self::Signed(most) => most * (2.0 * place - 1.0),
        }
    }

    /// What is written beside the colours: places from 0 (the lower end) to 1, and texts.
    pub fn labels(self) -> Vec<(f32, String)> {
        let write = |values: &[f32]| -> Vec<String> {
            let format = Format::of(values.iter().map(|v| f64::from(*v)));
            values.iter().map(|v| format.write(f64::from(*v))).collect()
        };
        match self {
            Self::Neutral(value) => vec![(1.0, format!("all {}", write(&[value])[0]))],
            Self::Rising { low, high } => [0.0, 1.0].into_iter().zip(write(&[low, high])).collect(),
            Self::Signed(most) => [0.0, 0.5, 1.0]
                .into_iter()
                .zip(write(&[-most, 0.0, most]))
                .collect(),
        }
    }
}

/// The greatest of ascending values that the scale goes to: the last, or the last before a few that lie much further from
/// `middle` than all others.
fn reach(sorted: &[f32], middle: f32) -> f32 {
    let n = sorted.len();
    let most = ((FEW * n as f64) as usize).max(1);
    if n >= ENOUGH {
        for few in 1..=most {
            let (outer, inner) = (sorted[n - few] - middle, sorted[n - 1 - few] - middle);
            if inner > 0.0 && outer > OUTLYING * inner {
                return sorted[n - 1 - few];
            }
        }
    }
    sorted[n - 1]
}
