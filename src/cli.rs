//! The command line.

use crate::eval::environment;
use crate::library::folder::cache_folder;
use crate::notebook::files;
use crate::output::failure::Failure;
use crate::session::Session;
use crate::session::interrupt::Interrupts;
use crate::session::{interpreter, script};
use crate::timings::{self, Whose};
use crate::{kernel, prompt};
use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// An interactive Rust laboratory for taking vision transformers apart.
///
/// Without FILE, opens a prompt; when standard input is no terminal, evaluates the statements read from
/// it. With FILE, evaluates that script statement by statement and stops at the first error.
#[derive(Parser)]
#[command(version, after_help = ENVIRONMENT, args_conflicts_with_subcommands = true)]
struct Options {
    /// A Rust script: statements and items as they would be typed at the prompt, and `:commands`; `-` for those of
    /// standard input
    file: Option<PathBuf>,

    /// Take the times of start and cells beside stock evcxr's, this often, and print their medians
    #[arg(long, value_name = "RUNS", num_args = 0..=1, default_missing_value = "3")]
    timings: Option<usize>,

    /// Run the statements that are timed
    #[arg(long, hide = true)]
    timings_of: Option<Whose>,

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

const ENVIRONMENT: &str = "\
Environment:
  VITREPL_CACHE_DIR  where compiled code and history are kept (default: vitrepl in the user's cache folder)
  VITREPL_PRELUDE    folder of another crate vitrepl-prelude than the one that vitrepl carries with it
  VITREPL_CHARTS     folder for charts when the output is no terminal (default: charts)

Exit code: 0 when everything was evaluated, 1 when something failed, 130 when interrupted.";

/// Does what the command line asks and says how it went.
pub fn run() -> ExitCode {
    let options = Options::parse();
    match dispatch(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            ExitCode::FAILURE
        }
    }
}

fn dispatch(options: Options) -> Result<(), Failure> {
    if options.timings_of == Some(Whose::Stock) {
        return Ok(timings::run(Whose::Stock)?);
    }
    environment::enter(&cache_folder()?.join("no-sources"))?;
    if let Some(whose) = options.timings_of {
        return Ok(timings::run(whose)?);
    }
    if let Some(runs) = options.timings {
        return Ok(timings::compare(runs)?);
    }
    let from_input = options.file.as_deref() == Some("-".as_ref());
    if let Some(task) = options.task {
        match task {
            Task::Convert { from, to } => files::convert(&from, &to),
            Task::Kernel { task } => kernel::run(task),
        }
    } else if let Some(file) = options.file.filter(|file| file.as_os_str() != "-") {
        // Before the (slow) start: a missing or broken script is known at once.
        let script = script::read(&file)?;
        let mut session = Session::start(Interrupts::listen()?)?;
        interpreter::run_script(&mut session, &script).map(|_| ())
    } else if std::io::stdin().is_terminal() && !from_input {
        prompt::interactive()
    } else {
        prompt::pipe::run(&mut Session::start(Interrupts::listen()?)?)
    }
}
