//! Statements from a pipe.

use super::INPUT;
use crate::output;
use crate::output::failure::Failure;
use crate::session::Session;
use crate::session::input::stdin;
use crate::session::interpreter::{self, Next};
use crate::syntax::statements::{Source, is_incomplete};
use anyhow::Context as _;

/// Evaluates the statements of standard input as they come; an error does not stop the rest, but the
/// program fails then. Ctrl-C stops the rest too.
pub fn run(session: &mut Session) -> Result<(), Failure> {
    let mut text = String::new();
    let mut failed = false;
    loop {
        // A cell may read lines of its own between those of the statements.
        let line = stdin::next_line().context("standard input cannot be read")?;
        if line.is_empty() {
            break;
        }
        text.push_str(&line);
        if is_incomplete(&text) {
            continue;
        }
        match interpreter::run(
            session,
            &Source::new(INPUT, std::mem::take(&mut text)),
            |_| {},
        ) {
            Ok(Next::Continue) => {}
            Ok(Next::Quit) => break,
            Err(failure) => {
                failure.tell();
                failed = true;
                if session.interrupts.was_pressed() {
                    output::err("the statements behind it are not run");
                    return Err(Failure::Shown);
                }
            }
        }
    }
    // What was still open at the end gets the compiler's own complaint.
    if let Err(failure) = interpreter::run(session, &Source::new(INPUT, text), |_| {}) {
        failure.tell();
        failed = true;
    }
    if failed { Err(Failure::Shown) } else { Ok(()) }
}
