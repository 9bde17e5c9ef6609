//! A running evcxr with the library imported: evaluates cells and shows what comes of them.

use crate::cell::{self, Cell, Variable, Variables};
use crate::cell_compiler::{Report, Setup};
use crate::compile_folder::CompileFolder;
use crate::completion::{Candidate, Known};
use crate::docs::Docs;
use crate::eval::channels::{self, Channels};
use crate::failure::Failure;
use crate::input::Input;
use crate::interrupt::{Interrupts, prepare_child_command};
use crate::origins::Origins;
use crate::output;
use crate::output::progress;
use crate::output::pump::{Ending, Pump};
use crate::record::Entry;
use crate::source::{Kind, Piece, Source, mentions};
use crate::{library, library_build, report};
use anyhow::{Context, Result, anyhow};
use evcxr::{CommandContext, Error, EvalContext, EvalContextOutputs, EvalOutputs};
use std::cell::OnceCell;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Said instead of a compile error that the user has caused by Ctrl-C.
const INTERRUPTED: &str = "interrupted before anything was run";

/// In the session's folder: the pipes between this process and the one that runs the cells.
const CHANNELS: &str = "channels";

/// A compile folder with the library compiled, in which a session can start.
pub struct Prepared {
    folder: CompileFolder,
    setup: Setup,
}

impl Prepared {
    /// Takes a compile folder and compiles the library if need be, which the user sees.
    pub fn new() -> Result<Self> {
        let folder = CompileFolder::open()?;
        let setup = library_build::compile(&folder)?;
        Ok(Prepared { folder, setup })
    }

    pub fn folder(&self) -> &CompileFolder {
        &self.folder
    }

    /// Starts evcxr and imports the library.
    pub fn start(self, interrupts: Interrupts) -> Result<Session> {
        let Prepared { folder, setup } = self;
        setup.write(&folder.session)?;
        let channels = Channels::create(&folder.session.join(CHANNELS))?;
        let (context, outputs) = start_evcxr(&folder)?;
        // evcxr has evaluated something to see whether it can.
        channels.discard();
        let child = context.process_handle();
        interrupts.watch(child.clone());
        let input = Input::new(channels.input.clone(), child);
        let pump = Pump::start(channels, outputs.stderr)?;
        let mut session = Session {
            context: CommandContext::with_eval_context(context),
            pump,
            input,
            interrupts,
            folder,
            crates: setup.crates.into_keys().collect(),
            variables: Variables::new(),
            origins: Origins::default(),
            timed: false,
            loading: Vec::new(),
            last_loaded: None,
            record: Vec::new(),
            docs: OnceCell::new(),
        };
        session.import()?;
        Ok(session)
    }
}

/// One session; everything defined in it lives as long as it does.
pub struct Session {
    context: CommandContext,
    pump: Pump,
    input: Input,
    pub interrupts: Interrupts,
    folder: CompileFolder,
    /// Crates that cells can name without adding them.
    crates: Vec<String>,
    variables: Variables,
    origins: Origins,
    /// Whether the time that each cell takes is told.
    pub timed: bool,
    /// Scripts that are being loaded, the innermost last.
    pub loading: Vec<PathBuf>,
    /// The script that `:reload` loads again.
    pub last_loaded: Option<PathBuf>,
    /// What `:save` writes.
    pub record: Vec<Entry>,
    docs: OnceCell<Docs>,
}

impl Session {
    /// Compiles the library if need be, starts evcxr and imports the library.
    pub fn start(interrupts: Interrupts) -> Result<Self> {
        Prepared::new()?.start(interrupts)
    }

    /// Evaluates neighbouring statements of a source, shows what they print and display, and the error
    /// if there is one.
    pub fn evaluate(&mut self, source: &Source, pieces: &[Piece]) -> Result<(), Failure> {
        self.forget_what_is_defined_anew(source, pieces);
        let cell = Cell::new(source, pieces, &self.variables);
        output::take_captured();
        self.pump.begin_cell(&chart_name(source, pieces));
        let start = Instant::now();
        match self.execute(&cell.code) {
            Ok((outputs, ending)) => {
                let finished = ending.finished;
                self.note_variables(&cell, finished)?;
                self.note_origins(source, pieces, finished);
                if self.timed {
                    let compiling = compile_time(&outputs);
                    let running = start.elapsed().saturating_sub(compiling);
                    output::err(&format!(
                        "{:.2} s, and {:.2} s to compile it",
                        running.as_secs_f64(),
                        compiling.as_secs_f64()
                    ));
                }
                if finished {
                    self.record
                        .extend(Entry::new(source, pieces, output::take_captured()));
                    Ok(())
                } else {
                    Err(Failure::Shown)
                }
            }
            Err(Trouble::Interrupted) => Err(Failure::Message(INTERRUPTED.to_owned())),
            Err(Trouble::Evcxr(Error::CompilationErrors(errors))) => {
                let line = report::compile_errors(&errors, source, pieces, &cell);
                Err(line.map_or(Failure::Shown, Failure::ShownAt))
            }
            Err(Trouble::Evcxr(Error::SubprocessTerminated(how))) => Err(self.lost(&how)),
            Err(Trouble::Evcxr(error)) => Err(Failure::Message(error.to_string())),
        }
    }

