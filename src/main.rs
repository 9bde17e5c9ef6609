//! `vitrepl`: a Rust prompt, and a runner of Rust scripts, with the library of this workspace
//! (`prelude/`) already imported.
//!
//! One straight walk: [`cli`] reads the command line; [`session`] starts evcxr in a [`compile_folder`]
//! and evaluates [`cell`]s; a [`script`] or the [`prompt`] cuts text into statements with [`source`];
//! [`relay`] passes on what the running code prints, [`show`] displays values and charts, [`report`]
//! compile errors, [`progress`] bars; [`commands`] holds the `:commands`.

mod cell;
mod cli;
mod commands;
mod compile_folder;
mod failure;
mod interrupt;
mod library_build;
mod progress;
mod prompt;
mod relay;
mod report;
mod script;
mod session;
mod show;
mod source;

use std::process::ExitCode;

fn main() -> ExitCode {
    interrupt::survive_in_child();
    // evcxr starts this same program again to run the cells; in that process this does not return.
    evcxr::runtime_hook();
    cli::run()
}
