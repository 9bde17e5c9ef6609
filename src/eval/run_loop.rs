//! The process that runs the cells: this program once more, started by evcxr.
//!
//! evcxr writes an order `LOAD_AND_RUN FILE FUNCTION` for each cell, and takes the line `EVCXR_EXECUTION_COMPLETE` for
//! its end. Both go over the streams that evcxr has given the process, which are taken from the cells before the
//! first of them runs (see [`super::channels`]); nothing that a cell, a thread or a subprocess reads or writes can
//! come between.

use super::channels::{self, take_streams};
use anyhow::{Context, Result, bail};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW, Symbol};
use std::ffi::c_void;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

/// Set by evcxr for the process that runs the cells.
const IS_RUNTIME: &str = "EVCXR_IS_RUNTIME";

/// What evcxr waits for.
const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";

/// Exit code of a process that could not go on.
const BROKEN: u8 = 99;

/// What evcxr compiles a cell to. The pointer is evcxr's own store of variables, which stays empty: cells keep theirs
/// in the runtime.
type CellFunction = extern "C" fn(*mut c_void) -> *mut c_void;

/// Whether evcxr has started this process.
pub fn is_asked() -> bool {
    std::env::var_os(IS_RUNTIME).is_some()
}

/// Runs cells until the session ends, if evcxr has started this process for that.
pub fn run_if_asked() -> Option<ExitCode> {
    if !is_asked() {
        return None;
    }
    let Some(folder) = std::env::var_os(channels::VARIABLE).map(PathBuf::from) else {
        eprintln!("the cells cannot be run: {} is not set", channels::VARIABLE);
        return Some(ExitCode::from(BROKEN));
    };
    match run(&folder) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("the cells cannot be run: {error:#}");
            Some(ExitCode::from(BROKEN))
        }
    }
}

fn run(folder: &std::path::Path) -> Result<()> {
    // Copies that are closed in the programs a cell starts: none of them keeps evcxr waiting.
    let orders = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut answers = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    take_streams(folder)?;
    let mut cells = Cells::default();
    for order in BufReader::new(orders).lines() {
        let order = order.context("evcxr's order cannot be read")?;
        let Some((file, function)) = order
            .strip_prefix("LOAD_AND_RUN ")
            .and_then(|rest| rest.rsplit_once(' '))
        else {
            bail!("evcxr gives an order that is not known: {order:?}");
        };
        if let Err(error) = cells.run(file, function) {
            eprintln!("the cell cannot be loaded: {error:#}");
        }
        writeln!(answers, "{COMPLETE}").context("evcxr has gone away")?;
    }
    Ok(())
}

/// The cells that have been run.
#[derive(Default)]
struct Cells {
    store: Option<*mut c_void>,
}

impl Cells {
    /// Runs the function `name` of the shared object `file`.
    #[allow(unsafe_code)]
    fn run(&mut self, file: &str, name: &str) -> Result<()> {
        // SAFETY: the file has just been compiled from the user's code for this process. What loading and calling it
        // does is what the user asks for, and the signature is the one that evcxr gives the function. Its symbols are
        // open to later cells, which share its statics.
        let library = unsafe { Library::open(Some(file), RTLD_NOW | RTLD_GLOBAL)? };
        let function: Symbol<CellFunction> = unsafe { library.get(name.as_bytes())? };
        self.store = Some(function(self.store.unwrap_or(std::ptr::null_mut())));
        // Never unloaded: variables, threads and destructors of thread-local values go on using its code.
        std::mem::forget(library);
        Ok(())
    }
}
