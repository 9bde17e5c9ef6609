//! Numbers on charts: round ticks, and as many digits as help.

use crate::{Error, Result};

/// Digits after the point that suit values up to `size`.
fn digits(size: f64) -> usize {
    match size {
        s if s >= 1000.0 => 0,
        s if s >= 100.0 => 1,
        s if s >= 10.0 => 2,
        _ => 3,
    }
}

/// How all values of a chart are written: the same number of digits, or powers of ten when they are tiny or huge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    size: f64,
}

impl Format {
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        Self {
            size: values.fold(0.0, |m, v| m.max(v.abs())),
        }
    }

    pub fn write(&self, value: f64) -> String {
        if value == 0.0 {
            return "0".to_owned();
        }
        match self.size {
            s if !(1e-2..1e6).contains(&s) => format!("{value:.2e}"),
            s => {
                let text = format!("{value:.*}", digits(s));
                // -0.000 is 0.000
                match text
                    .trim_start_matches('-')
                    .bytes()
                    .all(|b| b"0.".contains(&b))
                {
                    true => text.trim_start_matches('-').to_owned(),
                    false => text,
                }
            }
        }
    }
}

/// The least round step (1, 2, 2.5 or 5 times a power of ten) that takes `span` in at most `most` steps.
fn round_step(span: f64, most: usize) -> f64 {
    let rough = span / most.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 2.5, 5.0, 10.0];
    let fits = |f: &&f64| **f * power >= rough * (1.0 - 1e-9);
    factors.iter().find(fits).unwrap_or(&10.0) * power
}

/// An axis from a round number to a round number.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    step: f64,
}

impl Axis {
    /// Takes in all of `values` with at most `most` steps, and zero if `zero`.
    pub fn of(values: impl Iterator<Item = f64>, zero: bool, most: usize) -> Self {
        let start = match zero {
            true => (0.0, 0.0),
            false => (f64::INFINITY, f64::NEG_INFINITY),
        };
        let (low, high) = values.fold(start, |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = match high > low {
            true => (low, high),
            // One value: an axis of length one or of its own size around it.
            false if zero => (0.0, 1.0),
            false => (
                low - low.abs().max(1.0) / 2.0,
                high + high.abs().max(1.0) / 2.0,
            ),
        };
        let step = round_step(high - low, most);
        Self {
            low: (low / step + 1e-9).floor() * step,
            high: (high / step - 1e-9).ceil() * step,
            step,
        }
    }

    /// The place of `value` between 0 (low) and 1 (high).
    pub fn place(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Ticks and how they are written.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        let digits = (0..=10)
            .find(|d| {
                let scaled = self.step * 10f64.powi(*d);
                (scaled - scaled.round()).abs() < 1e-6 * scaled
            })
            .unwrap_or(10) as usize;
        let large = self.low.abs().max(self.high.abs()) >= 1e6;
        (0..=count)
            .map(|i| {
                let value = self.low + i as f64 * self.step;
                let value = if value.abs() < self.step / 1e6 {
                    0.0
                } else {
                    value
                };
                let text = match large || digits > 4 {
                    true if value != 0.0 => format!("{value:.1e}"),
                    true => "0".to_owned(),
                    false => format!("{value:.digits$}"),
                };
                (value, text)
            })
            .collect()
    }
}

/// Refuses values that have no place on an axis.
pub(super) fn finite<'a>(values: impl Iterator<Item = (&'a str, f64)>) -> Result<()> {
    for (label, value) in values {
        if !value.is_finite() {
            return Err(Error::Chart(format!(
                "\"{label}\" is {value}, which has no place on an axis; leave it out"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64) -> Vec<String> {
        let axis = Axis::of([low, high].into_iter(), false, 5);
        axis.ticks().into_iter().map(|t| t.1).collect()
    }

    #[test]
    fn ticks_are_round_and_take_everything_in() {
        assert_eq!(labels(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(
            labels(-0.13, 0.62),
            ["-0.2", "0.0", "0.2", "0.4", "0.6", "0.8"]
        );
        assert_eq!(labels(3.0, 3.0), ["1", "2", "3", "4", "5"]);
        assert_eq!(labels(0.0, 43.0), ["0", "10", "20", "30", "40", "50"]);
    }

    #[test]
    fn numbers_have_digits_that_help() {
        let one = Format::of([0.7333, 0.5].into_iter());
        assert_eq!(one.write(0.7333), "0.733");
        assert_eq!(one.write(-0.0001), "0.000");
        assert_eq!(Format::of([1234.5].into_iter()).write(1234.5), "1234");
        assert_eq!(Format::of([2e-5].into_iter()).write(2e-5), "2.00e-5");
    }
}
