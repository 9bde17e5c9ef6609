//! One evaluation: statements wrapped so that the session knows what they left behind and how they ended.
//!
//! evcxr can keep variables itself, but has rust-analyzer find their types, which reads the sources of the whole
//! crate graph and of the standard library first (5 to 15 s). The compiler knows the types anyway; so variables are
//! kept by `vitrepl-runtime` (the crate in `runtime/`), and evcxr sees items and one statement:
//!
//! ```text
//! <items as typed>
//! let _ = { use vitrepl_runtime::Show as _;
//! let mut kept = vitrepl_runtime::take::<Vec<i32>>("kept");     each variable that is mentioned
//! let outcome = vitrepl_runtime::run(|| -> Result<(), _> {      ends early returns and panics
//! <statements as typed>
//! ( <last expression> ).evcxr_display();                        the type's own method, or one over Debug
//! drop(&new);                                                   the compiler's lint names the type here
//! vitrepl_runtime::keep("new", new);                            each variable that a `let` makes
//! Ok(()) });
//! vitrepl_runtime::keep("kept", kept);
//! };
//! ```
//!
//! Generated lines that concern a variable end with a mark, by which [`crate::cell_compiler`] knows them.

use crate::source::{Binding, Kind, Piece, Source, mentions};
use std::collections::BTreeMap;

/// Ends a line at which the compiler names the type of a variable.
pub const TYPE_MARK: &str = "//vitrepl type ";

/// Ends a line that gives a variable back, which cannot be when it has been moved away.
pub const KEEP_MARK: &str = "//vitrepl keep ";

/// A variable that later cells see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// As the compiler writes it, with paths.
    pub kind: String,
    pub mutable: bool,
}

pub type Variables = BTreeMap<String, Variable>;

/// Whether a name belongs to the machinery, not to the user.
pub fn is_internal(name: &str) -> bool {
    name.starts_with("vitrepl_") || name.starts_with("evcxr_")
}

/// Where a line of a cell comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// This line (from 1) of the source.
    Source(usize),
    /// Generated for the variable of this name.
    Variable(String),
    Generated,
}

/// Code ready for evcxr, and what it is made of.
pub struct Cell {
    pub code: String,
    lines: Vec<Origin>,
    /// Variables that the cell makes.
    pub made: Vec<Binding>,
}

impl Cell {
    /// Wraps neighbouring `pieces` of `source`, none of them a command, as one evaluation that sees `variables`.
    ///
    /// Columns stay what they are in the source, so that errors point there.
    pub fn new(source: &Source, pieces: &[Piece], variables: &Variables) -> Self {
        let mut cell = Cell {
            code: String::new(),
            lines: Vec::new(),
            made: Vec::new(),
        };
        let (items, statements): (Vec<&Piece>, Vec<&Piece>) =
            pieces.iter().partition(|piece| piece.kind == Kind::Item);
        for item in items {
            cell.original(source, item.code.clone());
        }
        for made in statements.iter().flat_map(|piece| &piece.bindings) {
            cell.made.retain(|earlier| earlier.name != made.name);
            cell.made.push(made.clone());
        }
        let mentioned: Vec<_> = variables
            .iter()
            .filter(|(name, _)| {
                let code = |piece: &&Piece| mentions(&source.text[piece.code.clone()], name);
                statements.iter().any(code)
            })
            .collect();
        cell.generated(
            "let _ = { #[allow(unused_imports)] use ::vitrepl_runtime::Show as _; ::vitrepl_runtime::begin();",
        );
        for (name, variable) in &mentioned {
            cell.about(
                name,
                &format!(
                    "let {}{name} = ::vitrepl_runtime::take::<{}>(\"{name}\");",
                    if variable.mutable { "mut " } else { "" },
                    variable.kind
                ),
            );
        }
        cell.generated(
            "let vitrepl_step = ::vitrepl_runtime::step(|| -> ::std::result::Result<(), ::vitrepl_runtime::Failed> {",
        );
        cell.statements(source, &statements);
        let made: Vec<String> = cell.made.iter().map(|made| made.name.clone()).collect();
        for name in &made {
            cell.about(
                name,
                &format!("::std::mem::drop(&{name});{TYPE_MARK}{name}"),
            );
        }
        for name in &made {
            let keep = format!("::vitrepl_runtime::keep(\"{name}\", {name});{KEEP_MARK}{name}");
            cell.about(name, &keep);
        }
        cell.generated("::std::result::Result::Ok(()) });");
        cell.generated(
            "let (vitrepl_finished, vitrepl_outcome) = match vitrepl_step { \
             Ok(()) => (true, ::vitrepl_runtime::Outcome::finished()), Err(outcome) => (false, outcome) };",
        );
        for (name, _) in &mentioned {
            // One that the cell has made anew stays what it was where the cell did not get that far.
            let unless = if made.contains(name) {
                "if !vitrepl_finished "
            } else {
                ""
            };
            let keep = format!(
                "{unless}{{ ::vitrepl_runtime::keep(\"{name}\", {name}); }}{KEEP_MARK}{name}"
            );
            cell.about(name, &keep);
        }
        cell.generated("::std::mem::drop(vitrepl_outcome); };");
        cell
    }

