//! The three parts that this program plays, and the environment that evcxr needs.
//!
//! evcxr starts the program again to run the cells; cargo, which evcxr runs, starts it in the place of rustc (see
//! [`super::compiler`]). Both are told by variables of the environment, which a program cannot safely set for
//! itself while it runs: so the session starts itself once more with them.

use super::{compiler, run_loop};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Process of the session; all that cargo starts below it has another one.
pub const SESSION: &str = "VITREPL_SESSION";

/// Makes cargo start this program in the place of rustc.
const WRAPPER: &str = "RUSTC_WRAPPER";

/// The user's own value of [`WRAPPER`], such as sccache: what is no cell is compiled by it.
const USERS_WRAPPER: &str = "VITREPL_RUSTC_WRAPPER";

/// The user's flags for rustc, which would take the place of those that evcxr gives it.
const FLAGS: &str = "CARGO_ENCODED_RUSTFLAGS";

/// Where [`FLAGS`] are kept: what is no cell is compiled by them.
pub const USERS_FLAGS: &str = "VITREPL_RUSTFLAGS";

/// Where rust-analyzer looks for the sources of the standard library. Reading them takes 5 s, for the types of
/// variables, which the session learns from rustc; so it is shown an empty folder.
const STD_SOURCES: &str = "RUST_SRC_PATH";

/// Where programs look for the width of the terminal; cells, whose output is a pipe, set their tables by it.
const COLUMNS: &str = "COLUMNS";

/// Variables of the user, and those in which they are kept while evcxr has its own in their place.
const OF_THE_USER: [(&str, &str); 2] = [(WRAPPER, USERS_WRAPPER), (FLAGS, USERS_FLAGS)];

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
        .env(STD_SOURCES, sources);
    for (own, kept) in OF_THE_USER {
        // A session that was killed may have left its own to what it had started.
        if let Some(value) = std::env::var_os(own).filter(|value| *value != *program.as_os_str()) {
            again.env(kept, value);
        }
    }
    again.env(WRAPPER, &program).env_remove(FLAGS);
    if let Some((_, columns)) = console::Term::stdout().size_checked() {
        again.env(COLUMNS, columns.to_string());
    }
    if let Some(path) = path_with_cargo() {
        again.env("PATH", path);
    }
    let error = again.exec();
    Err(error).with_context(|| format!("cannot start {} again", program.display()))
}

/// `PATH` with the folder into which rustup puts cargo, if cargo is there and not found yet: a notebook's server that was
/// started from a desktop has not read the shell's profile.
fn path_with_cargo() -> Option<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let has_cargo = |folder: &PathBuf| folder.join("cargo").is_file();
    if folders.iter().any(has_cargo) {
        return None;
    }
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(dirs::home_dir()?.join(".cargo")))?;
    folders.push(Some(cargo_home.join("bin")).filter(has_cargo)?);
    std::env::join_paths(folders).ok()
}

/// Takes out of a command's environment what was put there for evcxr, and puts back what was there before.
pub fn leave(command: &mut Command) {
    for variable in [SESSION, WRAPPER, STD_SOURCES] {
        command.env_remove(variable);
    }
    for (own, kept) in OF_THE_USER {
        command.env_remove(kept);
        if let Some(value) = std::env::var_os(kept) {
            command.env(own, value);
        }
    }
}
