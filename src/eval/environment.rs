//! The three parts that this program plays, and the environment that evcxr needs.
//!
//! evcxr starts the program again to run the cells; cargo, which evcxr runs, starts it in the place of rustc (see
//! [`super::compiler`]). Both are told by variables of the environment, which a program cannot safely set for
//! itself while it runs: so the session starts itself once more with them.

use super::{compiler, run_loop};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Process of the session; all that cargo starts below it has another one.
pub const SESSION: &str = "VITREPL_SESSION";

/// Makes cargo start this program in the place of rustc.
const WRAPPER: &str = "RUSTC_WRAPPER";

/// Where rust-analyzer looks for the sources of the standard library. Reading them takes 5 s, for the types of
/// variables, which the session learns from rustc; so it is shown an empty folder.
const STD_SOURCES: &str = "RUST_SRC_PATH";

/// Where programs look for the width of the terminal; cells, whose output is a pipe, set their tables by it.
const COLUMNS: &str = "COLUMNS";

/// Compiles a cell, if this is what the program was started for.
pub fn compile_if_asked() -> Option<ExitCode> {
    let session = std::env::var(SESSION).ok()?;
    if session == std::process::id().to_string() || run_loop::is_asked() {
        return None;
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    Some(compiler::run(&arguments))
}

/// Comes back in an environment fit for evcxr; `sources` is the empty folder that rust-analyzer is shown.
pub fn enter(sources: &Path) -> Result<()> {
    let this = std::process::id().to_string();
    if std::env::var(SESSION).is_ok_and(|session| session == this) {
        return Ok(());
    }
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    std::fs::create_dir_all(sources.join("core"))
        .with_context(|| format!("cannot create {}", sources.display()))?;
    let mut again = Command::new(&program);
    again
        .args(std::env::args_os().skip(1))
        .env(SESSION, this)
        .env(WRAPPER, &program)
        .env(STD_SOURCES, sources);
    if let Some((_, columns)) = console::Term::stdout().size_checked() {
        again.env(COLUMNS, columns.to_string());
    }
    let error = again.exec();
    Err(error).with_context(|| format!("cannot start {} again", program.display()))
}

/// Takes out of a command's environment what was put there for evcxr.
pub fn leave(command: &mut Command) {
    for variable in [SESSION, WRAPPER, STD_SOURCES] {
        command.env_remove(variable);
    }
}
