//! A Jupyter kernel over the same [`Session`] as the prompt: statements, `:commands`, interrupts and charts
//! are those of the terminal.
//!
//! ```text
//! wire (a thread)   --shell--> requests::serve (the session's thread) --+
//!        |                                                               | display: front of the session
//!        +----control--> control (a thread): interrupt, shutdown         |
//!        <------------------------ messages -----------------------------+
//! ```

mod control;
mod display;
mod execute;
mod history;
mod install;
mod logo;
mod message;
mod replies;
mod requests;
mod stdin;
mod wire;

use crate::output::FrontEnd;
use crate::output::failure::Failure;
use crate::session::Surroundings;
use crate::session::interrupt::Interrupts;
use clap::Subcommand;
use display::Notebook;
use std::path::PathBuf;
use std::time::Duration;
use stdin::{Asked, Questions};

/// What can be done about the kernel.
#[derive(Subcommand)]
pub enum Task {
    /// Register the kernel with Jupyter, and compile the library so that it starts warm
    Install(install::Place),
    /// Take the registration back
    Uninstall(install::Place),
    /// Serve one notebook; Jupyter calls this
    Run {
        /// Tells where to listen
        connection_file: PathBuf,
    },
}

/// Does it.
pub fn run(task: Task) -> Result<(), Failure> {
    match task {
        Task::Install(place) => install::install(&place, &FrontEnd::terminal()),
        Task::Uninstall(place) => install::uninstall(&place, &FrontEnd::terminal()),
        Task::Run { connection_file } => {
            end_with_parent();
            let (wire, requests) = wire::open(&connection_file)?;
            let notebook = Notebook::new(wire.clone());
            let output = FrontEnd::new(Box::new(notebook.clone()));
            let interrupts = Interrupts::listen(&output)?;
            interrupts.set_ends_when_idle(false);
            // Tracebacks have colours in a notebook.
            console::set_colors_enabled_stderr(true);
            control::serve(wire.clone(), requests.control, interrupts.clone());
            let asked = Asked::default();
            let questions = Questions {
                wire: wire.clone(),
                replies: requests.stdin,
                asked: asked.clone(),
                notebook: notebook.clone(),
            };
            let surroundings = Surroundings {
                output,
                lines: Box::new(questions),
                interrupts,
            };
            requests::serve(wire, requests.shell, notebook, asked, surroundings);
            Ok(())
        }
    }
}

/// Set by Jupyter for the kernels that it starts.
const PARENT: &str = "JPY_PARENT_PID";

/// Between two looks whether the parent still is there.
const PAUSE: Duration = Duration::from_secs(1);

/// Ends the kernel when the program that has started it is gone, however that ended: nobody could reach it any more.
fn end_with_parent() {
    if std::env::var_os(PARENT).is_none() {
        return;
    }
    let parent = nix::unistd::getppid();
    std::thread::spawn(move || {
        while nix::unistd::getppid() == parent {
            std::thread::sleep(PAUSE);
        }
        std::process::exit(1);
    });
}
