//! What the line editor asks while something is typed: completion, colours, hints, and where the input ends.

use super::Starting;
use super::highlight::highlight;
use crate::commands;
use crate::completion::{Candidate, Known};
use crate::docs::Docs;
use crate::library::Library;
use crate::source::is_incomplete;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};
use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

/// Commands that take a file.
const TAKES_FILE: [&str; 2] = [":load ", ":save "];

/// Between a candidate and what it is about.
const GAP: &str = "  ";

/// Helps with the line that is being typed.
#[derive(Helper)]
pub struct LineHelper {
    session: Rc<RefCell<Starting>>,
    files: FilenameCompleter,
    /// Of the library, until the session has started.
    docs: OnceCell<Docs>,
    /// The line has been entered: nothing at the cursor stands out any more.
    entered: Cell<bool>,
}

impl LineHelper {
    pub fn new(session: Rc<RefCell<Starting>>) -> Self {
        LineHelper {
            session,
            files: FilenameCompleter::new(),
            docs: OnceCell::new(),
            entered: Cell::new(false),
        }
    }

    /// Asks what is known: of the session, or as long as that has not started of the library alone.
    fn ask<R>(&self, question: impl FnOnce(&Known) -> R) -> R {
        match self.session.borrow_mut().if_ready() {
            Some(session) => question(&session.known()),
            None => question(&Known {
                docs: self.docs.get_or_init(read_docs),
                variables: Vec::new(),
                items: Vec::new(),
            }),
        }
    }
}

fn read_docs() -> Docs {
    Docs::read(Library::find().unwrap_or(Library::Carried).code())
}

/// Candidates as they are listed: on a line each, with what they are about as far as there is room.
fn listed(candidates: Vec<Candidate>) -> Vec<Pair> {
    let columns = usize::from(console::Term::stdout().size().1).saturating_sub(1);
    let pair = |candidate: Candidate| {
        let whole = match candidate.about.as_str() {
            "" => candidate.label,
            about => format!("{}{GAP}{about}", candidate.label),
        };
        Pair {
            display: console::truncate_str(&whole, columns, "...").into_owned(),
            replacement: candidate.text,
        }
    };
    candidates.into_iter().map(pair).collect()
}

impl Completer for LineHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        if TAKES_FILE.iter().any(|command| line.starts_with(command)) {
            let (start, files) = self.files.complete_path(line, position)?;
            let pairs = files.into_iter().map(|file| Pair {
                display: file.replacement.clone(),
                replacement: file.replacement,
            });
            return Ok((start, pairs.collect()));
        }
        if line.starts_with(':') && !line[..position].contains(' ') {
            return Ok((0, listed(commands::candidates(&line[..position]))));
        }
        let (start, candidates) = self.ask(|known| known.complete(line, position));
        Ok((start, listed(candidates)))
    }
}

impl Highlighter for LineHelper {
    fn highlight<'l>(&self, line: &'l str, position: usize) -> Cow<'l, str> {
        if !console::colors_enabled() {
            return Cow::Borrowed(line);
        }
        let cursor = (!self.entered.get()).then_some(position);
        Cow::Owned(highlight(line, cursor))
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(console::style(prompt).cyan().to_string())
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(console::style(hint).dim().to_string())
    }

    fn highlight_candidate<'c>(
        &self,
        candidate: &'c str,
        _: rustyline::CompletionType,
    ) -> Cow<'c, str> {
        match candidate.split_once(GAP) {
            Some((label, about)) => {
                Cow::Owned(format!("{label}{GAP}{}", console::style(about).dim()))
            }
            None => Cow::Borrowed(candidate),
        }
    }

    /// Whether a key changes the colours of what is there already; any may.
    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.entered.set(kind == CmdKind::ForcedRefresh);
        console::colors_enabled()
    }
}

/// What the open call still takes; it is only shown.
pub struct CallHint(String);

impl Hint for CallHint {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Hinter for LineHelper {
    type Hint = CallHint;

    fn hint(&self, line: &str, position: usize, _: &Context<'_>) -> Option<CallHint> {
        if position < line.len() || line.starts_with(':') {
            return None;
        }
        self.ask(|known| known.open_call(line)).map(CallHint)
    }
}

impl Validator for LineHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let input = context.input();
        // Two empty lines end the input whatever is open: the compiler will say what is.
        if is_incomplete(input) && !input.ends_with("\n\n") {
            Ok(ValidationResult::Incomplete)
        } else {
            Ok(ValidationResult::Valid(None))
        }
    }
}
