//! The command line.

use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::session::Session;
use crate::{prompt, script};
use clap::Parser;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// An interactive Rust laboratory for taking vision transformers apart.
///
/// Without FILE, opens a prompt; when standard input is no terminal, evaluates the statements read from
/// it. With FILE, evaluates that script statement by statement and stops at the first error.
#[derive(Parser)]
#[command(version, after_help = ENVIRONMENT)]
struct Options {
    /// A Rust script: statements and items as they would be typed at the prompt, and `:commands`
    file: Option<PathBuf>,
}

const ENVIRONMENT: &str = "\
Environment:
  VITREPL_CACHE_DIR  where compiled code and history are kept (default: vitrepl in the user's cache folder)
  VITREPL_PRELUDE    folder of the crate vitrepl-prelude (default: the one vitrepl was built beside)
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
    if let Some(file) = options.file {
        // Before the (slow) start: a missing or broken script is known at once.
        let script = script::read(&file)?;
        let mut session = Session::start(Interrupts::listen()?)?;
        script::run(&mut session, &script).map(|_| ())
    } else if std::io::stdin().is_terminal() {
        prompt::interactive()
    } else {
        prompt::piped(&mut Session::start(Interrupts::listen()?)?)
    }
}
