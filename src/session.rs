//! A running evcxr with the library imported: evaluates cells and shows what comes of them.

use crate::cell::{self, Cell};
use crate::compile_folder::CompileFolder;
use crate::failure::Failure;
use crate::interrupt::{Interrupts, prepare_child_command};
use crate::relay::Relay;
use crate::source::{Kind, Piece, Source};
use crate::{library_build, progress, report, show};
use anyhow::{Context, Result, anyhow};
use evcxr::{CommandContext, Error, EvalContext, EvalContextOutputs, EvalOutputs};
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Command;

/// Crate and module that are imported.
const LIBRARY: &str = "vitrepl-prelude";
const IMPORT: &str = "use vitrepl_prelude::prelude::*;";

/// Said instead of a compile error that the user has caused by Ctrl-C.
const INTERRUPTED: &str = "interrupted before anything was run";

/// One session; everything defined in it lives as long as it does.
pub struct Session {
    context: CommandContext,
    relay: Relay,
    pub interrupts: Interrupts,
    folder: CompileFolder,
    /// Scripts that are being loaded, the innermost last.
    pub loading: Vec<PathBuf>,
    /// The script that `:reload` loads again.
    pub last_loaded: Option<PathBuf>,
}

impl Session {
    /// Starts evcxr, compiles the library if need be and imports it.
    pub fn start(interrupts: Interrupts) -> Result<Self> {
        let folder = CompileFolder::open()?;
        let (context, outputs) = start_evcxr(&folder)?;
        library_build::compile(&folder, context.state().linker())?;
        interrupts.watch(context.process_handle());
        let mut session = Session {
            context: CommandContext::with_eval_context(context),
            relay: Relay::start(outputs),
            interrupts,
            folder,
            loading: Vec::new(),
            last_loaded: None,
        };
        session.import()?;
        Ok(session)
    }

    /// Evaluates neighbouring statements of a source, shows what they print and display, and the error
    /// if there is one.
    pub fn evaluate(&mut self, source: &Source, pieces: &[Piece]) -> Result<(), Failure> {
        let cell = Cell::new(source, pieces);
        let variables = self.variables();
        match self.execute(&cell.code) {
            Ok(outputs) => {
                let name = chart_name(source, pieces);
                show::show(&outputs, &name)?;
                match outputs.get(cell::STATUS) {
                    Some(cell::FINISHED) => Ok(()),
                    _ => Err(Failure::Shown),
                }
            }
            Err(Trouble::Interrupted) => Err(Failure::Message(INTERRUPTED.to_owned())),
            Err(Trouble::Evcxr(Error::CompilationErrors(errors))) => {
                let line = report::compile_errors(&errors, source, pieces, &cell);
                Err(line.map_or(Failure::Shown, Failure::ShownAt))
            }
            Err(Trouble::Evcxr(Error::SubprocessTerminated(how))) => {
                Err(self.lost(&how, &variables))
            }
            Err(Trouble::Evcxr(error)) => Err(Failure::Message(error.to_string())),
        }
    }

    /// Has evcxr carry out one of its own `:commands`.
    pub fn evcxr_command(&mut self, line: &str) -> Result<(), Failure> {
        match self.execute(line) {
            Ok(outputs) => {
                if let Some(text) = outputs.get("text/plain") {
                    show::print_text(text);
                }
                Ok(())
            }
            Err(trouble) => Err(Failure::Message(trouble.to_string())),
        }
    }

