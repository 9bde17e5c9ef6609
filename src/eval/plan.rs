//! How the statements of a cell are put between lines of ours, and what of that changes when the compiler objects.
//!
//! Each statement is a step of its own: a closure that gives the variables it makes to the code around it. So a step
//! that fails leaves those of the steps before it, and what it only borrows stays where it is:
//!
//! ```text
//! let _ = {                                                      the items of the cell follow, up to a mark
//! let mut kept = take::<Vec<i32>>("kept");                       each variable of earlier cells that is mentioned
//! let outcome = 'cell: {
//! let (new,) = match step(|| -> Result<_, Failed> {              opens a step
//! <statement as typed>
//! Ok((new,)) }) { Ok(v) => v, Err(outcome) => { keep("kept", kept); break 'cell outcome } };
//! drop(&new);                                                    the compiler's lint names the type here
//! ...
//! keep("kept", kept); keep("new", new);                          a line each
//! Outcome::finished() };
//! drop(outcome); };
//! ```
//!
//! A statement that moves a variable and puts something back takes it along: its step gives it back with the others
//! (it is *threaded*). What is moved for good is not kept from there on, and neither is what borrows from the cell.
//! Which of these it is only the compiler knows; [`super::compiler`] tries the first form, and writes the lines anew in
//! another [`Mode`] when it objects. Lines stay where they are, so that errors keep their places.

use super::places::Run;
use crate::syntax::last_result::RESULT;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The call by which a cell begins.
pub const BEGIN: &str = "::vitrepl_runtime::begin();";

/// Ends the first line of a cell.
pub const CELL_MARK: &str = "//vitrepl cell";

/// Ends the line behind the items of a cell.
pub const ITEMS_MARK: &str = "//vitrepl items";

/// Ends every line that is written anew in another mode, before its number.
pub const LINE_MARK: &str = "//vitrepl line ";

/// Shows a value as the result of a cell: an arm of a `match`, up to its end.
pub const SHOWN: &str = "{ vitrepl_value => { let vitrepl_display = ::vitrepl_runtime::Displaying::begin(); \
                     vitrepl_value.evcxr_display(); ::std::mem::drop(vitrepl_display); }";

/// More calls than this (steps times variables) would take long to compile: the cell becomes one step.
const MOST_CALLS: usize = 4000;

/// A variable of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    pub name: String,
    pub mutable: bool,
    /// The step that makes it; none for one of an earlier cell.
    pub made: Option<usize>,
    /// Its type, where it is known before the cell is compiled.
    pub kind: Option<String>,
    /// It was moved away by an earlier cell, and is assigned to by this one.
    pub is_back: bool,
}

impl Variable {
    /// What a `let` binds: `mut name`, `name`.
    fn pattern(&self) -> String {
        let mutable = if self.mutable { "mut " } else { "" };
        format!("{mutable}{}", self.name)
    }

    /// Its type, or the one that the compiler finds.
    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("_")
    }
}

/// A line of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    Take(usize),
    Open(usize),
    Close(usize),
    /// The compiler names the type of a variable here.
    Type(usize),
    /// The variable may be a `Result` that holds an error.
    Note(usize),
    /// What borrows from others ends before these are kept.
    Drop(usize),
    Keep(usize),
    /// Before and behind the expression whose value is the result of the cell; its variable.
    Result(usize),
    Show(usize),
}

/// What a cell consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub variables: Vec<Variable>,
    pub steps: usize,
    /// The steps cannot be told apart: one gives a value to a variable that another declares.
    pub is_one: bool,
    /// The variable that the result of the cell becomes.
    pub result: Option<usize>,
    /// In the order of the code.
    pub lines: Vec<Line>,
    /// Items of earlier cells.
    pub items: String,
    /// Where their lines come from.
    pub item_places: Vec<Run>,
    /// Where the lines of the cell come from, as evcxr is given it.
    pub places: Vec<Run>,
    /// The line (from 1) of these that ends with [`CELL_MARK`].
    pub mark: usize,
    /// Code behind everything else.
    pub behind: String,
}