    /// The source line of a line (from 1) of `code`.
    pub fn source_line(&self, line: usize) -> Option<usize> {
        match self.lines.get(line.checked_sub(1)?)? {
            Origin::Source(line) => Some(*line),
            _ => None,
        }
    }

    /// The variable for which a line (from 1) of `code` was generated.
    pub fn variable(&self, line: usize) -> Option<&str> {
        match self.lines.get(line.checked_sub(1)?)? {
            Origin::Variable(name) => Some(name),
            _ => None,
        }
    }

    fn statements(&mut self, source: &Source, statements: &[&Piece]) {
        for piece in statements {
            match piece.kind {
                Kind::Expression => {
                    self.generated("match &(");
                    self.original(source, piece.code.clone());
                    self.generated(
                        ") { vitrepl_value => { let vitrepl_display = ::vitrepl_runtime::Displaying::begin(); \
                         vitrepl_value.evcxr_display(); ::std::mem::drop(vitrepl_display); } };",
                    );
                }
                Kind::OpenLet => {
                    self.original(source, piece.code.clone());
                    self.code.pop();
                    self.code.push_str(";\n");
                }
                _ => self.original(source, piece.code.clone()),
            }
        }
    }

    fn generated(&mut self, line: &str) {
        self.line(line, Origin::Generated);
    }

    fn about(&mut self, name: &str, line: &str) {
        self.line(line, Origin::Variable(name.to_owned()));
    }

    fn line(&mut self, line: &str, origin: Origin) {
        self.code.push_str(line);
        self.code.push('\n');
        self.lines.push(origin);
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
        self.lines.extend((line..line + count).map(Origin::Source));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str, variables: &[&str]) -> Cell {
        let source = Source::new("test", text);
        let variable = |name: &&str| {
            let variable = Variable {
                kind: "Vec<i32>".to_owned(),
                mutable: true,
            };
            ((*name).to_owned(), variable)
        };
        let variables = variables.iter().map(variable).collect();
        Cell::new(&source, &source.pieces, &variables)
    }

    /// The lines from the source, with their numbers there.
    fn original(cell: &Cell) -> Vec<(usize, &str)> {
        let lines = cell.code.lines().enumerate();
        lines
            .filter_map(|(at, line)| Some((cell.source_line(at + 1)?, line)))
            .collect()
    }

    #[test]
    fn the_last_expression_is_displayed_and_lines_are_kept() {
        let cell = cell("let a = 1; let b = 2;\na +\n  b", &[]);
        assert_eq!(
            original(&cell),
            [
                (1, "let a = 1;"),
                (1, "           let b = 2;"),
                (2, "a +"),
                (3, "  b")
            ]
        );
        assert!(cell.code.contains("match &(\na +\n  b\n) {"));
        let names: Vec<_> = cell.made.iter().map(|made| made.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn items_come_first_and_only_mentioned_variables_are_taken() {
        let cell = cell("a.len();\nfn f() {}\nlet c = a;", &["a", "b"]);
        assert!(
            cell.code.starts_with("fn f() {}\nlet _ = {"),
            "{}",
            cell.code
        );
        assert!(
            cell.code
                .contains("let mut a = ::vitrepl_runtime::take::<Vec<i32>>(\"a\");\n")
        );
        assert!(!cell.code.contains("\"b\""), "{}", cell.code);
        let kept = cell
            .code
            .lines()
            .position(|line| line.ends_with("//vitrepl keep a"));
        assert_eq!(cell.variable(kept.unwrap() + 1), Some("a"));
    }

    #[test]
    fn a_variable_made_anew_comes_back_when_the_cell_fails() {
        let cell = cell("let a = a.len();", &["a"]);
        assert!(
            cell.code
                .contains("if !vitrepl_finished { ::vitrepl_runtime::keep(\"a\", a); }")
        );
    }

    #[test]
    fn an_open_let_is_closed() {
        assert!(cell("let a = 1", &[]).code.contains("let a = 1;\n"));
    }
}