    /// Names and types of the variables, by name.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut variables: Vec<_> = self
            .context
            .variables_and_types()
            .filter(|(name, _)| !cell::is_internal(name))
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
            .collect();
        variables.sort();
        variables
    }

    /// Forgets every variable and item, and starts a fresh child.
    pub fn clear(&mut self) -> Result<(), Failure> {
        self.evcxr_command(":clear")?;
        self.import()?;
        Ok(())
    }

    /// What could stand at byte `position` of `text`: from which byte on, and what.
    pub fn completions(&mut self, text: &str, position: usize) -> (usize, Vec<String>) {
        let context = &mut self.context;
        let found = catch_unwind(AssertUnwindSafe(|| context.completions(text, position)));
        match found {
            Ok(Ok(found)) => {
                let names = found
                    .completions
                    .into_iter()
                    .map(|completion| completion.code);
                (
                    found.start_offset,
                    names.filter(|name| !cell::is_internal(name)).collect(),
                )
            }
            _ => (position, Vec::new()),
        }
    }

    fn import(&mut self) -> Result<()> {
        self.folder
            .pin_versions()
            .context("cannot pin the versions of the library's dependencies")?;
        let code = format!(
            ":dep {LIBRARY} = {}\n{IMPORT}\n{}\nvitrepl_cell!();\n{}",
            self.folder.library.dependency(),
            cell::RUNTIME,
            cell::PREPARE_CHILD
        );
        match self.execute(&code) {
            Ok(_) => Ok(()),
            Err(Trouble::Evcxr(Error::CompilationErrors(errors))) => {
                let rendered: Vec<String> = errors
                    .iter()
                    .map(|error| match error.rendered() {
                        text if text.is_empty() => error.message(),
                        text => text,
                    })
                    .collect();
                Err(anyhow!(
                    "the library cannot be imported:\n{}",
                    rendered.join("\n")
                ))
            }
            Err(trouble) => Err(anyhow!("the library cannot be imported: {trouble}")),
        }
    }

    fn execute(&mut self, code: &str) -> Result<EvalOutputs, Trouble> {
        let context = &mut self.context;
        let (result, interrupted) = self
            .interrupts
            .during(|| catch_unwind(AssertUnwindSafe(|| context.execute(code))));
        let result = result.unwrap_or_else(|_| {
            Err(Error::Message(
                "evcxr failed on this; the session goes on".to_owned(),
            ))
        });
        let marked = matches!(&result, Ok(outputs) if outputs.get(cell::STATUS).is_some());
        self.relay.finish_cell(marked);
        result.map_err(|error| match error {
            // The compiler got the Ctrl-C as well.
            Error::CompilationErrors(_) | Error::Message(_) if interrupted => Trouble::Interrupted,
            error => Trouble::Evcxr(error),
        })
    }

    /// The child has died: evcxr has started another, which needs preparing.
    fn lost(&mut self, how: &str, variables: &[(String, String)]) -> Failure {
        let mut message = format!("the process that ran the cells has ended ({})", how.trim());
        if !variables.is_empty() {
            let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
            message.push_str(&format!("; lost with it: {}", names.join(", ")));
        }
        message.push_str(". A new one is ready; functions, types and imports are kept");
        if let Err(trouble) = self.execute(&format!("vitrepl_cell!();\n{}", cell::PREPARE_CHILD)) {
            message.push_str(&format!(", but it cannot be prepared: {trouble}"));
        }
        Failure::Message(message)
    }
}

/// Why evcxr did not evaluate something.
enum Trouble {
    Interrupted,
    Evcxr(Error),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Interrupted => f.write_str(INTERRUPTED),
            Trouble::Evcxr(error) => write!(f, "{error}"),
        }
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
        .env("LD_LIBRARY_PATH", library_path(folder)?);
    prepare_child_command(&mut command);
    std::env::set_current_dir(&folder.session).context("cannot enter the compile folder")?;
    let started = EvalContext::with_subprocess_command(command);
    std::env::set_current_dir(&here).context("the current folder is gone")?;
    started.map_err(|error| anyhow!("evcxr does not start: {error}"))
}

/// The session's own copy of the library comes before any other that the environment names (`cargo run`
/// names the workspace's, which may be of another state).
fn library_path(folder: &CompileFolder) -> Result<OsString> {
    let inherited = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let paths = folder
        .shared_libraries()
        .into_iter()
        .chain(std::env::split_paths(&inherited).filter(|path| !path.as_os_str().is_empty()));
    std::env::join_paths(paths).context("the compile folder has a name with a colon in it")
}

/// File name for a chart: that of the source, and the line.
fn chart_name(source: &Source, pieces: &[Piece]) -> String {
    let stem = PathBuf::from(&source.name).file_stem().map_or_else(
        || "chart".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    );
    let line = pieces.last().map_or(0, |piece| piece.line);
    format!("{stem}-{line}")
}

/// Groups of neighbouring pieces that can be evaluated as one: a command stands alone, and a displayed
/// expression ends its group.
pub fn groups(pieces: &[Piece]) -> impl Iterator<Item = &[Piece]> {
    pieces.chunk_by(|one, next| {
        one.kind != Kind::Command && next.kind != Kind::Command && one.kind != Kind::Expression
    })
}