/// What the compiler has taught about a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// All statements are one step.
    pub merged: bool,
    /// Nothing is kept: the compiler is only asked what is wrong with the statements.
    pub plain: bool,
    /// Variables that a step takes along and gives back.
    pub threaded: BTreeSet<(usize, usize)>,
    /// Variables that a step moves away.
    pub gone: BTreeMap<usize, usize>,
    /// Variables that borrow from the cell.
    pub unkept: BTreeSet<usize>,
    /// The result is shown where it stands, and no variable is made of it.
    pub shown_only: bool,
}

impl Plan {
    /// The mode to begin with.
    pub fn first_mode(&self) -> Mode {
        Mode {
            merged: self.is_one || self.steps * self.variables.len() > MOST_CALLS,
            ..Mode::default()
        }
    }

    /// The text of a line of ours, with its mark.
    pub fn render(&self, number: usize, mode: &Mode) -> String {
        let text = match self.lines[number] {
            Line::Take(variable) => self.take(variable),
            Line::Open(step) => self.open(step, mode),
            Line::Close(step) => self.close(step, mode),
            Line::Result(_) if self.is_shown_only(mode) => "match &(".to_owned(),
            Line::Result(variable) => format!("let {} = (", self.variables[variable].pattern()),
            Line::Show(_) if self.is_shown_only(mode) => format!(") {SHOWN} }};"),
            Line::Show(variable) => {
                format!("); match &{} {SHOWN} }};", self.variables[variable].name)
            }
            Line::Type(_) if mode.plain => String::new(),
            Line::Type(variable) if self.is_not_made(variable, mode) => String::new(),
            Line::Type(variable) => {
                format!("::std::mem::drop(&{});", self.variables[variable].name)
            }
            Line::Note(variable) | Line::Keep(variable) if !self.is_kept(variable, mode) => {
                String::new()
            }
            Line::Note(variable) => {
                let name = &self.variables[variable].name;
                format!("::vitrepl_runtime::Inspected(&{name}).note(\"{name}\");")
            }
            Line::Keep(variable) => self.keep(variable),
            Line::Drop(variable)
                if self.is_there(variable, mode) && mode.unkept.contains(&variable) =>
            {
                self.drop(variable)
            }
            Line::Drop(_) => String::new(),
        };
        format!("{text}{LINE_MARK}{number}")
    }

    fn is_shown_only(&self, mode: &Mode) -> bool {
        mode.plain || mode.shown_only
    }

    /// Whether a variable is the result, of which none is made.
    fn is_not_made(&self, variable: usize, mode: &Mode) -> bool {
        self.is_shown_only(mode) && self.result == Some(variable)
    }

    fn take(&self, variable: usize) -> String {
        let variable = &self.variables[variable];
        let (pattern, kind, name) = (variable.pattern(), variable.kind(), &variable.name);
        format!("let {pattern} = ::vitrepl_runtime::take::<{kind}>(\"{name}\");")
    }

    fn keep(&self, variable: usize) -> String {
        let name = &self.variables[variable].name;
        if self.result == Some(variable) {
            return format!(
                "::vitrepl_runtime::keep_result(\"{RESULT}\", \"{name}\", {variable}, {name});"
            );
        }
        format!("::vitrepl_runtime::keep(\"{name}\", {variable}, {name});")
    }

    fn drop(&self, variable: usize) -> String {
        format!("::std::mem::drop({});", self.variables[variable].name)
    }

    /// The step that a step is a part of.
    pub fn step(&self, step: usize, mode: &Mode) -> usize {
        if mode.merged { 0 } else { step }
    }

    fn open(&self, step: usize, mode: &Mode) -> String {
        let returns = "|| -> ::std::result::Result<_, ::vitrepl_runtime::Failed> {";
        let pattern: String = self
            .given(step, mode)
            .map(|variable| format!("{}, ", self.variables[variable].pattern()))
            .collect();
        let back: String = self
            .back(step)
            .map(|variable| {
                let variable = &self.variables[variable];
                format!(" let {}: {};", variable.pattern(), variable.kind())
            })
            .collect();
        if (mode.merged || mode.plain) && step > 0 {
            return back;
        }
        format!("let ({pattern}) = match ::vitrepl_runtime::step({returns}{back}")
    }

