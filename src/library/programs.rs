//! The library's own programs, such as one that works through a data set without a prompt: `vitrepl NAME ...` for each
//! `src/bin/NAME.rs` of the library.
//!
//! A program is compiled, when it is first asked for, as a cell is: against the library that is there already.

use super::build;
use super::environment::library_environment;
use super::folder::CompileFolder;
use crate::eval::environment;
use crate::output::FrontEnd;
use anyhow::{Context, Result, anyhow, bail};
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In the folder `ready`.
const PROGRAMS: &str = "programs";

/// Becomes the program `name` of the library, which gets `arguments`; says why where that cannot be.
pub fn run(name: &str, arguments: &[OsString], output: &FrontEnd) -> Result<()> {
    let folder = CompileFolder::open()?;
    let (setup, _) = build::compile(&folder, output)?;
    let known = folder.library.programs();
    let Some((_, code)) = known.iter().find(|(known, _)| known == name) else {
        bail!("the library has no program {name}");
    };
    let program = folder.ready.join(PROGRAMS).join(name);
    if !program.is_file() {
        let externs = setup.arguments(code, &[]);
        compile(&folder, name, code, &externs, &program)?;
    }
    // What it runs in is not removed meanwhile.
    folder.stay_for_successor()?;
    let error = Command::new(&program)
        .arg0(format!("vitrepl {name}"))
        .args(arguments)
        .envs(library_environment(&folder)?)
        .exec();
    Err(anyhow!("cannot run {}: {error}", program.display()))
}

/// Brings the program to its place, in one step.
fn compile(
    folder: &CompileFolder,
    name: &str,
    code: &str,
    externs: &[OsString],
    to: &Path,
) -> Result<()> {
    let place = folder.ready.join(PROGRAMS);
    let part = place.join(format!(".part-{}-{name}", std::process::id()));
    let source: PathBuf = part.with_extension("rs");
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&place)?;
        fs::write(&source, code)
    };
    write().with_context(|| format!("cannot write to {}", place.display()))?;
    let mut rustc = Command::new("rustc");
    environment::leave(&mut rustc);
    let compiled = rustc
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "bin",
            "-O",
            "--crate-name",
            name,
        ])
        .args(&folder.rustc_flags)
        .args(externs)
        .arg("-o")
        .arg(&part)
        .arg(&source)
        .output();
    // It is of no more use.
    let _ = fs::remove_file(&source);
    let compiled = compiled.context("cannot run rustc")?;
    if !compiled.status.success() {
        bail!(
            "the library's program {name} does not compile:\n{}",
            String::from_utf8_lossy(&compiled.stderr).trim()
        );
    }
    fs::rename(&part, to).with_context(|| format!("cannot write {}", to.display()))
}
