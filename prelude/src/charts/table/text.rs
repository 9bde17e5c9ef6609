//! A table as characters: in blocks of columns no wider than a screen, as pandas prints a wide frame.

use comfy_table::modifiers::UTF8_ROUND_CORNERS;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width};

use super::{Table, at};
use crate::facts;

/// The characters of a line where `COLUMNS` does not tell how many the terminal has.
const LINE: usize = 150;

/// A name of a column is broken at spaces rather than make its column wider than this.
const NAME: usize = 14;

/// A column of text is not made narrower than this for others to fit beside it.
const TEXT: usize = 50;

/// The border and the two spaces that a cell takes beside its text.
const FRAME: usize = 3;

/// Characters of a line: what `COLUMNS` says within reason, as Python's `shutil.get_terminal_size` has it.
fn line() -> usize {
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|columns| columns.parse().ok());
    told.map_or(LINE, |columns: usize| columns.clamp(60, 200))
}

fn characters(text: &str) -> usize {
    text.lines()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or(0)
}

/// Characters that a column takes: its longest cell, and of its name the longest word or as much as [`NAME`] allows.
fn width(table: &Table, c: usize) -> usize {
    let cells = table.rows.iter().map(|row| characters(at(row, c))).max();
    let name = table.column(c);
    let word = name.split_whitespace().map(characters).max().unwrap_or(0);
    let name = word.max(characters(name).min(NAME));
    cells.unwrap_or(0).max(name).max(1)
}

/// Makes columns of text narrower, the widest first, as far as all columns are to fit in a line.
fn narrow(table: &Table, widths: &mut [usize], line: usize) {
    let taken: usize = widths.iter().map(|width| width + FRAME).sum();
    let mut over = (taken + 1).saturating_sub(line);
    let mut columns: Vec<usize> = (0..widths.len())
        .filter(|c| widths[*c] > TEXT && !table.is_number(*c))
        .collect();
    columns.sort_by_key(|c| std::cmp::Reverse(widths[*c]));
    for c in columns {
        let less = over.min(widths[c] - TEXT);
        widths[c] -= less;
        over -= less;
    }
}

/// Columns side by side in lines of `line` characters: every block begins with column 0, which names its rows.
fn blocks(widths: &[usize], line: usize) -> Vec<Vec<usize>> {
    let taken = |c: usize| widths[c] + FRAME;
    let first = taken(0) + 1;
    let mut blocks = vec![vec![0]];
    let mut used = first;
    for c in 1..widths.len() {
        let block = blocks.last_mut().expect("there is a first block");
        if block.len() > 1 && used + taken(c) > line {
            used = first + taken(c);
            blocks.push(vec![0, c]);
        } else {
            used += taken(c);
            block.push(c);
        }
    }
    blocks
}

impl Table {
    /// The table in lines of at most `line` characters; text too long for its column is broken at spaces.
    fn lines(&self, line: usize) -> String {
        let mut widths: Vec<usize> = (0..self.width()).map(|c| width(self, c)).collect();
        narrow(self, &mut widths, line);
        let mut out = String::new();
        if !self.title.is_empty() {
            out += &format!("{}\n", facts::wrapped(&self.title, line));
        }
        if widths.is_empty() {
            return out;
        }
        for block in blocks(&widths, line) {
            let mut drawn = comfy_table::Table::new();
            drawn
                .load_preset(UTF8_FULL_CONDENSED)
                .apply_modifier(UTF8_ROUND_CORNERS)
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(u16::try_from(line).unwrap_or(u16::MAX));
            if !self.columns.is_empty() {
                drawn.set_header(block.iter().map(|&c| self.column(c)));
            }
            for row in &self.rows {
                drawn.add_row(block.iter().map(|&c| at(row, c)));
            }
            for (place, &c) in block.iter().enumerate() {
                let Some(column) = drawn.column_mut(place) else {
                    continue;
                };
                let limit = u16::try_from(widths[c] + FRAME - 1).unwrap_or(u16::MAX);
                column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(limit)));
                if self.is_number(c) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
            out += &format!("{drawn}\n");
        }
        out
    }

    /// The table as characters, in lines as wide as the terminal (`COLUMNS`), or of 150.
    pub(super) fn characters(&self) -> String {
        self.lines(line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(columns: usize) -> Table {
        let names =
            (0..columns).map(|c| format!("tiny_vit{c}, own head, random orders, mean of 3"));
        let all = ["layers switched off".to_owned()].into_iter().chain(names);
        let cells = |row: usize| (0..=columns).map(move |c| format!("{row}{c}.25"));
        Table::new("Layers switched off")
            .columns(all)
            .row(cells(1))
            .row(cells(2))
    }

    #[test]
    fn a_wide_table_comes_in_blocks_that_each_name_their_rows() {
        let text = wide(20).lines(100);
        assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
        let heads = text.matches('╭').count();
        assert!(heads > 1, "{text}");
        assert_eq!(text.matches(" 10.25 ").count(), heads, "{text}");
        for c in 1..=20 {
            assert_eq!(
                text.matches(&format!(" 2{c}.25 ")).count(),
                1,
                "{c}: {text}"
            );
        }
        assert!(text.starts_with("Layers switched off\n"));
    }

    #[test]
    fn a_narrow_table_stays_in_one_piece_and_long_text_is_broken_in_its_cell() {
        assert_eq!(wide(3).lines(100).matches('╭').count(), 1);
        let told = "a sentence that goes on ".repeat(20);
        let table = Table::new("").columns(["what", "told"]).row(["one", &told]);
        let text = table.lines(80);
        assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
        assert_eq!(text.matches("sentence").count(), 20, "{text}");
    }

    #[test]
    fn columns_of_text_make_room_for_those_beside_them() {
        let told = "word ".repeat(30);
        let table =
            Table::new("")
                .columns(["kind", "what", "size"])
                .row(["one", told.trim(), "12.5"]);
        let text = table.lines(100);
        assert_eq!(text.matches('╭').count(), 1, "{text}");
        let row = text.lines().find(|line| line.contains("one")).unwrap();
        assert!(row.contains("12.5") && row.chars().count() <= 100, "{text}");
        assert_eq!(text.matches("word").count(), 30, "{text}");
    }

    #[test]
    fn a_long_title_is_broken_at_spaces() {
        let text = Table::new("a title that goes on ".repeat(12))
            .columns(["a"])
            .row(["b"])
            .lines(80);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert_eq!(text.matches("title").count(), 12, "{text}");
    }

    #[test]
    fn a_table_without_columns_or_rows_is_its_title() {
        assert_eq!(Table::new("Nothing").lines(80), "Nothing\n");
    }
}