    fn close(&self, step: usize, mode: &Mode) -> String {
        if (mode.merged || mode.plain) && step + 1 < self.steps {
            return String::new();
        }
        let first = if mode.merged || mode.plain { 0 } else { step };
        let given: String = self
            .given(first, mode)
            .map(|variable| format!("{}, ", self.variables[variable].name))
            .collect();
        let alive = self.alive(first, mode);
        let (unkept, kept): (Vec<usize>, Vec<usize>) = alive
            .into_values()
            .filter(|variable| !mode.plain && !mode.threaded.contains(&(first, *variable)))
            .partition(|variable| mode.unkept.contains(variable));
        let kept: String = kept.iter().map(|variable| self.keep(*variable)).collect();
        let dropped = unkept.iter().rev().map(|variable| self.drop(*variable));
        let dropped: String = dropped.collect();
        format!(
            "::std::result::Result::Ok(({given})) }}) {{ ::std::result::Result::Ok(vitrepl_value) => vitrepl_value, \
             ::std::result::Result::Err(vitrepl_outcome) => {{ {dropped}{kept} break 'vitrepl_cell \
             vitrepl_outcome.at({step}) }} }};"
        )
    }

    /// The variables that a step makes.
    pub fn made_by(&self, step: usize, mode: &Mode) -> Vec<usize> {
        let step = self.step(step, mode);
        let all = self.variables.iter().enumerate();
        all.filter(|(number, variable)| {
            let made = variable.made;
            made.is_some_and(|made| self.step(made, mode) == step)
                && !self.is_not_made(*number, mode)
        })
        .map(|(number, _)| number)
        .collect()
    }

    /// The variables that come out of a step: those that it makes, and those that it gives back.
    fn given(&self, step: usize, mode: &Mode) -> impl Iterator<Item = usize> {
        let mut given: Vec<usize> = Vec::new();
        if !mode.plain {
            for variable in self.made_by(step, mode) {
                // Of several with one name the last is seen.
                given.retain(|other| self.variables[*other].name != self.variables[variable].name);
                given.push(variable);
            }
            given.retain(|variable| {
                let gone = mode.gone.get(variable);
                gone.is_none_or(|gone| self.step(*gone, mode) != step)
                    && !(mode.merged && mode.unkept.contains(variable))
            });
            let back = mode.threaded.iter().filter(|(one, _)| *one == step);
            given.extend(back.map(|(_, variable)| variable));
        }
        given.into_iter()
    }

    /// The variables that a step makes by assigning to what was moved away.
    fn back(&self, step: usize) -> impl Iterator<Item = usize> {
        (0..self.variables.len()).filter(move |variable| {
            let variable = &self.variables[*variable];
            variable.is_back && variable.made == Some(step)
        })
    }

    /// The variables that can be kept when a step has failed, or (`step` = number of steps) at the end.
    fn alive(&self, step: usize, mode: &Mode) -> BTreeMap<&str, usize> {
        let mut alive = BTreeMap::new();
        for (number, variable) in self.variables.iter().enumerate() {
            if self.is_not_made(number, mode) {
                continue;
            }
            if variable
                .made
                .is_none_or(|made| self.step(made, mode) < step)
            {
                alive.insert(variable.name.as_str(), number);
            }
        }
        alive.retain(|_, number| {
            let gone = mode.gone.get(number);
            gone.is_none_or(|gone| self.step(*gone, mode) > step)
        });
        alive
    }

    /// Whether a variable is there at the end of the cell, and kept.
    fn is_kept(&self, variable: usize, mode: &Mode) -> bool {
        self.is_there(variable, mode) && !mode.unkept.contains(&variable)
    }

    /// Whether a variable is there at the end of the cell. What borrows within a cell that is one step ends in it.
    fn is_there(&self, variable: usize, mode: &Mode) -> bool {
        let name = self.variables[variable].name.as_str();
        let ends_in_it = mode.merged && mode.unkept.contains(&variable);
        !(mode.plain || ends_in_it) && self.alive(self.steps, mode).get(name) == Some(&variable)
    }

