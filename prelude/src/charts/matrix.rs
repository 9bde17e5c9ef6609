//! A matrix as coloured cells: components by features, heads of one model by heads of another.
//!
//! Values of both signs are blue below zero, white at it and red above, the scale reaching as far to both sides; values of
//! one sign go from dark to bright. Where there is room each cell has its value written in it.

use super::color::{self, FAINT, INK};
use super::font;
use super::heat_scale::{Scale, signed};
use super::number::{Format, precise};
use super::render::Chart;
use super::scale_bar::scale_bar;
use super::scene::{Anchor, Scene, bold, plain};
use super::table::Table;
use crate::{Error, Result};

/// Rows of cells under column names; a cell may be without value.
#[derive(Clone)]
pub struct MatrixChart {
    title: String,
    legend: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<Option<f64>>)>,
    /// Rows with a gap above them.
    gaps: Vec<usize>,
    /// Row and column of cells in a frame.
    framed: Vec<(usize, usize)>,
    /// The scale goes from minus this value, or 0, to it.
    reach: Option<f64>,
}

const WIDTH: f64 = 900.0;
const EDGE: f64 = 24.0;
const LABEL: f64 = 11.5;
/// Labels of rows and of turned columns take at most so many pixels.
const LABELS: f64 = 230.0;
/// Room for the scale and its figures.
const SIDE: f64 = 88.0;
const BAR: f64 = 16.0;
const GAP: f64 = 4.0;
/// More rows than this would not be read; the rest is counted in a note.
const MOST: usize = 400;
/// A cell has its value written in it from this width on.
const WRITTEN: f64 = 36.0;
/// Between the baselines of a column name's lines.
const LINE: f64 = 15.0;

impl MatrixChart {
    /// An empty matrix: title, what the values are, and the columns' names.
    pub fn new<S: Into<String>>(
        title: impl Into<String>,
        legend: impl Into<String>,
        columns: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            title: title.into(),
            legend: legend.into(),
            columns: columns.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
            gaps: Vec::new(),
            framed: Vec::new(),
            reach: None,
        }
    }

    /// With one more row, one value a column.
    pub fn row<V: Into<Option<f64>>>(
        mut self,
        label: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.rows.push((label.into(), values));
        self
    }

    /// With a gap between the rows so far and those to come, as between blocks.
    pub fn gap(mut self) -> Self {
        self.gaps.push(self.rows.len());
        self
    }

    /// With a frame around the cell in this row and column, both counted from 0.
    pub fn frame(mut self, row: usize, column: usize) -> Self {
        self.framed.push((row, column));
        self
    }

    /// With a scale that reaches to `most` (from 0, or from minus that where there are values of both signs), so that two
    /// matrices can be compared by eye.
    pub fn reaching(mut self, most: f64) -> Self {
        self.reach = Some(most);
        self
    }

    fn shown(&self) -> &[(String, Vec<Option<f64>>)] {
        &self.rows[..self.rows.len().min(MOST)]
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.shown()
            .iter()
            .flat_map(|row| row.1.iter().flatten().copied())
    }

    fn check(&self) -> Result<()> {
        if self.rows.is_empty() || self.columns.is_empty() {
            return Err(Error::Chart(format!(
                "\"{}\" has no cells; add columns and a row with .row(label, values)",
                self.title
            )));
        }
        for (label, values) in &self.rows {
            if values.len() != self.columns.len() {
                return Err(Error::Chart(format!(
                    "row \"{label}\" has {} values for {} columns",
                    values.len(),
                    self.columns.len()
                )));
            }
            if let Some(value) = values.iter().flatten().find(|v| !v.is_finite()) {
                return Err(Error::Chart(format!(
                    "row \"{label}\" has a value {value}, which has no colour; give None in its place"
                )));
            }
        }
        let outside =
            |cell: &&(usize, usize)| cell.0 >= self.rows.len() || cell.1 >= self.columns.len();
        match self.framed.iter().find(outside) {
            Some((row, column)) => Err(Error::Chart(format!(
                "row {row}, column {column} is to be framed, of {} rows and {} columns, counted from 0",
                self.rows.len(),
                self.columns.len()
            ))),
            None => Ok(()),
        }
    }

    fn scale(&self) -> Scale {
        let values: Vec<f32> = self.values().map(|v| v as f32).collect();
        let both = signed(&values);
        match self.reach {
            Some(most) if both => Scale::Signed(most as f32),
            Some(most) => Scale::Rising {
                low: 0.0,
                high: most as f32,
            },
            None => Scale::of(&values, both),
        }
    }

    /// What is not seen in the cells.
    fn notes(&self, scale: Scale) -> Vec<String> {
        let mut notes = Vec::new();
        let more = self.rows.len().saturating_sub(MOST);
        if more > 0 {
            notes.push(format!("and {more} more rows"));
        }
        let beyond = self.values().filter(|v| scale.beyond(*v as f32)).count();
        if beyond > 0 {
            notes.push(match beyond {
                1 => "1 value lies beyond the scale".to_owned(),
                n => format!("{n} values lie beyond the scale"),
            });
        }
        notes
    }
}

