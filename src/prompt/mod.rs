//! The prompt, and statements from a pipe.

mod editor;
mod highlight;
pub mod pipe;
mod starting;

use crate::library::folder::cache_folder;
use crate::output::FrontEnd;
use crate::output::failure::Failure;
use crate::session::interpreter::{self, Next, PROMPT};
use crate::session::interrupt::Interrupts;
use crate::session::{Prepared, Surroundings};
use crate::syntax::statements::Source;
use anyhow::Context as _;
use editor::LineHelper;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use starting::Starting;
use std::cell::RefCell;
use std::rc::Rc;

/// Name under which errors in typed text are reported.
const INPUT: &str = "input";

/// Reads statements from a terminal until Ctrl-D or `:quit`.
///
/// The session starts while the first of them is typed.
pub fn interactive(output: &FrontEnd) -> Result<(), Failure> {
    println!(
        "vitrepl {}: Rust, with the library imported. :help lists commands, Ctrl-D leaves.",
        env!("CARGO_PKG_VERSION")
    );
    let mut editor = editor().context("cannot set up the terminal")?;
    // Only now: the editor takes Ctrl-C for itself when it is made, and does not pass it on.
    let interrupts = Interrupts::listen(output)?;
    let prepared = Prepared::new(output)?;
    interrupts.set_ends_when_idle(false);
    let session = Rc::new(RefCell::new(Starting::new(
        prepared,
        Surroundings::with(output, interrupts),
    )));
    editor.set_helper(Some(LineHelper::new(session.clone())));
    let history = cache_folder()?.join("history.txt");
    // The first time there is no history to load.
    let _ = editor.load_history(&history);
    loop {
        match editor.readline(PROMPT) {
            Ok(text) => {
                let _ = editor.add_history_entry(&text);
                // Kept at once: a session may be killed.
                let _ = editor.append_history(&history);
                let mut session = session.borrow_mut();
                let session = session.wait()?;
                session.history.enter(&text);
                match interpreter::run(session, &Source::new(INPUT, text), |_| {}) {
                    Ok(Next::Continue) => {}
                    Ok(Next::Quit) => return Ok(()),
                    Err(failure) => failure.tell(&session.output),
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(format!("the terminal cannot be read: {error}").into()),
        }
    }
}

fn editor() -> rustyline::Result<Editor<LineHelper, FileHistory>> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .auto_add_history(false)
        .build();
    Editor::with_config(config)
}
