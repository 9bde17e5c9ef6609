//! One evaluation: statements wrapped so that the session knows how they ended.
//!
//! evcxr says nothing of a `?` that returned early, waits for ever when a cell leaves an unfinished line
//! on its standard output, and compiles an expression twice when its type has no `evcxr_display`. So
//! each cell is sent as
//!
//! ```text
//! vitrepl_cell!();                 a guard, dropped however the cell ends
//! <statements as typed>
//! (
//! <last expression>
//! ).evcxr_display();               the type's own method, or the one of a trait over Debug
//! vitrepl_runtime::finish();       reached only when nothing returned early
//! ```
//!
//! and the guard ends the line and reports `finished`, `error` (a `?`) or `panicked`.

use crate::source::{Kind, Piece, Source};

/// Rich content in which a cell says how it ended.
pub const STATUS: &str = "application/x-vitrepl-status";

/// Line on the child's standard error after which nothing of the same cell follows.
pub const END_OF_CELL: &str = "VITREPL_END_OF_CELL";

/// Line on the child's standard output after a line end that is no output: it only ends a line that
/// the cell may have left unfinished, which evcxr would take for a part of its own messages.
pub const LINE_ENDED: &str = "VITREPL_LINE_ENDED";

/// Status of a cell whose last statement was reached.
pub const FINISHED: &str = "finished";

/// Items that every cell sees. The panic hook leaves out the place of a panic in the cell itself, which
/// is a line of generated code.
pub const RUNTIME: &str = r#"
mod vitrepl_runtime {
    use std::sync::atomic::{AtomicBool, Ordering};

    static FINISHED: AtomicBool = AtomicBool::new(false);

    pub fn finish() {
        FINISHED.store(true, Ordering::Relaxed);
    }

    pub struct Guard;

    impl Drop for Guard {
        fn drop(&mut self) {
            let status = if std::thread::panicking() {
                "panicked"
            } else if FINISHED.load(Ordering::Relaxed) {
                "finished"
            } else {
                "error"
            };
            println!("\nVITREPL_LINE_ENDED\nEVCXR_BEGIN_CONTENT application/x-vitrepl-status\n{status}\nEVCXR_END_CONTENT");
            eprintln!("VITREPL_END_OF_CELL");
        }
    }

    pub trait Show {
        fn evcxr_display(&self);
    }

    impl<T: std::fmt::Debug + ?Sized> Show for T {
        fn evcxr_display(&self) {
            if std::any::type_name::<T>() != "()" {
                println!("\nVITREPL_LINE_ENDED\nEVCXR_BEGIN_CONTENT text/plain\n{self:?}\nEVCXR_END_CONTENT");
            }
        }
    }

    pub fn catch_panics() {
        std::panic::set_hook(Box::new(|info| {
            let message = info.payload_as_str().unwrap_or("no message");
            match info.location().filter(|place| place.file() != "src/lib.rs") {
                Some(place) => eprintln!("panicked: {message} ({place})"),
                None => eprintln!("panicked: {message}"),
            }
        }));
    }
}

macro_rules! vitrepl_cell {
    () => {
        let _guard = vitrepl_runtime::Guard;
    };
}

use vitrepl_runtime::Show as _;
"#;

/// Statement that a fresh child runs first.
pub const PREPARE_CHILD: &str = "vitrepl_runtime::catch_panics();";

/// Whether a name belongs to the machinery, not to the user.
pub fn is_internal(name: &str) -> bool {
    name.starts_with("vitrepl_") || name.starts_with("evcxr_")
}

/// Code ready for evcxr, and where its lines come from.
pub struct Cell {
    pub code: String,
    /// For each line of `code`, the line (from 1) of the source; none for a generated one.
    lines: Vec<Option<usize>>,
}

impl Cell {
    /// Wraps neighbouring `pieces` of `source`, none of them a command, as one evaluation.
    ///
    /// Columns stay what they are in the source, so that errors point there.
    pub fn new(source: &Source, pieces: &[Piece]) -> Self {
        let mut cell = Cell {
            code: String::new(),
            lines: Vec::new(),
        };
        cell.generated("vitrepl_cell!();");
        if let (Some(first), Some(last)) = (pieces.first(), pieces.last()) {
            if last.kind == Kind::Expression {
                cell.original(source, first.code.start..last.code.start);
                cell.generated("(");
                cell.original(source, last.code.clone());
                cell.generated(").evcxr_display();");
            } else {
                cell.original(source, first.code.start..last.code.end);
                if last.kind == Kind::OpenLet {
                    cell.code.pop();
                    cell.code.push_str(";\n");
                }
            }
        }
        cell.generated("vitrepl_runtime::finish();");
        cell
    }

    /// The source line of a line (from 1) of `code`.
    pub fn source_line(&self, line: usize) -> Option<usize> {
        self.lines.get(line.checked_sub(1)?).copied().flatten()
    }

    fn generated(&mut self, line: &str) {
        self.code.push_str(line);
        self.code.push('\n');
        self.lines.push(None);
    }

    fn original(&mut self, source: &Source, range: std::ops::Range<usize>) {
        let text = source.text[range.clone()].trim_end();
        if text.is_empty() {
            return;
        }
        let (line, column) = source.position(range.start);
        self.code.push_str(&" ".repeat(column));
        self.code.push_str(text);
        self.code.push('\n');
        let count = text.matches('\n').count() + 1;
        self.lines.extend((line..line + count).map(Some));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_expression_is_displayed_and_lines_are_kept() {
        let source = Source::new("test", "let a = 1; let b = 2;\na +\n  b");
        let cell = Cell::new(&source, &source.pieces);
        assert_eq!(
            cell.code,
            "vitrepl_cell!();\nlet a = 1; let b = 2;\n(\na +\n  b\n).evcxr_display();\nvitrepl_runtime::finish();\n"
        );
        let lines: Vec<_> = (1..=7).map(|line| cell.source_line(line)).collect();
        assert_eq!(lines, [None, Some(1), None, Some(2), Some(3), None, None]);
    }

    #[test]
    fn columns_are_kept_in_the_middle_of_a_line() {
        let source = Source::new("test", "let a = 1; a");
        let cell = Cell::new(&source, &source.pieces);
        assert!(cell.code.contains("(\n           a\n)"), "{}", cell.code);
    }

    #[test]
    fn an_open_let_is_closed() {
        let source = Source::new("test", "let a = 1");
        assert!(
            Cell::new(&source, &source.pieces)
                .code
                .contains("let a = 1;\n")
        );
    }
}