    /// The variable that a name means in a step, or (`step` = number of steps) at the end.
    pub fn variable(&self, name: &str, step: usize, mode: &Mode) -> Option<usize> {
        let step = self.step(step, mode);
        let mut found = None;
        for (number, variable) in self.variables.iter().enumerate() {
            let before = |made: usize| self.step(made, mode) < step || mode.merged;
            if variable.name == name && variable.made.is_none_or(before) {
                found = Some(number);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, made: Option<usize>) -> Variable {
        Variable {
            name: name.to_owned(),
            mutable: name == "z",
            made,
            kind: made.is_none().then(|| "T".to_owned()),
            is_back: false,
        }
    }

    fn plan() -> Plan {
        Plan {
            variables: vec![
                variable("z", None),
                variable("a", Some(0)),
                variable("a", Some(1)),
            ],
            steps: 2,
            lines: vec![
                Line::Open(0),
                Line::Close(0),
                Line::Open(1),
                Line::Close(1),
                Line::Keep(0),
                Line::Keep(1),
                Line::Keep(2),
            ],
            ..Plan::default()
        }
    }

    #[test]
    fn a_step_that_fails_leaves_what_was_made_before_it() {
        let plan = plan();
        let mode = plan.first_mode();
        let line = |number| plan.render(number, &mode);
        assert!(line(0).starts_with("let (a, ) = match"), "{}", line(0));
        assert!(line(1).contains("keep(\"z\", 0, z);") && !line(1).contains("keep(\"a\""));
        assert!(line(3).contains("keep(\"a\", 1, a);"), "{}", line(3));
        assert_eq!(line(5), "//vitrepl line 5");
        assert!(line(6).contains("keep(\"a\", 2, a);"));
    }

    #[test]
    fn what_a_step_puts_back_comes_out_of_it_and_what_it_moves_does_not() {
        let plan = plan();
        let mut mode = plan.first_mode();
        mode.threaded.insert((1, 0));
        assert!(
            plan.render(2, &mode)
                .starts_with("let (a, mut z, ) = match")
        );
        assert!(plan.render(1, &mode).contains("keep(\"z\""));
        assert!(!plan.render(3, &mode).contains("keep(\"z\""));
        assert!(plan.render(4, &mode).contains("keep(\"z\""));
        mode.threaded.clear();
        mode.gone.insert(0, 1);
        assert!(plan.render(1, &mode).contains("keep(\"z\""));
        assert!(!plan.render(3, &mode).contains("keep(\"z\""));
        assert!(!plan.render(4, &mode).contains("keep(\"z\""));
    }

    #[test]
    fn merged_steps_have_one_beginning_and_one_end() {
        let plan = plan();
        let mode = Mode {
            merged: true,
            ..Mode::default()
        };
        assert!(plan.render(0, &mode).starts_with("let (a, ) = match"));
        assert_eq!(plan.render(1, &mode), "//vitrepl line 1");
        assert_eq!(plan.render(2, &mode), "//vitrepl line 2");
        assert!(plan.render(3, &mode).contains("Ok((a, ))"));
    }

    #[test]
    fn the_result_is_kept_unless_it_can_only_be_shown() {
        let mut plan = plan();
        plan.variables.push(variable("made", Some(1)));
        plan.result = Some(3);
        plan.lines = vec![
            Line::Result(3),
            Line::Show(3),
            Line::Close(1),
            Line::Type(3),
            Line::Keep(3),
        ];
        let kept = plan.first_mode();
        assert!(plan.render(0, &kept).starts_with("let made = (//"));
        assert!(plan.render(1, &kept).starts_with("); match &made {"));
        assert!(plan.render(2, &kept).contains("Ok((a, made, ))"));
        assert!(plan.render(4, &kept).contains("keep_result(\""));
        let shown = Mode {
            shown_only: true,
            ..kept
        };
        assert!(plan.render(0, &shown).starts_with("match &(//"));
        assert!(plan.render(1, &shown).starts_with(") {"));
        assert!(plan.render(2, &shown).contains("Ok((a, ))"));
        assert_eq!(plan.render(3, &shown), "//vitrepl line 3");
        assert_eq!(plan.render(4, &shown), "//vitrepl line 4");
    }
}
