//! Statements from a pipe.

use super::INPUT;
use crate::output::failure::Failure;
use crate::session::Session;
use crate::session::input::stdin;
use crate::session::interpreter::{self, Next};
use crate::syntax::statements::{Source, goes_on, is_incomplete, may_go_on};
use anyhow::Context as _;

/// Evaluates the statements of standard input as they come; an error does not stop the rest, but the
/// program fails then. Ctrl-C stops the rest too.
pub fn run(session: &mut Session) -> Result<(), Failure> {
    let mut failed = false;
    // A cell may read lines of its own between those of the statements.
    while let Some(text) = next_statements()? {
        session.history.enter(&text);
        match interpreter::run(session, &Source::new(INPUT, text), |_| {}) {
            Ok(Next::Continue) => {}
            Ok(Next::Quit) => break,
            Err(failure) => {
                failure.tell(&session.output);
                failed = true;
                if session.interrupts.was_pressed() {
                    session.output.err("the statements behind it are not run");
                    return Err(Failure::Shown);
                }
            }
        }
    }
    if failed { Err(Failure::Shown) } else { Ok(()) }
}

/// The lines up to the end of a statement; what is still open at the end of the input is given as it is.
fn next_statements() -> Result<Option<String>, Failure> {
    let mut text = String::new();
    loop {
        let line = stdin::next_line().context("standard input cannot be read")?;
        if line.is_empty() {
            return Ok((!text.is_empty()).then_some(text));
        }
        text.push_str(&line);
        if is_incomplete(&text) || has_only_comments(&text) {
            continue;
        }
        let more = if may_go_on(&text) {
            lines_of_the_same(&text)
        } else {
            0
        };
        for _ in 0..more {
            text.push_str(&stdin::next_line().context("standard input cannot be read")?);
        }
        if more == 0 {
            return Ok(Some(text));
        }
    }
}

/// How many of the lines to come belong to the last statement of `text`.
fn lines_of_the_same(text: &str) -> usize {
    let mut next = String::new();
    let mut number = 0;
    while let Some(line) = stdin::look_ahead(number) {
        number += 1;
        next.push_str(&line);
        if !has_only_comments(&next) {
            return if goes_on(text, &next) { number } else { 0 };
        }
    }
    0
}

/// Whether there is nothing but white space and comments, which belong to what follows.
fn has_only_comments(text: &str) -> bool {
    let source = Source::new(INPUT, text);
    source.pieces.is_empty() && source.syntax_errors.is_empty()
}