    /// Remembers the statements that made variables.
    fn note_origins(&mut self, source: &Source, pieces: &[Piece], finished: bool) {
        let repeat = self.pump.is_worth_repeating();
        if !finished {
            return;
        }
        for piece in pieces {
            let names: Vec<String> = piece
                .bindings
                .iter()
                .map(|made| made.name.clone())
                .collect();
            self.origins
                .note(&names, &source.text[piece.code.clone()], repeat);
        }
    }

    /// A variable of a type that is defined anew is of the old type, which has no name any more.
    fn forget_what_is_defined_anew(&mut self, source: &Source, pieces: &[Piece]) {
        let items = pieces.iter().filter(|piece| piece.kind == Kind::Item);
        let defined: Vec<&str> = items.filter_map(|item| source.defined_type(item)).collect();
        self.variables.retain(|name, variable| {
            let is_old = defined.iter().any(|kind| mentions(&variable.kind, kind));
            if is_old {
                output::err(&format!(
                    "`{name}` is forgotten: its type {} is defined anew",
                    variable.kind
                ));
            }
            !is_old
        });
    }

    /// Learns from the compiler which variables the cell has made and which it has moved away.
    fn note_variables(&mut self, cell: &Cell, finished: bool) -> Result<()> {
        let report = Report::read(&self.folder.session)?;
        for name in &report.moved {
            let made_again = cell.made.iter().any(|made| made.name == *name);
            if !(made_again && finished && report.types.contains_key(name)) {
                self.variables.remove(name);
                self.origins.forget(name);
            }
        }
        if finished {
            for made in &cell.made {
                if let Some(kind) = report.types.get(&made.name) {
                    let variable = Variable {
                        kind: kind.clone(),
                        mutable: made.mutable,
                    };
                    self.variables.insert(made.name.clone(), variable);
                }
            }
        }
        Ok(())
    }

    /// Has evcxr carry out one of its own `:commands`.
    pub fn evcxr_command(&mut self, line: &str) -> Result<(), Failure> {
        if let Some(text) = self.ask_evcxr(line)? {
            output::out(&text);
        }
        Ok(())
    }

    /// What one of evcxr's own `:commands` answers.
    pub fn ask_evcxr(&mut self, line: &str) -> Result<Option<String>, Failure> {
        match self.execute(line) {
            Ok((outputs, _)) => Ok(outputs.get("text/plain").map(str::to_owned)),
            Err(trouble) => Err(Failure::Message(trouble.to_string())),
        }
    }

    /// Whether cells can name the crate of a `:dep` line already, in the version that the library uses.
    pub fn has_crate(&self, line: &str) -> bool {
        let name = line.split(['=', ' ']).next().unwrap_or_default();
        self.crates.contains(&name.replace('-', "_"))
    }

    /// A variable with its type, and what the library says of that.
    pub fn explain(&self, name: &str) -> Option<String> {
        let variables = self.variables();
        let (name, kind) = variables.iter().find(|(variable, _)| variable == name)?;
        let head = kind.trim_start_matches('&').trim_start_matches("Arc<");
        let head = head.split(['<', '>']).next().unwrap_or_default();
        let about = self.docs().find(head);
        let about = about.iter().map(|item| format!("\n\n{}", item.text()));
        Some(format!("let {name}: {kind}{}", about.collect::<String>()))
    }

    /// Documentation of the library's items.
    pub fn docs(&self) -> &Docs {
        self.docs
            .get_or_init(|| Docs::read(self.folder.library.code()))
    }

