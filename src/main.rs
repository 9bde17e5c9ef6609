//! `vitrepl`: a Rust prompt, and a runner of Rust scripts, with the library of this workspace
//! (`prelude/`) already imported.
//!
//! One straight walk: [`cli`] reads the command line; [`session`] compiles the [`library`], starts evcxr in a
//! [`compile_folder`] and evaluates cells, which [`eval`] wraps, compiles and runs; a [`script`] or the [`prompt`] cuts
//! text into statements with [`source`]; [`input`] gives cells what they read; [`report`] draws compile errors, and
//! [`output`] passes on what the running code prints and displays, with [`show`] for values and charts; [`commands`]
//! holds the `:commands`, of which `:doc` looks into [`docs`] and `:save` writes what [`record`] has kept by [`save`],
//! as a script or a [`notebook`].
//! [`kernel`] is the same session behind Jupyter.

mod cli;
mod commands;
mod compile_folder;
mod completion;
mod docs;
mod environment;
mod eval;
mod failure;
mod input;
mod interrupt;
mod kernel;
mod library;
mod library_build;
mod notebook;
mod origins;
mod output;
mod prompt;
mod record;
mod record_file;
mod report;
mod save;
mod script;
mod session;
mod show;
mod source;
mod syntax;
mod timings;
mod tokens;

use eval::run_loop;
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
