//! What the line editor asks while something is typed: completion, colours, hints, and where the input ends.

use super::highlight::highlight;
use super::starting::Starting;
use crate::ide::completion::{Candidate, Known};
use crate::ide::docs::Docs;
use crate::library::sources::Library;
use crate::session::commands;
use crate::syntax::statements::is_incomplete;
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

/// Rows of the screen that stay for the line itself, which may take two.
const ROWS_BESIDE: usize = 3;

/// Of more candidates than 100 the editor asks whether to list them at all.
const MOST_LISTED: usize = 99;

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
                own: Docs::default(),
                elsewhere: Box::new(|_| Vec::new()),
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

/// At most a screenful of candidates; the last line says how many more there are. With more the editor asks whether
/// to go on, and takes no Ctrl-C for an answer.
fn screenful(mut candidates: Vec<Pair>, rows: usize) -> Vec<Pair> {
    let most = rows.saturating_sub(ROWS_BESIDE).clamp(2, MOST_LISTED);
    if candidates.len() <= most {
        return candidates;
    }
    let left_out = candidates.split_off(most - 1);
    // What all of them begin with, the ones left out too, is what the editor may insert.
    let mut common = left_out[0].replacement.as_str();
    for candidate in candidates.iter().chain(&left_out) {
        let same = common.char_indices().zip(candidate.replacement.chars());
        let end = same
            .take_while(|((_, one), other)| one == other)
            .last()
            .map_or(0, |((at, one), _)| at + one.len_utf8());
        common = &common[..end];
    }
    candidates.push(Pair {
        display: format!("... and {} more: type on", left_out.len()),
        replacement: common.to_owned(),
    });
    candidates
}

impl LineHelper {
    fn candidates(&self, line: &str, position: usize) -> rustyline::Result<(usize, Vec<Pair>)> {
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

impl Completer for LineHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, candidates) = self.candidates(line, position)?;
        let rows = usize::from(console::Term::stdout().size().0);
        Ok((start, screenful(candidates, rows)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_candidates_than_fit_are_counted_and_nothing_wrong_is_inserted() {
        let pair = |name: &String| Pair {
            display: name.clone(),
            replacement: name.clone(),
        };
        let names: Vec<String> = (0..30).map(|number| format!("load_{number:02}")).collect();
        let mut candidates: Vec<Pair> = names.iter().map(pair).collect();
        assert_eq!(screenful(candidates.clone(), 40).len(), 30);
        let listed = screenful(candidates.clone(), 24);
        assert_eq!(listed.len(), 21);
        assert_eq!(listed[20].display, "... and 10 more: type on");
        assert_eq!(listed[20].replacement, "load_");
        candidates.push(pair(&"lök".to_owned()));
        assert_eq!(screenful(candidates, 24)[20].replacement, "l");
    }
}
