//! Upright bars side by side, for the same few quantities under several conditions.

use super::color::{self, FAINT, GRID, INK};
use super::font;
use super::number::{Axis, Format, finite, precise};
use super::render::Chart;
use super::scene::{Anchor, Scene, plain};
use super::table::Table;
use crate::{Error, Result};

/// Groups of bars, one bar a series, each with its value on top; a value may be missing.
#[derive(Clone)]
pub struct GroupedBars {
    title: String,
    axis: String,
    series: Vec<String>,
    groups: Vec<(String, Vec<Option<f64>>)>,
    /// Of each bar of each group, the ends of its interval.
    intervals: Vec<Vec<Option<(f64, f64)>>>,
}

const EDGE: f64 = 24.0;
const LEAST_WIDTH: f64 = 900.0;
/// A page: figures on bars are turned before labels become too small to be read.
const MOST_WIDTH: f64 = 1100.0;
const LABEL: f64 = 12.0;
const VALUE: f64 = 11.0;
const LEGEND: f64 = 12.5;
const LINES: usize = 3;

impl GroupedBars {
    /// An empty chart: title, what the values are, and the series' names, such as "before" and "after".
    pub fn new<S: Into<String>>(
        title: impl Into<String>,
        axis: impl Into<String>,
        series: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            title: title.into(),
            axis: axis.into(),
            series: series.into_iter().map(Into::into).collect(),
            groups: Vec::new(),
            intervals: Vec::new(),
        }
    }

    /// With one more group, one value a series.
    pub fn group<V: Into<Option<f64>>>(
        self,
        label: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(|value| (value, None));
        self.group_between(label, values)
    }

    /// With one more group, one value a series, each with the ends of its interval (of confidence, say) where it has one.
    pub fn group_between<V: Into<Option<f64>>>(
        mut self,
        label: impl Into<String>,
        values: impl IntoIterator<Item = (V, Option<(f64, f64)>)>,
    ) -> Self {
        let values = values.into_iter().map(|(value, ends)| (value.into(), ends));
        let (values, ends) = values.unzip();
        self.groups.push((label.into(), values));
        self.intervals.push(ends);
        self
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.groups
            .iter()
            .flat_map(|g| g.1.iter().flatten().copied())
    }

    fn ends(&self) -> impl Iterator<Item = f64> {
        let intervals = self.intervals.iter().flatten().flatten();
        intervals.flat_map(|&(low, high)| [low, high])
    }

    fn check(&self) -> Result<()> {
        if self.groups.is_empty() || self.series.is_empty() {
            return Err(Error::Chart(format!(
                "\"{}\" has no bars; add some with .group(label, values)",
                self.title
            )));
        }
        if let Some((label, values)) = self.groups.iter().find(|g| g.1.len() != self.series.len()) {
            return Err(Error::Chart(format!(
                "group \"{label}\" has {} values for {} series",
                values.len(),
                self.series.len()
            )));
        }
        let each = |(label, values): &'_ (String, Vec<Option<f64>>)| {
            values
                .iter()
                .flatten()
                .map(|v| (label.clone(), *v))
                .collect::<Vec<_>>()
        };
        let all: Vec<(String, f64)> = self.groups.iter().flat_map(each).collect();
        finite(all.iter().map(|(l, v)| (l.as_str(), *v)))?;
        finite(self.ends().map(|end| ("the end of an interval", end)))
    }

    /// The legend, in as many rows as it needs from `y` down; the y below it.
    fn legend(&self, scene: &mut Scene, mut y: f64, width: f64) -> f64 {
        let mut x = EDGE;
        for (i, name) in self.series.iter().enumerate() {
            let name = font::fit(name, LEGEND, false, width - 2.0 * EDGE - 20.0);
            let wide = 20.0 + font::width(&name, LEGEND, false) + 22.0;
            if x > EDGE && x + wide - 22.0 > width - EDGE {
                (x, y) = (EDGE, y + 20.0);
            }
            scene.rect((x, y - 10.5), (13.0, 13.0), color::series(i));
            scene.text(&name, (x + 20.0, y), Anchor::Start, plain(LEGEND, INK));
            x += wide;
        }
        y + 14.0
    }
}

