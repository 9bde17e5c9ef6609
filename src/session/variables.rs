//! Which variables there are after a cell, and what became of the others.

use crate::eval::cell::{Cell, Lost, LostVariables, Variable, Variables};
use crate::eval::compiler::Report;
use crate::eval::items::depends_on;
use crate::eval::objections::has_name;
use crate::eval::plan::Mode;
use crate::output::pump::Ending;
use crate::syntax::last_result::RESULT;
use std::collections::BTreeSet;

/// A statement is quoted up to so many characters.
const LONGEST_QUOTE: usize = 60;

/// What usually helps with a value that cannot be kept.
const KEEP_A_COPY: &str =
    "keep a copy (`.clone()`, `.to_owned()`, `.to_vec()`), or use it within its cell";
const NAME_ITS_TYPE: &str = "box it with its type written (`let f: Box<dyn Fn(i32) -> i32> = Box::new(|x| x + 1);`), \
                             collect it, or use it within its cell";

/// The variables of a session, and those that are no more.
#[derive(Default)]
pub struct Names {
    pub variables: Variables,
    pub lost: LostVariables,
    /// Where the last result is, if it is in a place and not in a variable of its own ([`RESULT`]).
    pub last: Option<String>,
}

impl Names {
    /// The names of the variables whose type depends on something that is defined anew.
    pub fn depending_on(&self, affected: &BTreeSet<String>) -> Vec<String> {
        let variables = self.variables.iter();
        variables
            .filter(|(_, variable)| depends_on(&variable.kind, affected))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Takes variables out because of their type; says which.
    pub fn drop_depending(&mut self, names: &[String]) -> Vec<String> {
        let mut notes = Vec::new();
        for name in names {
            if let Some(variable) = self.variables.remove(name) {
                let kind = shorten(&variable.kind);
                let how = format!("was dropped: its type {kind} depends on what was defined anew");
                if name != RESULT {
                    notes.push(format!("`{name}` {how}"));
                }
                self.lose(name, how, None);
            }
        }
        notes
    }

    /// Takes every variable out.
    pub fn lose_all(&mut self, how: &str) -> Vec<String> {
        let variables = std::mem::take(&mut self.variables);
        for name in variables.keys() {
            self.lose(name, how.to_owned(), None);
        }
        self.last = None;
        let names = variables.into_keys();
        names.filter(|name| name != RESULT).collect()
    }

    fn lose(&mut self, name: &str, how: String, was: Option<Variable>) {
        self.lost.insert(name.to_owned(), Lost { how, was });
    }

    /// Learns from the compiler and from the cell which variables there are now. What is to be said of it is given back.
    pub fn settle(&mut self, cell: &Cell, report: &Report, ending: &Ending) -> Vec<String> {
        let mut notes = Vec::new();
        let mode = Mode::default();
        let kept = |number: usize| ending.kept.iter().find(|kept| kept.number == number);
        if ending.finished
            && let Some(place) = cell.place_shown()
        {
            self.last = Some(place);
        }
        for (number, planned) in cell.plan.variables.iter().enumerate() {
            let name = &planned.name;
            if cell.plan.result == Some(number) {
                self.settle_result(report.types.get(&number), kept(number).is_some());
                continue;
            }
            let kind = match planned.made {
                None => planned.kind.clone(),
                Some(_) => report.types.get(&number).cloned().or(planned.kind.clone()),
            };
            let variable = kind.map(|kind| Variable {
                kind,
                mutable: planned.mutable,
                error: None,
            });
            if let Some(kept) = kept(number) {
                let Some(mut variable) = variable else {
                    continue;
                };
                if !has_name(&variable.kind) {
                    self.variables.remove(name);
                    notes.push(format!(
                        "`{name}` is not kept: its type has no name; {NAME_ITS_TYPE}"
                    ));
                    self.lose(name, "was not kept: its type has no name".to_owned(), None);
                    continue;
                }
                variable.error.clone_from(&kept.error);
                if let Some(error) = &kept.error
                    && planned.made.is_some()
                {
                    notes.push(format!(
                        "`{name}` holds an error: {error} (`?` behind the call shows it and stops)"
                    ));
                }
                self.lost.remove(name);
                self.variables.insert(name.clone(), variable);
                continue;
            }
            // A later variable of the cell has its name.
            let last = cell.plan.variable(name, cell.plan.steps, &mode);
            if last != Some(number) && last.is_some_and(|last| kept(last).is_some()) {
                continue;
            }
            if planned.made.is_none() {
                self.variables.remove(name);
            } else if !ending.finished && planned.made >= Some(ending.step) {
                // The cell did not get that far.
                continue;
            }
            let was = variable.filter(|variable| has_name(&variable.kind));
            if let Some(step) = report.gone.get(&number) {
                let statement = cell.statements.get(*step).map_or("", String::as_str);
                let how = format!("was moved by `{}`", quote(statement));
                notes.push(format!("`{name}` {how}"));
                self.lose(name, how, was);
            } else if report.unkept.contains(&number) {
                notes.push(format!(
                    "`{name}` is not kept: it borrows from its cell; {KEEP_A_COPY}"
                ));
                self.lose(
                    name,
                    "was not kept: it borrowed from its cell".to_owned(),
                    None,
                );
            } else if last == Some(number) {
                let statement = cell.statements.get(ending.step).map_or("", String::as_str);
                let how = format!("was used up by `{}`, which failed", quote(statement));
                notes.push(format!("`{name}` {how}"));
                self.lose(name, how, was);
            }
        }
        notes
    }
}

impl Names {
    /// Learns what `_` is from now on. What borrows, or is `()`, is shown and no more: `_` stays what it was.
    fn settle_result(&mut self, kind: Option<&String>, is_kept: bool) {
        let Some(kind) = kind.filter(|_| is_kept) else {
            return;
        };
        self.last = None;
        if !has_name(kind) {
            self.variables.remove(RESULT);
            let how = "was not kept: its type has no name".to_owned();
            self.lose(RESULT, how, None);
            return;
        }
        let result = Variable {
            kind: kind.clone(),
            mutable: true,
            error: None,
        };
        self.lost.remove(RESULT);
        self.variables.insert(RESULT.to_owned(), result);
    }
}

/// The first line of a statement, shortened.
fn quote(statement: &str) -> String {
    let mut lines = statement.lines();
    let line = lines.next().unwrap_or_default().trim_end();
    let short: String = line.chars().take(LONGEST_QUOTE).collect();
    if short.len() < line.len() || lines.next().is_some() {
        format!("{short} ...")
    } else {
        short
    }
}

/// A type without the paths in it, as one would say it.
pub fn shorten(kind: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    let mut rest = kind.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else if c == ':' && rest.peek() == Some(&':') {
            rest.next();
            word.clear();
        } else {
            short.push_str(&std::mem::take(&mut word));
            short.push(c);
        }
    }
    short + &word
}
