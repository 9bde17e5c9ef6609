//! Telling the program that runs the cells which of them are worth running again in a new process.
//!
//! Should this process die, a statement that loaded a model or that found its result on disk brings that back at
//! little cost. Such a call says so with a line on standard output, where the program has said that it understands
//! these.

use crate::process::progress::understood;
use std::io::Write;

/// The statement that runs now is worth repeating in a new process.
pub(super) fn worth_repeating() {
    if understood() {
        // A front end that has gone away does not stop the work.
        let _ = writeln!(std::io::stdout(), "VITREPL_REPEAT");
    }
}
