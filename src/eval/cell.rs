//! One evaluation: statements wrapped so that the session knows what they left behind and how they ended.
//!
//! evcxr can keep variables and items itself, but has rust-analyzer find the types of variables, which reads the sources
//! of the whole crate graph and of the standard library first (5 to 15 s), and puts items in no order. The compiler
//! knows the types anyway; so variables are kept by `vitrepl-runtime` (the crate in `prelude/runtime/`), items by
//! [`super::items`], and evcxr sees one statement. What its lines are is said in [`super::plan`].

use super::items::{Addition, Items};
use super::places;
use super::plan::{self, BEGIN, CELL_MARK, ITEMS_MARK, LINE_MARK, Line, Mode, Plan, SHOWN};
use super::statics;
use crate::syntax::last_result::{NEW_RESULT, RESULT, is_place, with_result};
use crate::syntax::statements::{Kind, Piece, Source, mentions};
use std::collections::BTreeMap;

/// A variable that later cells see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// As the compiler writes it, with paths.
    pub kind: String,
    pub mutable: bool,
    /// The error that it holds, if it is a `Result` with one.
    pub error: Option<String>,
}

pub type Variables = BTreeMap<String, Variable>;

/// A variable that is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What became of it: "was moved by `...`".
    pub how: String,
    /// What it was, where assigning to it brings it back.
    pub was: Option<Variable>,
}

/// The variables that are no more, by name.
pub type LostVariables = BTreeMap<String, Lost>;

/// Code ready for evcxr, and what it is made of.
pub struct Cell {
    pub code: String,
    pub plan: Plan,
    /// The text of each step.
    pub statements: Vec<String>,
    /// The source line of each line, where it has one.
    lines: Vec<Option<usize>>,
    /// What `_` stands for.
    last: String,
    /// The place that the cell shows, if its result is none of its own.
    shown: Option<String>,
}

impl Cell {
    /// Wraps neighbouring `pieces` of `source`, none of them a command, as one evaluation that sees `variables` and
    /// `items`, and with it those of `addition`. The last result is in a place, `last`, or in a variable of its own.
    ///
    /// Columns stay what they are in the source, so that errors point there.
    pub fn new(
        source: &Source,
        pieces: &[Piece],
        variables: &Variables,
        lost: &LostVariables,
        last: Option<&str>,
        items: &Items,
        addition: &Addition,
    ) -> Self {
        let defined = items;
        let (items, item_places) = defined.code(addition);
        let mut cell = Cell {
            code: String::new(),
            plan: Plan {
                items,
                item_places,
                behind: Items::behind(addition),
                ..Plan::default()
            },
            statements: Vec::new(),
            lines: Vec::new(),
            last: last.unwrap_or(RESULT).to_owned(),
            shown: None,
        };
        let (definitions, statements): (Vec<&Piece>, Vec<&Piece>) =
            pieces.iter().partition(|piece| piece.kind == Kind::Item);
        // Of these evcxr keeps account itself.
        let is_of_evcxr = |piece: &&&Piece| {
            let text = &source.text[piece.code.clone()];
            text.starts_with("#!") || text.starts_with("extern crate")
        };
        for piece in definitions.iter().filter(is_of_evcxr) {
            cell.original(source, piece.code.clone());
        }
        cell.generated(&format!("let _ = {{ {CELL_MARK}"));
        cell.plan.mark = cell.lines.len();
        for piece in definitions.iter().filter(|piece| !is_of_evcxr(piece)) {
            cell.item(source, piece, defined);
        }
        cell.generated(ITEMS_MARK);
        cell.generated(&format!(
            "#[allow(unused_imports)] use ::vitrepl_runtime::{{Show as _, ShowCommon as _, Unremarkable as _}}; {BEGIN}",
        ));
        let texts: Vec<String> = statements
            .iter()
            .map(|piece| cell.statement(source, piece))
            .collect();
        for (name, variable) in variables {
            if texts.iter().any(|text| mentions(text, name)) {
                cell.take(name, variable);
            }
        }
        cell.generated("#[allow(unused_labels)] let vitrepl_outcome = 'vitrepl_cell: {");
        for (step, piece) in statements.iter().enumerate() {
            cell.step(source, piece, step, step + 1 == statements.len(), lost);
        }
        cell.plan.steps = statements.len();
        cell.plan.is_one = statements.iter().any(|piece| piece.is_unset);
        for (step, _) in statements
            .iter()
            .enumerate()
            .filter(|(_, piece)| piece.is_unset)
        {
            // Only now they have a value.
            for number in cell.plan.made_by(step, &Mode::default()) {
                cell.line(Line::Type(number));
            }
        }
        for number in 0..cell.plan.variables.len() {
            let variable = &cell.plan.variables[number];
            let may_hold_error = variable
                .kind
                .as_ref()
                .is_none_or(|kind| kind.contains("Result<"));
            if may_hold_error && cell.plan.result != Some(number) {
                cell.line(Line::Note(number));
            }
        }
        for number in (0..cell.plan.variables.len()).rev() {
            cell.line(Line::Drop(number));
        }
        for number in 0..cell.plan.variables.len() {
            cell.line(Line::Keep(number));
        }
        cell.generated("::vitrepl_runtime::Outcome::finished() };");
        cell.generated("::std::mem::drop(vitrepl_outcome); };");
        let name = source.name.as_str();
        let lines = cell.lines.iter();
        cell.plan.places = places::runs(lines.map(|line| line.map(|line| (name, line))));
        cell
    }

