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

/// A value as it is read off a chart: six digits that count, without zeros behind them.
pub(super) fn precise(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return format!("{value}").trim_start_matches('-').to_owned();
    }
    if !(1e-4..1e6).contains(&size) {
        return format!("{value:.3e}");
    }
    let before = size.log10().floor() as i32;
    let digits = (5 - before).clamp(0, 9) as usize;
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The least round step (1, 2, 2.5 or 5 times a power of ten) that takes `span` in at most `most` steps; `whole`
/// numbers only, if so.
fn round_step(span: f64, most: usize, whole: bool) -> f64 {
    let rough = span / most.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 50.0, 100.0].map(|f| f * power);
    let fits = |s: &f64| *s >= rough * (1.0 - 1e-9) && !(whole && (s.fract() != 0.0 || *s < 1.0));
    steps.into_iter().find(fits).unwrap_or(1.0)
}

/// An axis with ticks at round numbers.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    step: f64,
}

impl Axis {
    /// Takes in all of `values` with about `most` steps, and zero if `zero`; from the least value to the greatest.
    pub fn tight(values: impl Iterator<Item = f64>, zero: bool, most: usize) -> Self {
        let start = match zero {
            true => (0.0, 0.0),
            false => (f64::INFINITY, f64::NEG_INFINITY),
        };
        let mut whole = !zero;
        let (low, high) = values.fold(start, |(l, h), v| {
            whole &= v.fract() == 0.0;
            (l.min(v), h.max(v))
        });
        let (low, high) = match high > low {
            true => (low, high),
            // One value: an axis of length one or of its own size around it.
            false if zero => (0.0, 1.0),
            false => {
                let around = low.abs().max(1.0);
                (low - around, high + around)
            }
        };
        // Counts have whole ticks; 0 and 1 alone are more likely shares.
        let step = round_step(high - low, most, whole && high - low >= 4.0);
        Self { low, high, step }
    }

    /// The range widened to begin and end at a tick.
    pub fn round(values: impl Iterator<Item = f64>, zero: bool, most: usize) -> Self {
        let Self { low, high, step } = Self::tight(values, zero, most);
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
        let digits = (0..=10)
            .find(|d| {
                let scaled = self.step * 10f64.powi(*d);
                (scaled - scaled.round()).abs() < 1e-6 * scaled
            })
            .unwrap_or(10) as usize;
        let large = self.low.abs().max(self.high.abs()) >= 1e6;
        let first = (self.low / self.step - 1e-6).ceil();
        let last = (self.high / self.step + 1e-6).floor();
        (0..=(last - first).max(0.0) as usize)
            .map(|i| {
                let count = first + i as f64;
                let value = count * self.step;
                let text = match large || digits > 4 {
                    _ if count == 0.0 => format!("{:.*}", if digits > 4 { 0 } else { digits }, 0.0),
                    true => format!("{value:.1e}"),
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
        let axis = Axis::round([low, high].into_iter(), false, 5);
        axis.ticks().into_iter().map(|t| t.1).collect()
    }

    #[test]
    fn ticks_are_round_and_take_everything_in() {
        assert_eq!(labels(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(
            labels(-0.13, 0.62),
            ["-0.2", "0.0", "0.2", "0.4", "0.6", "0.8"]
        );
        assert_eq!(labels(3.0, 3.0), ["0", "2", "4", "6"]);
        assert_eq!(labels(0.0, 43.0), ["0", "10", "20", "30", "40", "50"]);
        // Whole numbers have whole ticks.
        assert_eq!(labels(0.0, 11.0), ["0", "5", "10", "15"]);
        let tight = Axis::tight([-0.25, 0.62].into_iter(), true, 5);
        assert_eq!((tight.low, tight.high), (-0.25, 0.62));
        let ticks: Vec<String> = tight.ticks().into_iter().map(|t| t.1).collect();
        assert_eq!(ticks, ["-0.2", "0.0", "0.2", "0.4", "0.6"]);
    }

    #[test]
    fn numbers_have_digits_that_help() {
        let one = Format::of([0.7333, 0.5].into_iter());
        assert_eq!(one.write(0.7333), "0.733");
        assert_eq!(one.write(-0.0001), "0.000");
        assert_eq!(Format::of([1234.5].into_iter()).write(1234.5), "1234");
        assert_eq!(Format::of([2e-5].into_iter()).write(2e-5), "2.00e-5");
        let read = [0.0, 0.5, -0.123_456_78, 1234.5, 1e9, -2e-7, 40.0].map(precise);
        let expected = [
            "0",
            "0.5",
            "-0.123457",
            "1234.5",
            "1.000e9",
            "-2.000e-7",
            "40",
        ];
        assert_eq!(read, expected);
    }
}