impl Chart for GroupedBars {
    fn scene(&self) -> Result<Scene> {
        self.check()?;
        let format = Format::of(self.values());
        let axis = Axis::round(self.values().chain(self.ends()), true, 6);
        let ticks = axis.ticks();
        let tick_width = ticks
            .iter()
            .map(|t| font::width(&t.1, 11.5, false))
            .fold(0.0, f64::max);
        let left = EDGE + 22.0 + tick_width + 8.0;
        let widest = self
            .values()
            .map(|v| font::width(&format.write(v), VALUE, false))
            .fold(20.0, f64::max);
        let (groups, series) = (self.groups.len() as f64, self.series.len() as f64);
        let wanted = left + EDGE + groups * (series * (widest + 5.0) + 26.0);
        let width = wanted.clamp(LEAST_WIDTH, MOST_WIDTH);
        let slot = (width - left - EDGE) / groups;
        let bar = ((slot - 26.0).max(slot * 0.7) / series).min(90.0);
        // Too many bars for upright figures: turn them.
        let turned = bar < widest + 2.0;

        let mut scene = Scene::new(width, 0.0);
        let second_line = scene.heading(&self.title, EDGE);
        let above = if turned { widest + 8.0 } else { 18.0 };
        let below = if axis.low < 0.0 { above } else { 0.0 };
        let top = self.legend(&mut scene, 62.0 + second_line, width) + above;
        let labels: Vec<Vec<String>> = self
            .groups
            .iter()
            .map(|g| font::wrap(&g.0, LABEL, false, slot - 8.0, LINES))
            .collect();
        let lines = labels.iter().map(Vec::len).max().unwrap_or(1) as f64;
        let bottom = top + 330.0;
        scene.height = bottom + below + 16.0 + lines * 16.0 + 12.0;
        let y = |v: f64| bottom - (bottom - top) * axis.place(v);

        for (value, text) in &ticks {
            let y = y(*value);
            scene.line(vec![(left, y), (width - EDGE, y)], GRID, 1.0);
            scene.text(text, (left - 8.0, y + 4.0), Anchor::End, plain(11.5, FAINT));
        }
        let name = font::fit(&self.axis, 12.5, false, bottom - top);
        scene.upwards(&name, (EDGE + 10.0, (top + bottom) / 2.0), plain(12.5, INK));
        for (g, ((_, values), label)) in self.groups.iter().zip(&labels).enumerate() {
            let intervals = &self.intervals[g];
            let middle = left + slot * (g as f64 + 0.5);
            for (s, value) in values.iter().enumerate() {
                let x = middle + bar * (s as f64 - series / 2.0);
                let centre = x + bar / 2.0;
                let text = value.map_or("–".to_owned(), |v| format.write(v));
                let ends = intervals[s].map_or(String::new(), |(low, high)| {
                    format!(" [{}, {}]", precise(low), precise(high))
                });
                let title = format!(
                    "{}, {}: {}{ends}",
                    self.groups[g].0,
                    self.series[s],
                    value.map_or("missing".to_owned(), precise)
                );
                // The bar's whole column answers the pointer: a low bar would be hard to meet.
                scene.hover((x, top), (bar, bottom - top), title);
                let value = value.unwrap_or(0.0);
                let (high, low) = (y(value.max(0.0)), y(value.min(0.0)));
                let gap = (bar * 0.06).min(2.0);
                let size = (bar - 2.0 * gap, (low - high).max(1.0));
                scene.rect((x + gap, high), size, color::series(s));
                let (mut over, mut under) = (high, low);
                if let Some((from, to)) = intervals[s] {
                    let (from, to) = (y(from), y(to));
                    let cap = (bar * 0.12).clamp(2.0, 6.0);
                    scene.line(vec![(centre, from), (centre, to)], INK, 1.0);
                    for end in [from, to] {
                        scene.line(vec![(centre - cap, end), (centre + cap, end)], INK, 1.0);
                    }
                    (over, under) = (over.min(to), under.max(from));
                }
                let how = plain(VALUE, INK);
                match (turned, value < 0.0) {
                    (false, false) => scene.text(&text, (centre, over - 5.0), Anchor::Middle, how),
                    (false, true) => scene.text(&text, (centre, under + 13.0), Anchor::Middle, how),
                    (true, below) => {
                        let half = font::width(&text, VALUE, false) / 2.0 + 4.0;
                        let at = if below { under + half } else { over - half };
                        scene.upwards(&text, (centre + 4.0, at), how);
                    }
                }
            }
            for (i, line) in label.iter().enumerate() {
                let place = (middle, bottom + below + 20.0 + 16.0 * i as f64);
                scene.text(line, place, Anchor::Middle, plain(LABEL, INK));
            }
        }
        scene.line(vec![(left, y(0.0)), (width - EDGE, y(0.0))], FAINT, 1.0);
        Ok(scene)
    }

    fn text(&self) -> String {
        let format = Format::of(self.values());
        let mut table = Table::new(format!("{} ({})", self.title, self.axis))
            .columns(std::iter::once(String::new()).chain(self.series.iter().cloned()));
        for ((label, values), intervals) in self.groups.iter().zip(&self.intervals) {
            let cells = values.iter().zip(intervals).map(|(value, ends)| {
                let value = value.map_or("–".to_owned(), |v| format.write(v));
                match ends {
                    Some((low, high)) => {
                        format!("{value} [{}, {}]", format.write(*low), format.write(*high))
                    }
                    None => value,
                }
            });
            table = table.row(std::iter::once(label.clone()).chain(cells));
        }
        table.text()
    }
}

super::chart!(GroupedBars);
