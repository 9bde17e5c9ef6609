//! One value for each head of a model: layers down, heads across.

use super::color::{self, FAINT, GRID, INK};
use super::font;
use super::heat_scale::Scale;
use super::number::{Format, finite, precise};
use super::render::Chart;
use super::scale_bar::scale_bar;
use super::scene::{Anchor, Scene, TITLE, bold, plain};
use super::table::Table;
use crate::decompose::{BlockPart, Component};
use crate::{Error, Result};

/// A matrix of layers by heads, MLPs and convolutions in columns of their own behind them. Values of both signs are blue
/// below zero and red above; a layer with fewer heads than another leaves places empty.
///
/// ```
/// use vitrepl_prelude::charts::HeadGrid;
/// use vitrepl_prelude::decompose::{BlockPart, Component};
/// use vitrepl_prelude::trace::Block;
///
/// let at = |block, part| Component::Part { block: Block::at(block), part };
/// let values = [(at(0, BlockPart::Head(0)), 0.5), (at(0, BlockPart::Head(1)), -1.0), (at(1, BlockPart::Mlp), 0.25)];
/// let grid = HeadGrid::new("Which head?", "effect", values)?;
/// assert!(grid.svg()?.contains("block 0 head 1: -1"));
/// # Ok::<(), vitrepl_prelude::Error>(())
/// ```
#[derive(Clone)]
pub struct HeadGrid {
    title: String,
    legend: String,
    rows: Vec<String>,
    columns: Vec<BlockPart>,
    /// Row, column, the component's name and its value.
    cells: Vec<(usize, usize, String, f64)>,
}

const EDGE: f64 = 24.0;
const SIZE: f64 = 12.0;
/// A cell that holds its value is at least so wide.
const CELL: f64 = 50.0;
/// With more columns than this cells are narrow and without values.
const WRITTEN: usize = 20;
const NARROW: f64 = 26.0;
const HEIGHT: f64 = 28.0;
const SCALE: f64 = 16.0;

/// The heading of a column.
fn heading(part: BlockPart) -> String {
    match part {
        BlockPart::Head(head) => head.to_string(),
        BlockPart::Attention => "attn".to_owned(),
        BlockPart::Mlp => "MLP".to_owned(),
        BlockPart::Conv => "conv".to_owned(),
    }
}

impl HeadGrid {
    /// The parts of blocks among `values`, in the order of the model, with title and what the values are.
    ///
    /// # Errors
    /// When none is a part of a block, or a value has no place on a scale.
    pub fn new(
        title: impl Into<String>,
        legend: impl Into<String>,
        values: impl IntoIterator<Item = (Component, f64)>,
    ) -> Result<Self> {
        let mut grid = Self {
            title: title.into(),
            legend: legend.into(),
            rows: Vec::new(),
            columns: Vec::new(),
            cells: Vec::new(),
        };
        let parts = values
            .into_iter()
            .filter_map(|(component, value)| match component {
                Component::Part { block, part } => {
                    Some((block.to_string(), part, component, value))
                }
                _ => None,
            });
        let parts: Vec<_> = parts.collect();
        for (block, part, ..) in &parts {
            if !grid.rows.contains(block) {
                grid.rows.push(block.clone());
            }
            if !grid.columns.contains(part) {
                grid.columns.push(*part);
            }
        }
        let order = |part: &BlockPart| match part {
            BlockPart::Head(head) => (0, *head),
            BlockPart::Attention => (1, 0),
            BlockPart::Mlp => (2, 0),
            BlockPart::Conv => (3, 0),
        };
        grid.columns.sort_by_key(order);
        for (block, part, component, value) in parts {
            let row = grid.rows.iter().position(|row| *row == block);
            let column = grid.columns.iter().position(|column| *column == part);
            if let (Some(row), Some(column)) = (row, column) {
                grid.cells.push((row, column, component.to_string(), value));
            }
        }
        if grid.cells.is_empty() {
            return Err(Error::Chart(format!(
                "\"{}\" has no cells; give values of heads or MLPs, such as \"block 5 head 3\"",
                grid.title
            )));
        }
        finite(grid.cells.iter().map(|cell| (cell.2.as_str(), cell.3)))?;
        Ok(grid)
    }

    fn scale(&self) -> Scale {
        // Symmetric around zero, which is white, whatever signs there are: effects are read from zero.
        let most = self
            .cells
            .iter()
            .fold(0.0, |most: f64, cell| most.max(cell.3.abs()));
        match most > 0.0 {
            true => Scale::Signed(most as f32),
            false => Scale::Neutral(0.0),
        }
    }
}

