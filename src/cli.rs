//! The command line.

use crate::eval::environment;
use crate::library::folder::cache_folder;
use crate::library::programs;
use crate::library::sources::Library;
use crate::notebook::files;
use crate::output::FrontEnd;
use crate::output::failure::Failure;
use crate::session::{Session, Surroundings};
use crate::session::{interpreter, script};
use crate::{kernel, prompt};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// An interactive Rust laboratory for taking vision transformers apart.
///
/// Without FILE, opens a prompt; when standard input is no terminal, evaluates the statements read from
/// it. With FILE, evaluates that script statement by statement and stops at the first error.
#[derive(Parser)]
#[command(version, after_help = after_help(), args_conflicts_with_subcommands = true)]
struct Options {
    /// A Rust script: statements and items as they would be typed at the prompt, and `:commands`; `-` for those of
    /// standard input
    file: Option<PathBuf>,

    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Write the notebook of a script, or the script of a notebook, without running it
    Convert { from: PathBuf, to: PathBuf },
    /// The Jupyter kernel
    Kernel {
        #[command(subcommand)]
        task: kernel::Task,
    },
}

/// The library's programs, and the environment.
fn after_help() -> String {
    let known = Library::find().map(|library| library.programs());
    let names: Vec<String> = known.into_iter().flatten().map(|(name, _)| name).collect();
    format!(
        "Programs of the library (vitrepl NAME --help): {}\n\n{ENVIRONMENT}",
        names.join(", ")
    )
}

const ENVIRONMENT: &str = "\
Environment:
  VITREPL_CACHE_DIR  where compiled code and history are kept (default: vitrepl in the user's cache folder)
  VITREPL_PRELUDE    folder of another crate vitrepl-prelude than the one that vitrepl carries with it
  VITREPL_CHARTS     folder for charts when the output is no terminal (default: charts)

Exit code: 0 when everything was evaluated, 1 when something failed, 130 when interrupted.";

/// Does what the command line asks and says how it went.
pub fn run() -> ExitCode {
    let output = FrontEnd::terminal();
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let done = match program(&arguments) {
        Some((name, arguments)) => run_program(name, arguments, &output),
        None => dispatch(Options::parse(), &output),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(&output);
            ExitCode::FAILURE
        }
    }
}

/// The program of the library that is asked for, and what it is given; none where a script is called so.
fn program(arguments: &[OsString]) -> Option<(&str, &[OsString])> {
    let (name, arguments) = arguments.split_first()?;
    let name = name.to_str()?;
    let known = Library::find().ok()?.programs();
    let is_known = known.iter().any(|(known, _)| known == name);
    (is_known && !Path::new(name).exists()).then_some((name, arguments))
}

fn run_program(name: &str, arguments: &[OsString], output: &FrontEnd) -> Result<(), Failure> {
    check_platform()?;
    programs::run(name, arguments, output)?;
    Ok(())
}

fn check_platform() -> Result<(), Failure> {
    if !cfg!(target_os = "linux") {
        let system = std::env::consts::OS;
        return Err(format!(
            "vitrepl runs on Linux, and this is {system}: how it finds the shared libraries of cells, and learns what they \
             read, is written for Linux alone; use a virtual machine or container with Linux"
        )
        .into());
    }
    Ok(())
}

fn dispatch(options: Options, output: &FrontEnd) -> Result<(), Failure> {
    check_platform()?;
    environment::enter(&cache_folder()?.join("no-sources"))?;
    let from_input = options.file.as_deref() == Some("-".as_ref());
    if let Some(task) = options.task {
        match task {
            Task::Convert { from, to } => files::convert(&from, &to),
            Task::Kernel { task } => kernel::run(task),
        }
    } else if let Some(file) = options.file.filter(|file| file.as_os_str() != "-") {
        // Before the (slow) start: a missing or broken script is known at once.
        let script = script::read(&file, output)?;
        let mut session = Session::start(Surroundings::of_terminal(output)?)?;
        interpreter::run_script(&mut session, &script).map(|_| ())
    } else if std::io::stdin().is_terminal() && !from_input {
        prompt::interactive(output)
    } else {
        prompt::pipe::run(&mut Session::start(Surroundings::of_terminal(output)?)?)
    }
}
