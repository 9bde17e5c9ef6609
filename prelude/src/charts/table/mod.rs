//! Tables: drawn with box characters in a terminal, HTML in a notebook.

mod markup;
mod text;

use super::color::{BAND, FAINT, GRID, INK};
use super::font;
use super::hover::escape;
use super::render::{Chart, block};
use super::scene::{Anchor, Scene, bold, plain};
use crate::{Error, Result};

/// Rows of cells under column names. Columns of numbers are set to the right.
#[derive(Clone)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

const EDGE: f64 = 24.0;
const SIZE: f64 = 13.0;
const ROW: f64 = 27.0;
/// Wider cells are shortened in a picture.
const CELL: f64 = 420.0;

impl Table {
    /// An empty table; an empty title shows none.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            columns: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// With these column names.
    pub fn columns<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.columns = names.into_iter().map(Into::into).collect();
        self
    }

    /// With one more row; a short one is filled up with empty cells.
    pub fn row<S: Into<String>>(mut self, cells: impl IntoIterator<Item = S>) -> Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }

    /// The table as HTML, escaped.
    pub fn html(&self) -> String {
        let cell = |tag: &str, text: &str, right: bool| {
            let side = if right { "right" } else { "left" };
            format!(
                "<{tag} style=\"text-align:{side}\">{}</{tag}>",
                escape(text)
            )
        };
        let line = |tag: &str, cells: &dyn Fn(usize) -> String| {
            let cells: String = (0..self.width())
                .map(|c| cell(tag, &cells(c), self.is_number(c)))
                .collect();
            format!("<tr>{cells}</tr>\n")
        };
        let mut out = "<table>\n".to_owned();
        if !self.title.is_empty() {
            out += &format!(
                "<caption style=\"caption-side:top;text-align:left;font-weight:bold\">{}</caption>\n",
                escape(&self.title)
            );
        }
        if !self.columns.is_empty() {
            let head = line("th", &|c| self.column(c).to_owned());
            out += &format!("<thead>{head}</thead>\n");
        }
        out += "<tbody>\n";
        for row in &self.rows {
            out += &line("td", &|c| at(row, c).to_owned());
        }
        out + "</tbody>\n</table>"
    }

    /// The table as comma-separated values (RFC 4180), without its title.
    pub fn csv(&self) -> String {
        let field = |text: &str| match text.contains(['"', ',', '\n', '\r']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text.to_owned(),
        };
        let line = |cells: &[String]| {
            let fields: Vec<String> = (0..self.width()).map(|c| field(at(cells, c))).collect();
            fields.join(",") + "\r\n"
        };
        let head = (!self.columns.is_empty()).then(|| line(&self.columns));
        head.into_iter()
            .chain(self.rows.iter().map(|r| line(r)))
            .collect()
    }

    fn title(&self) -> &str {
        &self.title
    }

    fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    fn has_columns(&self) -> bool {
        !self.columns.is_empty()
    }

    fn width(&self) -> usize {
        let rows = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        rows.max(self.columns.len())
    }

    fn column(&self, c: usize) -> &str {
        at(&self.columns, c)
    }

    /// Whether every cell of a column is a number, or two with an arrow, a percentage or missing.
    fn is_number(&self, c: usize) -> bool {
        let numeric = |cell: &str| {
            cell.split("->").flat_map(|s| s.split('→')).all(|part| {
                let part = part.trim().trim_end_matches('%').replace('−', "-");
                part.is_empty() || part == "–" || part.parse::<f64>().is_ok()
            })
        };
        self.rows.iter().all(|r| numeric(at(r, c)))
            && !self.rows.iter().all(|r| at(r, c).is_empty())
    }
}

fn at(cells: &[String], c: usize) -> &str {
    cells.get(c).map_or("", String::as_str)
}

