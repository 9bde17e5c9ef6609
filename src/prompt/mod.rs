//! The prompt, and statements from a pipe.

mod helper;
mod highlight;

use self::helper::LineHelper;
use crate::commands;
use crate::compile_folder::cache_folder;
use crate::failure::{Failure, Next};
use crate::input::stdin;
use crate::interrupt::Interrupts;
use crate::output;
use crate::script::PROMPT;
use crate::session::{Prepared, Session, groups};
use crate::source::{Kind, Source, is_incomplete};
use anyhow::Context as _;
use crossbeam_channel::{Receiver, bounded};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use std::cell::RefCell;
use std::rc::Rc;

/// Name under which errors in typed text are reported.
const INPUT: &str = "input";

/// Reads statements from a terminal until Ctrl-D or `:quit`.
///
/// The session starts while the first of them is typed.
pub fn interactive() -> Result<(), Failure> {
    println!(
        "vitrepl {}: Rust, with the library imported. :help lists commands, Ctrl-D leaves.",
        env!("CARGO_PKG_VERSION")
    );
    let mut editor = editor().context("cannot set up the terminal")?;
    // Only now: the editor takes Ctrl-C for itself when it is made, and does not pass it on.
    let interrupts = Interrupts::listen()?;
    let prepared = Prepared::new()?;
    interrupts.set_ends_when_idle(false);
    let session = Rc::new(RefCell::new(Starting::new(prepared, interrupts)));
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
                match run(session.borrow_mut().wait()?, &text) {
                    Ok(Next::Continue) => {}
                    Ok(Next::Quit) => return Ok(()),
                    Err(failure) => failure.tell(),
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(format!("the terminal cannot be read: {error}").into()),
        }
    }
}

/// A session that another thread starts.
enum Starting {
    Thread(Receiver<anyhow::Result<Session>>),
    Ready(Box<Session>),
    /// Why there is none.
    Failed(String),
}

impl Starting {
    fn new(prepared: Prepared, interrupts: Interrupts) -> Self {
        let (sender, receiver) = bounded(1);
        std::thread::spawn(move || {
            let started = prepared.start(interrupts);
            if let Err(error) = &started {
                // Said at once, in the place of the line that is being typed. rustyline's external printer would draw
                // that line again, but an editor that has one loses sight of keys that come many at a time.
                eprint!("\r\x1b[Kerror: the session cannot start: {error:#}\r\n{PROMPT}");
            }
            // Nobody waits any more where the program is at its end.
            let _ = sender.send(started);
            // The child ends with the thread that has started it.
            loop {
                std::thread::park();
            }
        });
        Starting::Thread(receiver)
    }

    /// The session, when it has started.
    fn wait(&mut self) -> Result<&mut Session, Failure> {
        if let Starting::Thread(started) = self {
            *self = match started.recv() {
                Ok(Ok(session)) => Starting::Ready(Box::new(session)),
                Ok(Err(error)) => Starting::Failed(format!("{error:#}")),
                Err(_) => Starting::Failed("the thread that started it has ended".to_owned()),
            };
        }
        match self {
            Starting::Ready(session) => Ok(session),
            Starting::Failed(why) => Err(format!("the session cannot start: {why}").into()),
            Starting::Thread(_) => Err("the session has not started".to_owned().into()),
        }
    }

    /// The session, if it has started.
    fn if_ready(&mut self) -> Option<&mut Session> {
        if matches!(self, Starting::Thread(started) if started.is_empty()) {
            return None;
        }
        self.wait().ok()
    }
}

/// Evaluates the statements of standard input as they come; an error does not stop the rest, but the
/// program fails then. Ctrl-C stops the rest too.
pub fn piped(session: &mut Session) -> Result<(), Failure> {
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
        match run(session, &std::mem::take(&mut text)) {
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
    if let Err(failure) = run(session, &text) {
        failure.tell();
        failed = true;
    }
    if failed { Err(Failure::Shown) } else { Ok(()) }
}

/// Evaluates what was typed.
fn run(session: &mut Session, text: &str) -> Result<Next, Failure> {
    let source = Source::new(INPUT, text);
    for group in groups(&source.pieces) {
        match group {
            [command] if command.kind == Kind::Command => {
                if commands::run(session, &source.text[command.code.clone()])? == Next::Quit {
                    return Ok(Next::Quit);
                }
            }
            statements => session.evaluate(&source, statements)?,
        }
    }
    Ok(Next::Continue)
}

fn editor() -> rustyline::Result<Editor<LineHelper, FileHistory>> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .auto_add_history(false)
        .build();
    Editor::with_config(config)
}