    /// Names and types of the variables, by name.
    pub fn variables(&self) -> Vec<(String, String)> {
        let variables = self.variables.iter();
        variables
            .map(|(name, variable)| (name.clone(), shorten(&variable.kind)))
            .collect()
    }

    /// Forgets every variable and item, and starts a fresh child.
    pub fn clear(&mut self) -> Result<(), Failure> {
        self.evcxr_command(":clear")?;
        self.variables.clear();
        self.record.clear();
        self.origins = Origins::default();
        self.import()?;
        Ok(())
    }

    /// What could stand at byte `position` of `text`: from which byte on, and what.
    pub fn completions(&self, text: &str, position: usize) -> (usize, Vec<Candidate>) {
        self.known().complete(text, position)
    }

    /// What is known to whoever types.
    pub fn known(&self) -> Known<'_> {
        let items = self.context.defined_item_names();
        Known {
            docs: self.docs(),
            variables: self.variables(),
            items: items
                .filter(|name| !cell::is_internal(name))
                .map(str::to_owned)
                .collect(),
        }
    }

    fn import(&mut self) -> Result<()> {
        let source = Source::new("import", library::IMPORT);
        let code = Cell::new(&source, &source.pieces, &Variables::new()).code;
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

    /// Has evcxr evaluate something; says too how the cell ended, where it was one.
    fn execute(&mut self, code: &str) -> Result<(EvalOutputs, Ending), Trouble> {
        let context = &mut self.context;
        let (result, interrupted) = self.interrupts.during(|| {
            self.input.during(&self.pump, || {
                catch_unwind(AssertUnwindSafe(|| context.execute(code)))
            })
        });
        let result = result.unwrap_or_else(|_| {
            Err(Error::Message(
                "evcxr failed on this; the session goes on".to_owned(),
            ))
        });
        let ending = self.pump.finish_cell().unwrap_or_default();
        match result {
            Ok(outputs) => Ok((outputs, ending)),
            // The compiler got the Ctrl-C as well.
            Err(Error::CompilationErrors(_) | Error::Message(_)) if interrupted => {
                Err(Trouble::Interrupted)
            }
            Err(error) => Err(Trouble::Evcxr(error)),
        }
    }

    /// The child has died: evcxr has started another, which is given what costs little.
    fn lost(&mut self, how: &str) -> Failure {
        let before = std::mem::take(&mut self.variables);
        let statements = std::mem::take(&mut self.origins).to_repeat();
        let how = how
            .trim()
            .replace("Subprocess terminated with status: ", "");
        output::err(&format!(
            "the process that ran the cells has ended ({how}); a new one takes over"
        ));
        for statement in statements {
            let source = Source::new("repeated", statement);
            let cell = Cell::new(&source, &source.pieces, &self.variables);
            self.pump.begin_cell("repeated");
            match self.execute(&cell.code) {
                Ok((_, ending)) => {
                    let finished = ending.finished;
                    if self.note_variables(&cell, finished).is_ok() {
                        self.note_origins(&source, &source.pieces, finished);
                    }
                }
                // It may be what ended the other.
                Err(Trouble::Evcxr(Error::SubprocessTerminated(_))) => {
                    self.variables.clear();
                    self.origins = Origins::default();
                    break;
                }
                Err(Trouble::Interrupted) => break,
                // What it needs is gone.
                Err(Trouble::Evcxr(_)) => {}
            }
        }
        let (back, gone): (Vec<String>, Vec<String>) = before
            .into_keys()
            .partition(|name| self.variables.contains_key(name));
        let mut message = "functions, types and imports are kept".to_owned();
        if !back.is_empty() {
            message.push_str(&format!("; brought back: {}", back.join(", ")));
        }
        if !gone.is_empty() {
            message.push_str(&format!("; lost with it: {}", gone.join(", ")));
        }
        Failure::Message(message)
    }
}

/// The time evcxr took before the code ran.
fn compile_time(outputs: &EvalOutputs) -> Duration {
    let phases = outputs.phases.iter();
    phases
        .filter(|phase| phase.name != "Execution")
        .map(|phase| phase.duration)
        .sum()
}

/// A type without the paths in it, as one would say it.
fn shorten(kind: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    let mut rest = kind.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else if c == ':' && rest.peek() == Some(&':') {
            rest.next();
            word.clear();
        } else {
            short.push_str(&std::mem::take(&mut word));
            short.push(c);
        }
    }
    short + &word
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
        .env(channels::VARIABLE, folder.session.join(CHANNELS))
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
        .map(PathBuf::from)
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
