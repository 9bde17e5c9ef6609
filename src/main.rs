//! `vitrepl`: a Rust prompt, and a runner of Rust scripts, with the library of this workspace
//! (`prelude/`) already imported.
//!
//! A folder a concern, in the order in which a cell passes through; each uses those below it:
//!
//! | | |
//! | --- | --- |
//! | [`cli`] | the command line |
//! | [`kernel`] | Jupyter: messages, requests, what is displayed, registration |
//! | [`prompt`] | the line editor, and statements from a pipe |
//! | [`session`] | carries out statements and `:commands`, keeps variables, passes on Ctrl-C and input |
//! | [`notebook`] | what a session has done, as a script or a notebook |
//! | [`ide`] | completion and documentation |
//! | [`library`] | the library that cells see: sources, build, cache folder |
//! | [`output`] | what cells print and display, errors, progress |
//! | [`eval`] | how a cell is wrapped, compiled and run, with evcxr |
//! | [`syntax`] | text cut into statements, items and tokens |

#[cfg(not(unix))]
compile_error!("vitrepl runs on Linux; on Windows, in WSL");

mod cli;
mod eval;
mod ide;
mod kernel;
mod library;
mod notebook;
mod output;
mod prompt;
mod session;
mod syntax;

use eval::{environment, run_loop};
use session::interrupt;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = environment::compile_if_asked() {
        return code;
    }
    interrupt::survive_in_child();
    if let Some(code) = run_loop::run_if_asked() {
        return code;
    }
    cli::run()
}