    /// Has variables dropped that nothing can read any more.
    pub fn forget<'a>(&mut self, names: impl Iterator<Item = &'a String>) {
        let calls: String = names
            .map(|name| format!(" ::vitrepl_runtime::forget(\"{name}\");"))
            .collect();
        self.code = self.code.replacen(BEGIN, &format!("{BEGIN}{calls}"), 1);
    }

    /// The place that `_` means after the cell, in brackets where it is more than a name.
    pub fn place_shown(&self) -> Option<String> {
        let place = self.shown.as_ref()?;
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        Some(match place.chars().all(is_part) {
            true => place.clone(),
            false => format!("({place})"),
        })
    }

    /// The source line of a line (from 1) of `code`.
    pub fn source_line(&self, line: usize) -> Option<usize> {
        *self.lines.get(line.checked_sub(1)?)?
    }

    fn take(&mut self, name: &str, variable: &Variable) {
        self.plan.variables.push(plan::Variable {
            name: name.to_owned(),
            mutable: variable.mutable,
            made: None,
            kind: Some(variable.kind.clone()),
            is_back: false,
        });
        self.line(Line::Take(self.plan.variables.len() - 1));
    }

    fn step(
        &mut self,
        source: &Source,
        piece: &Piece,
        step: usize,
        is_last: bool,
        lost: &LostVariables,
    ) {
        let text = source.text[piece.code.clone()].trim();
        self.statements.push(text.to_owned());
        let first = self.plan.variables.len();
        if let Some(name) = &piece.assigned
            && !self.plan.variables.iter().any(|one| one.name == *name)
            && let Some(was) = lost.get(name).and_then(|lost| lost.was.as_ref())
        {
            self.plan.variables.push(plan::Variable {
                name: name.clone(),
                mutable: was.mutable,
                made: Some(step),
                kind: Some(was.kind.clone()),
                is_back: true,
            });
        }
        for made in &piece.bindings {
            self.plan.variables.push(plan::Variable {
                name: made.name.clone(),
                mutable: made.mutable,
                made: Some(step),
                kind: None,
                is_back: false,
            });
        }
        let is_value = piece.kind == Kind::Expression && piece.assigned.is_none();
        // Only the last value of a cell is its result.
        let value = self.statement(source, piece);
        if is_value && is_last && is_place(&value) {
            self.shown = Some(value.trim().to_owned());
        } else if is_value && is_last {
            self.plan.result = Some(self.plan.variables.len());
            self.plan.variables.push(plan::Variable {
                name: NEW_RESULT.to_owned(),
                mutable: true,
                made: Some(step),
                kind: None,
                is_back: false,
            });
        }
        self.line(Line::Open(step));
        match (piece.kind, self.plan.result) {
            (Kind::Expression, Some(result)) if is_last => {
                self.line(Line::Result(result));
                self.statement_as_typed(source, piece);
                self.line(Line::Show(result));
            }
            (Kind::Expression, _) if is_value => {
                self.generated("match &(");
                self.statement_as_typed(source, piece);
                self.generated(&match is_last {
                    true => format!(") {SHOWN} }};"),
                    false => ") { vitrepl_value => vitrepl_value.evcxr_display() };".to_owned(),
                });
            }
            (Kind::OpenLet | Kind::Expression, _) => {
                self.statement_as_typed(source, piece);
                self.code.pop();
                self.code.push_str(";\n");
            }
            _ => self.statement_as_typed(source, piece),
        }
        self.line(Line::Close(step));
        if !piece.is_unset {
            for variable in first..self.plan.variables.len() {
                self.line(Line::Type(variable));
            }
        }
    }

    /// An item as typed, but for its statics, which all cells share.
    fn item(&mut self, source: &Source, piece: &Piece, items: &Items) {
        let start = piece.code.start;
        let text = source.text[piece.code.clone()].trim_end();
        let mut written = text.to_owned();
        for (at, change) in statics::exports(text, items.living()).into_iter().rev() {
            if at.is_empty() && at.start == 0 {
                // On a line of its own it moves nothing.
                self.generated(&change);
            } else {
                written.replace_range(at, &change);
            }
        }
        if items.are_made_by(text) && !text.ends_with(['}', ';']) {
            written.push(';');
        }
        self.placed(source, start, &written);
    }

    /// A line of ours, in the mode in which the compiler begins.
    fn line(&mut self, line: Line) {
        let number = self.plan.lines.len();
        self.plan.lines.push(line);
        self.generated(&format!("{LINE_MARK}{number}"));
    }

    fn generated(&mut self, line: &str) {
        self.code.push_str(line);
        self.code.push('\n');
        self.lines.push(None);
    }

    /// A statement with the last result where `_` means it.
    fn statement(&self, source: &Source, piece: &Piece) -> String {
        with_result(&source.text[piece.code.clone()], &self.last).into_owned()
    }

    fn statement_as_typed(&mut self, source: &Source, piece: &Piece) {
        let text = self.statement(source, piece);
        let text = text.trim_end();
        if !text.is_empty() {
            self.placed(source, piece.code.start, text);
        }
    }

    fn original(&mut self, source: &Source, range: std::ops::Range<usize>) {
        let text = source.text[range.clone()].trim_end();
        if !text.is_empty() {
            self.placed(source, range.start, text);
        }
    }

    /// A text that stands at a byte of the source.
    fn placed(&mut self, source: &Source, start: usize, text: &str) {
        let (line, column) = source.position(start);
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

    fn cell(text: &str, variables: &[&str]) -> Cell {
        let source = Source::new("test", text);
        let variable = |name: &&str| {
            let variable = Variable {
                kind: "Vec<i32>".to_owned(),
                mutable: true,
                error: None,
            };
            ((*name).to_owned(), variable)
        };
        let variables = variables.iter().map(variable).collect();
        let gone = Lost {
            how: "was moved".to_owned(),
            was: Some(Variable {
                kind: "u8".to_owned(),
                mutable: false,
                error: None,
            }),
        };
        let lost = [("gone".to_owned(), gone)].into();
        let items = Items::default();
        let addition = items.addition([].into_iter());
        Cell::new(
            &source,
            &source.pieces,
            &variables,
            &lost,
            None,
            &items,
            &addition,
        )
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
        let [open, show] = [Line::Result(2), Line::Show(2)].map(|wanted| {
            let lines = cell.plan.lines.iter();
            let number = lines.clone().position(|line| *line == wanted).unwrap();
            format!("{LINE_MARK}{number}\n")
        });
        let shown = format!("{open}a +\n  b\n{show}");
        assert!(cell.code.contains(&shown), "{}", cell.code);
        let names: Vec<_> = cell
            .plan
            .variables
            .iter()
            .map(|one| (one.name.as_str(), one.made))
            .collect();
        let wanted = [("a", Some(0)), ("b", Some(1)), (NEW_RESULT, Some(2))];
        assert_eq!(names, wanted);
    }

    #[test]
    fn items_come_first_and_only_mentioned_variables_are_taken() {
        let cell = cell("a.len();\nfn f() {}\nlet c = a;", &["a", "b"]);
        let items = format!("let _ = {{ {CELL_MARK}\nfn f() {{}}\n{ITEMS_MARK}\n");
        assert!(cell.code.starts_with(&items), "{}", cell.code);
        let taken: Vec<_> = cell
            .plan
            .variables
            .iter()
            .filter(|one| one.made.is_none())
            .collect();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].name, "a");
    }

    #[test]
    fn an_open_let_is_closed() {
        assert!(cell("let a = 1", &[]).code.contains("let a = 1;\n"));
    }

    #[test]
    fn assigning_to_what_is_gone_makes_it_again() {
        let back = &cell("gone = 5;", &[]).plan.variables[0];
        assert!(back.is_back && back.made == Some(0) && back.name == "gone");
        let other = cell("gone + 5", &[]).plan.variables;
        assert!(
            other.iter().all(|made| made.name == NEW_RESULT),
            "{other:?}"
        );
    }
}