impl Chart for Table {
    fn scene(&self) -> Result<Scene> {
        if self.width() == 0 {
            return Err(Error::Chart(format!(
                "table \"{}\" is empty; add rows with .row(cells)",
                self.title
            )));
        }
        let shorten = |text: &str, heavy| font::fit(text, SIZE, heavy, CELL);
        let widths: Vec<f64> = (0..self.width())
            .map(|c| {
                let head = font::width(&shorten(self.column(c), true), SIZE, true);
                let cells = self
                    .rows
                    .iter()
                    .map(|r| font::width(&shorten(at(r, c), false), SIZE, false));
                cells.fold(head, f64::max) + 28.0
            })
            .collect();
        let inner = widths.iter().sum::<f64>();
        let title_width = font::width(&self.title, 18.0, true).min(860.0);
        let top = if self.title.is_empty() { 16.0 } else { 52.0 };
        let head = if self.columns.is_empty() { 0.0 } else { ROW };
        let height = top + head + ROW * self.rows.len() as f64;
        let mut scene = Scene::new(inner.max(title_width) + 2.0 * EDGE, height + 20.0);
        if !self.title.is_empty() {
            let title = font::fit(&self.title, 18.0, true, inner.max(title_width));
            scene.text(&title, (EDGE, 34.0), Anchor::Start, bold(18.0, INK));
        }
        let put = |scene: &mut Scene, y: f64, cells: &[String], heavy: bool| {
            let mut x = EDGE;
            for (c, width) in widths.iter().enumerate() {
                let text = shorten(at(cells, c), heavy);
                let base = y + ROW / 2.0 + 0.36 * SIZE;
                let how = if heavy {
                    bold(SIZE, INK)
                } else {
                    plain(SIZE, INK)
                };
                match self.is_number(c) {
                    true => scene.text(&text, (x + width - 14.0, base), Anchor::End, how),
                    false => scene.text(&text, (x + 14.0, base), Anchor::Start, how),
                }
                let cell = at(cells, c);
                if !cell.is_empty() {
                    // A cell that is shortened shows the whole of it.
                    let title = match (heavy || c == 0, self.column(c)) {
                        (true, _) | (false, "") => cell.to_owned(),
                        (false, column) => format!("{}, {column}: {cell}", at(cells, 0)),
                    };
                    scene.hover((x, y), (*width, ROW), title.trim_start_matches(", "));
                }
                x += width;
            }
        };
        for (i, row) in self.rows.iter().enumerate() {
            let y = top + head + ROW * i as f64;
            if i % 2 == 0 {
                scene.rect((EDGE, y), (inner, ROW), BAND);
            }
            put(&mut scene, y, row, false);
        }
        if !self.columns.is_empty() {
            put(&mut scene, top, &self.columns, true);
            scene.line(
                vec![(EDGE, top + ROW), (EDGE + inner, top + ROW)],
                FAINT,
                1.0,
            );
        }
        scene.line(vec![(EDGE, height), (EDGE + inner, height)], GRID, 1.0);
        Ok(scene)
    }

    fn text(&self) -> String {
        self.characters()
    }

    fn content(&self, extension: &str) -> Option<Result<Vec<u8>>> {
        match extension {
            "svg" => Some(self.scene().and_then(|s| s.svg()).map(String::into_bytes)),
            "png" => Some(self.scene().and_then(|s| s.png())),
            "pdf" => Some(self.scene().and_then(|s| s.pdf())),
            "md" => Some(Ok(self.markdown().into_bytes())),
            "tex" => Some(Ok(self.latex().into_bytes())),
            "html" => Some(Ok(self.html().into_bytes())),
            "csv" => Some(Ok(self.csv().into_bytes())),
            "txt" => Some(Ok(self.text().into_bytes())),
            _ => None,
        }
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["csv", "html", "md", "pdf", "png", "svg", "tex", "txt"]
    }

    /// A table is text: HTML for a notebook, characters for a terminal, and no picture.
    fn blocks(&self) -> String {
        block("text/html", &self.html()) + &block("text/plain", &self.text())
    }
}

super::chart!(Table);
