//! Horizontal bars, for long labels.

use super::color::{self, EMPHASIS, FAINT, GRID, INK};
use super::font;
use super::number::{Axis, Format, finite, precise};
use super::render::Chart;
use super::scene::{Anchor, Scene, bold, plain};
use crate::score::Ranked;
use crate::{Error, Result};

/// One bar for each label, in the order given, its value written beside it.
#[derive(Clone)]
pub struct BarChart {
    title: String,
    axis: String,
    bars: Vec<(String, f64)>,
    emphasised: Vec<String>,
}

const WIDTH: f64 = 900.0;
const EDGE: f64 = 24.0;
/// More bars than this would not be read; the rest is counted in a note.
const MOST: usize = 60;
/// Labels take at most this share of the width.
const LABELS: f64 = 0.4;

impl BarChart {
    /// An empty chart: its title, and what the values are, with their unit.
    pub fn new(title: impl Into<String>, axis: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            axis: axis.into(),
            bars: Vec::new(),
            emphasised: Vec::new(),
        }
    }

    /// Components and their scores, as [`score::rank`](crate::score::rank) orders them.
    pub fn ranked(title: impl Into<String>, axis: impl Into<String>, ranked: &[Ranked]) -> Self {
        let mut chart = Self::new(title, axis);
        chart.bars = ranked.iter().map(|r| (r.name.clone(), r.score)).collect();
        chart
    }

    /// With one more bar.
    pub fn bar(mut self, label: impl Into<String>, value: f64) -> Self {
        self.bars.push((label.into(), value));
        self
    }

    /// With the bars of these labels in another colour, such as the components that are switched off.
    pub fn emphasise<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Self {
        self.emphasised.extend(labels.into_iter().map(Into::into));
        self
    }

    fn shown(&self) -> &[(String, f64)] {
        &self.bars[..self.bars.len().min(MOST)]
    }

    fn is_emphasised(&self, label: &String) -> bool {
        self.emphasised.contains(label)
    }

    fn note(&self) -> Option<String> {
        let more = self.bars.len().saturating_sub(MOST);
        (more > 0).then(|| format!("and {more} more"))
    }

    fn format(&self) -> Format {
        Format::of(self.shown().iter().map(|b| b.1))
    }

    fn check(&self) -> Result<()> {
        if self.bars.is_empty() {
            return Err(Error::Chart(format!(
                "\"{}\" has no bars; add one with .bar(label, value)",
                self.title
            )));
        }
        finite(self.bars.iter().map(|b| (b.0.as_str(), b.1)))
    }
}

impl Chart for BarChart {
    fn scene(&self) -> Result<Scene> {
        self.check()?;
        let bars = self.shown();
        let row = if bars.len() > 25 { 20.0 } else { 27.0 };
        let size = if bars.len() > 25 { 11.5 } else { 13.0 };
        let format = self.format();
        let values: Vec<String> = bars.iter().map(|b| format.write(b.1)).collect();
        let label_width = |b: &(String, f64)| font::width(&b.0, size, self.is_emphasised(&b.0));
        let labels = bars
            .iter()
            .map(label_width)
            .fold(0.0, f64::max)
            .min(LABELS * WIDTH);
        let value_width = |v: &String| font::width(v, size, false) + 8.0;
        let value_width = values.iter().map(value_width).fold(0.0, f64::max);
        let axis = Axis::tight(bars.iter().map(|b| b.1), true, 6);
        // Values stand outside their bars, so both ends need room for one.
        let left = EDGE + labels + 10.0 + if axis.low < 0.0 { value_width } else { 0.0 };
        let right = WIDTH - EDGE - if axis.high > 0.0 { value_width } else { 0.0 };
        let x = |v: f64| left + (right - left) * axis.place(v);

        let mut scene = Scene::new(WIDTH, 0.0);
        let top = 58.0 + scene.heading(&self.title, EDGE);
        let bottom = top + row * bars.len() as f64 + 6.0;
        scene.height = bottom + 58.0;
        for (value, text) in axis.ticks() {
            scene.line(vec![(x(value), top), (x(value), bottom)], GRID, 1.0);
            let place = (x(value), bottom + 18.0);
            scene.text(&text, place, Anchor::Middle, plain(11.5, FAINT));
        }
        for (i, ((label, value), text)) in bars.iter().zip(&values).enumerate() {
            let middle = top + 3.0 + row * (i as f64 + 0.5);
            let emphasised = self.is_emphasised(label);
            let (hue, ink) = match emphasised {
                true => (EMPHASIS, bold(size, INK)),
                false => (color::series(0), plain(size, INK)),
            };
            let (from, to) = (x(value.min(0.0)), x(value.max(0.0)));
            let height = row * 0.68;
            scene.rect(
                (from, middle - height / 2.0),
                ((to - from).max(1.0), height),
                hue,
            );
            let base = middle + 0.36 * size;
            let label = font::fit(label, size, emphasised, labels);
            scene.text(&label, (EDGE + labels, base), Anchor::End, ink);
            match *value < 0.0 {
                true => scene.text(text, (from - 5.0, base), Anchor::End, plain(size, INK)),
                false => scene.text(text, (to + 5.0, base), Anchor::Start, plain(size, INK)),
            }
            // The whole row answers the pointer: a short bar would be hard to meet.
            let title = format!("{}: {}", bars[i].0, precise(*value));
            let corner = (EDGE, top + 3.0 + row * i as f64);
            scene.hover(corner, (WIDTH - 2.0 * EDGE, row), title);
        }
        scene.line(vec![(x(0.0), top), (x(0.0), bottom)], FAINT, 1.0);
        let name = font::fit(&self.axis, 12.5, false, right - left);
        let place = ((left + right) / 2.0, bottom + 42.0);
        scene.text(&name, place, Anchor::Middle, plain(12.5, INK));
        if let Some(note) = self.note() {
            let place = (EDGE, bottom + 42.0);
            scene.text(&note, place, Anchor::Start, plain(12.5, FAINT));
        }
        Ok(scene)
    }

    fn text(&self) -> String {
        let format = self.format();
        let bars = self.shown();
        let label = |b: &(String, f64)| {
            let mark = if self.is_emphasised(&b.0) { "*" } else { "" };
            format!("{}{mark}", b.0)
        };
        let labels: Vec<String> = bars.iter().map(label).collect();
        let width = labels.iter().map(|l| l.chars().count()).max().unwrap_or(0);
        let most = bars.iter().fold(0.0, |m: f64, b| m.max(b.1.abs()));
        let mut out = format!("{} ({})\n", self.title, self.axis);
        for (label, (_, value)) in labels.iter().zip(bars) {
            let bar = blocks(value / most);
            // Columns stay columns: pad by characters, not bytes.
            let pad = " ".repeat(width - label.chars().count());
            out += &format!("{pad}{label} {bar} {}\n", format.write(*value));
        }
        if let Some(note) = self.note() {
            out += &format!("{note}\n");
        }
        out
    }
}

/// A bar of up to 40 block characters, in eighths; a negative one is shaded and in whole characters.
fn blocks(share: f64) -> String {
    if !share.is_finite() {
        return String::new();
    }
    if share < 0.0 {
        return "░".repeat((share.max(-1.0) * -40.0).round() as usize);
    }
    let eighths = (share.min(1.0) * 320.0).round() as usize;
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + part
}

super::chart!(BarChart);