impl Chart for HeadGrid {
    fn scene(&self) -> Result<Scene> {
        let format = Format::of(self.cells.iter().map(|cell| cell.3));
        let values: Vec<String> = self.cells.iter().map(|cell| format.write(cell.3)).collect();
        let widest = values
            .iter()
            .map(|v| font::width(v, 11.0, false) + 8.0)
            .fold(CELL, f64::max);
        let written = self.columns.len() <= WRITTEN && widest <= 90.0;
        let width = if written { widest } else { NARROW };
        let labels = self.rows.iter().map(|row| font::width(row, SIZE, false));
        let left = EDGE + labels.fold(0.0, f64::max) + 10.0;
        let right = left + width * self.columns.len() as f64;
        let scale = self.scale();
        let marks = scale.labels();
        let side = marks.iter().map(|mark| font::width(&mark.1, 11.5, false));
        let side = 16.0 + SCALE + 6.0 + side.fold(0.0, f64::max);
        let whole = (right + side + EDGE).max(480.0);
        let mut scene = Scene::new(whole, 0.0);
        let mut y = 34.0;
        for line in font::wrap(&self.title, TITLE, true, whole - 2.0 * EDGE, 3) {
            scene.text(&line, (EDGE, y), Anchor::Start, bold(TITLE, INK));
            y += 24.0;
        }
        for line in font::wrap(&self.legend, 12.5, false, whole - 2.0 * EDGE, 2) {
            scene.text(&line, (EDGE, y), Anchor::Start, plain(12.5, FAINT));
            y += 17.0;
        }
        let top = y + 34.0;
        let bottom = top + HEIGHT * self.rows.len() as f64;
        scene.height = bottom.max(top + 90.0) + 20.0;
        let heads = self
            .columns
            .iter()
            .filter(|part| matches!(part, BlockPart::Head(_)));
        let heads = heads.count() as f64;
        if heads > 0.0 {
            let place = (left + width * heads / 2.0, top - 24.0);
            scene.text("head", place, Anchor::Middle, plain(SIZE, INK));
        }
        for (c, part) in self.columns.iter().enumerate() {
            let place = (left + width * (c as f64 + 0.5), top - 7.0);
            scene.text(&heading(*part), place, Anchor::Middle, plain(11.5, FAINT));
        }
        for (r, row) in self.rows.iter().enumerate() {
            let middle = top + HEIGHT * (r as f64 + 0.5);
            scene.text(
                row,
                (left - 10.0, middle + 0.36 * SIZE),
                Anchor::End,
                plain(SIZE, INK),
            );
        }
        for ((row, column, name, value), text) in self.cells.iter().zip(&values) {
            let corner = (left + width * *column as f64, top + HEIGHT * *row as f64);
            let (hue, _) = scale.color(*value as f32);
            // A frame tells a value near zero, which is nearly white, from a place where there is no head.
            scene.rect(corner, (width - 1.0, HEIGHT - 1.0), GRID);
            let inner = (corner.0 + 1.0, corner.1 + 1.0);
            scene.rect(inner, (width - 3.0, HEIGHT - 3.0), hue);
            if written {
                let place = (corner.0 + width / 2.0, corner.1 + HEIGHT / 2.0 + 4.0);
                scene.text(text, place, Anchor::Middle, plain(11.0, color::ink_on(hue)));
            }
            let title = format!("{name}: {}", precise(*value));
            scene.hover(corner, (width - 1.0, HEIGHT - 1.0), title);
        }
        let x = right + 16.0;
        let height = (bottom - top).clamp(84.0, 220.0);
        scale_bar(&mut scene, scale, &marks, (x, top), (SCALE, height));
        scene.height = scene.height.max(top + height + 16.0);
        Ok(scene)
    }

    fn text(&self) -> String {
        let format = Format::of(self.cells.iter().map(|cell| cell.3));
        let heads = self.columns.iter().map(|part| match part {
            BlockPart::Head(head) => format!("head {head}"),
            part => heading(*part),
        });
        let table = Table::new(format!("{} ({})", self.title, self.legend))
            .columns(std::iter::once(String::new()).chain(heads));
        let rows = self.rows.iter().enumerate().map(|(r, row)| {
            let cell = |c: usize| {
                let found = self.cells.iter().find(|cell| (cell.0, cell.1) == (r, c));
                found.map_or(String::new(), |cell| format.write(cell.3))
            };
            let cells = (0..self.columns.len()).map(cell);
            std::iter::once(row.clone())
                .chain(cells)
                .collect::<Vec<_>>()
        });
        rows.fold(table, |table, row| table.row(row)).text()
    }
}

super::chart!(HeadGrid);