/// A column's name in at most three lines of `room` pixels; none where they would not hold it.
fn level(name: &str, room: f64) -> Option<Vec<String>> {
    let lines = font::wrap(name, LABEL, false, room - 4.0, 3);
    let whole = name
        .split_whitespace()
        .eq(lines.iter().flat_map(|line| line.split_whitespace()));
    whole.then_some(lines)
}

/// Values up to 10 with two digits after the point, up to 1000 with one, others as all charts write them.
fn written(format: Format, most: f64, value: f64) -> String {
    match most {
        m if (0.095..10.0).contains(&m) && value.abs() < 0.005 => "0.00".to_owned(),
        m if (0.095..10.0).contains(&m) => format!("{value:.2}"),
        m if (10.0..1000.0).contains(&m) => format!("{value:.1}"),
        _ => format.write(value),
    }
}

impl Chart for MatrixChart {
    fn scene(&self) -> Result<Scene> {
        self.check()?;
        let (rows, columns) = (self.shown(), self.columns.len() as f64);
        let (scale, format) = (self.scale(), Format::of(self.values()));
        let most = self.values().fold(0.0, |m: f64, v| m.max(v.abs()));
        let high: f64 = match rows.len() {
            0..=24 => 22.0,
            25..=70 => 16.0,
            _ => 13.0,
        };
        let size = if high < 15.0 { 9.5 } else { LABEL };
        let widest = rows.iter().map(|row| font::width(&row.0, size, false));
        let labels = widest.fold(0.0, f64::max).min(LABELS);
        let left = EDGE + labels + 8.0;
        let wide = ((WIDTH - left - EDGE - SIDE) / columns).clamp(high.min(16.0), 96.0);
        let width = (left + wide * columns + SIDE + EDGE).max(480.0);
        let right = left + wide * columns;

        let mut scene = Scene::new(width, 0.0);
        let mut y = 34.0;
        for line in font::wrap(&self.title, 18.0, true, width - 2.0 * EDGE, 3) {
            scene.text(&line, (EDGE, y), Anchor::Start, bold(18.0, INK));
            y += 24.0;
        }
        for line in font::wrap(&self.legend, 12.5, false, width - 2.0 * EDGE, 3) {
            scene.text(&line, (EDGE, y - 2.0), Anchor::Start, plain(12.5, FAINT));
            y += 18.0;
        }
        for note in self.notes(scale) {
            let note = font::fit(&note, 12.5, false, width - 2.0 * EDGE);
            scene.text(&note, (EDGE, y - 2.0), Anchor::Start, plain(12.5, INK));
            y += 18.0;
        }
        // Column names stand level where their words fit side by side, else they are turned.
        let level: Option<Vec<Vec<String>>> = self.columns.iter().map(|c| level(c, wide)).collect();
        let longest = self.columns.iter().map(|c| font::width(c, LABEL, false));
        let column_size = if wide < 15.0 { 9.5 } else { LABEL };
        let above = match &level {
            Some(names) => LINE * names.iter().map(Vec::len).max().unwrap_or(1) as f64,
            None => longest.fold(0.0, f64::max).min(LABELS),
        };
        let top = y + above + 4.0;
        for (c, name) in self.columns.iter().enumerate() {
            let middle = left + wide * (c as f64 + 0.5);
            if let Some(names) = &level {
                for (l, line) in names[c].iter().rev().enumerate() {
                    let place = (middle, top - 6.0 - LINE * l as f64);
                    scene.text(line, place, Anchor::Middle, plain(LABEL, INK));
                }
                continue;
            }
            let name = font::fit(name, column_size, false, LABELS);
            let half = font::width(&name, column_size, false) / 2.0;
            let place = (middle + 0.36 * column_size, top - 5.0 - half);
            scene.upwards(&name, place, plain(column_size, INK));
        }
        let place = |row: usize| {
            let gaps = self.gaps.iter().filter(|g| **g > 0 && **g <= row).count();
            top + high * row as f64 + GAP * gaps as f64
        };
        for (r, (label, values)) in rows.iter().enumerate() {
            let y = place(r);
            let base = y + high / 2.0 + 0.36 * size;
            let label = font::fit(label, size, false, labels);
            scene.text(&label, (left - 8.0, base), Anchor::End, plain(size, INK));
            for (c, value) in values.iter().enumerate() {
                let hue = value.map_or(color::GRID, |v| scale.color(v as f32).0);
                let x = left + wide * c as f64;
                scene.rect((x, y), (wide - 1.0, high - 1.0), hue);
                let shown = value.map_or("nothing".to_owned(), precise);
                let column = &self.columns[c];
                scene.hover(
                    (x, y),
                    (wide, high),
                    format!("{}, {column}: {shown}", rows[r].0),
                );
                if wide >= WRITTEN && high >= 15.0 {
                    let text = value.map_or("–".to_owned(), |v| written(format, most, v));
                    let text = font::fit(&text, 10.5, false, wide - 4.0);
                    let place = (x + wide / 2.0, y + high / 2.0 + 3.8);
                    scene.text(
                        &text,
                        place,
                        Anchor::Middle,
                        plain(10.5, color::ink_on(hue)),
                    );
                }
            }
        }
        for &(row, column) in self.framed.iter().filter(|cell| cell.0 < rows.len()) {
            let (x, y) = (left + wide * column as f64, place(row));
            let (far, low) = (x + wide - 1.0, y + high - 1.0);
            let around = vec![(x, y), (far, y), (far, low), (x, low), (x, y)];
            scene.line(around, INK, 1.6);
        }
        let bottom = place(rows.len() - 1) + high;
        let bar = (bottom - top).clamp(48.0, 170.0);
        scale_bar(
            &mut scene,
            scale,
            &scale.labels(),
            (right + 14.0, top),
            (BAR, bar),
        );
        scene.height = bottom.max(top + bar) + 20.0;
        Ok(scene)
    }

    fn text(&self) -> String {
        let format = Format::of(self.values());
        let most = self.values().fold(0.0, |m: f64, v| m.max(v.abs()));
        let title = format!("{} ({})", self.title, self.legend);
        let names = std::iter::once(String::new()).chain(self.columns.iter().cloned());
        let table = self.shown().iter().enumerate().fold(
            Table::new(title).columns(names),
            |table, (r, (label, values))| {
                let cell = |(c, value): (usize, &Option<f64>)| {
                    let mark = if self.framed.contains(&(r, c)) {
                        "*"
                    } else {
                        ""
                    };
                    match value {
                        Some(value) => format!("{}{mark}", written(format, most, *value)),
                        None => "–".to_owned(),
                    }
                };
                let cells = values.iter().enumerate().map(cell);
                table.row(std::iter::once(label.clone()).chain(cells))
            },
        );
        let notes = self.notes(self.scale());
        notes
            .iter()
            .fold(table.text(), |out, note| format!("{out}{note}\n"))
    }
}

super::chart!(MatrixChart);
