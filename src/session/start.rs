//! Starting a session: the compile folder, evcxr, and the process that runs the cells.

use super::input::stdin::Stdin;
use super::input::{Input, Source};
use super::interrupt::{Interrupts, prepare_child_command};
use super::{Session, probe};
use crate::eval::channels::{self, Channels};
use crate::eval::compiler::Setup;
use crate::library::build;
use crate::library::environment::library_environment;
use crate::library::folder::CompileFolder;
use crate::notebook::record_file;
use crate::output::pump::Pump;
use crate::output::{FrontEnd, progress};
use anyhow::{Context, Result, anyhow};
use evcxr::{EvalContext, EvalContextOutputs};
use std::process::Command;

/// In the session's folder: the pipes between this process and the one that runs the cells.
const CHANNELS: &str = "channels";

/// What a session is handed by whoever starts it.
pub struct Surroundings {
    /// Where it says things.
    pub output: FrontEnd,
    /// What its cells read.
    pub lines: Box<dyn Source>,
    pub interrupts: Interrupts,
}

impl Surroundings {
    /// Standard input, output and error of this process, and Ctrl-C at its terminal.
    pub fn of_terminal(output: &FrontEnd) -> Result<Self> {
        let interrupts = Interrupts::listen(output)?;
        Ok(Self::with(output, interrupts))
    }

    /// Standard input, output and error of this process, with a listener for Ctrl-C that is there already.
    pub fn with(output: &FrontEnd, interrupts: Interrupts) -> Self {
        let output = output.clone();
        let lines = Box::new(Stdin {
            output: output.clone(),
        });
        Surroundings {
            output,
            lines,
            interrupts,
        }
    }
}

/// A compile folder with the library compiled, in which a session can start.
pub struct Prepared {
    folder: CompileFolder,
    setup: Setup,
    /// The library has just been compiled, perhaps by a compiler that nobody has tried.
    is_fresh: bool,
}

impl Prepared {
    /// Takes a compile folder and compiles the library if need be, which the user sees.
    pub fn new(output: &FrontEnd) -> Result<Self> {
        let folder = CompileFolder::open()?;
        let (setup, is_fresh) = build::compile(&folder, output)?;
        Ok(Prepared {
            folder,
            setup,
            is_fresh,
        })
    }

    /// Starts evcxr and imports the library.
    pub fn start(self, surroundings: Surroundings) -> Result<Session> {
        let Prepared {
            folder,
            setup,
            is_fresh,
        } = self;
        let Surroundings {
            output,
            lines,
            interrupts,
        } = surroundings;
        setup.write(&folder.session)?;
        let channels = Channels::create(&folder.session.join(CHANNELS))?;
        let (context, outputs) = start_evcxr(&folder)?;
        // evcxr has evaluated something to see whether it can.
        channels.discard();
        let child = context.process_handle();
        interrupts.watch(child.clone());
        let input = Input::new(channels.input.clone(), child, lines);
        let pump = Pump::start(channels, outputs.stderr, output.clone())?;
        let mut session = Session::new(context, pump, input, interrupts, output, folder, setup);
        session.import()?;
        if is_fresh {
            probe::check(&mut session)?;
        }
        Ok(session)
    }
}

/// Starts evcxr in the session's folder, where it finds its settings, with a child in ours.
fn start_evcxr(folder: &CompileFolder) -> Result<(EvalContext, EvalContextOutputs)> {
    let here = std::env::current_dir().context("the current folder is gone")?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command
        .current_dir(&here)
        .env(progress::VARIABLE, "1")
        .env(channels::VARIABLE, folder.session.join(CHANNELS))
        .env(record_file::VARIABLE, record_file::path(&folder.session))
        .envs(library_environment(folder)?);
    prepare_child_command(&mut command);
    std::env::set_current_dir(&folder.session).context("cannot enter the compile folder")?;
    let started = EvalContext::with_subprocess_command(command);
    std::env::set_current_dir(&here).context("the current folder is gone")?;
    started.map_err(|error| anyhow!("evcxr does not start: {error}"))
}
