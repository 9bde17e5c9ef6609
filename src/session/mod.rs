//! A running evcxr with the library imported: evaluates cells and shows what comes of them.

pub mod commands;
mod dependency;
pub mod history;
pub mod input;
pub mod interpreter;
pub mod interrupt;
mod magic;
mod probe;
mod replay;
pub mod script;
mod shell;
mod start;
mod variables;

pub use start::{Prepared, Surroundings};

use crate::eval::cell::{Cell, Lost};
use crate::eval::compiler::{Report, Setup, added_crates, write_plan};
use crate::eval::items::{Addition, Items};
use crate::ide::completion::{Candidate, Known};
use crate::ide::docs::Docs;
use crate::ide::elsewhere::{Crates, Elsewhere, Text};
use crate::ide::rust_docs;
use crate::library::folder::CompileFolder;
use crate::library::sources;
use crate::notebook::record_file;
use crate::notebook::transcript::{self, Entry};
use crate::output::FrontEnd;
use crate::output::errors;
use crate::output::failure::Failure;
use crate::output::pump::{Ending, Pump};
use crate::syntax::last_result::RESULT;
use crate::syntax::statements::{Kind, Piece, Source};
use anyhow::{Result, anyhow};
use dependency::Dependency;
use evcxr::{CommandContext, Error, EvalContext, EvalOutputs};
use history::History;
use input::Input;
use interrupt::Interrupts;
use replay::Origins;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use variables::{Names, shorten};

/// Said instead of a compile error that the user has caused by Ctrl-C.
const INTERRUPTED: &str = "interrupted before anything was run";

/// Said when a cell that does not look for Ctrl-C has come to its end after one.
const INTERRUPTED_AT_END: &str = "interrupted; the cell came to its end all the same";

/// One session; everything defined in it lives as long as it does.
pub struct Session {
    context: CommandContext,
    pump: Pump,
    input: Input,
    pub interrupts: Interrupts,
    pub output: FrontEnd,
    folder: CompileFolder,
    /// Crates that cells can name without adding them, with their versions.
    crates: BTreeMap<String, String>,
    names: Names,
    items: Items,
    origins: Origins,
    /// Whether the time that each cell takes is told.
    pub timed: bool,
    /// Whether the time that the rest of what was entered takes is told.
    times_rest: bool,
    /// Scripts that are being loaded, the innermost last.
    pub loading: Vec<PathBuf>,
    /// The script that `:reload` loads again.
    pub last_loaded: Option<PathBuf>,
    /// What `:save` writes.
    pub record: Vec<Entry>,
    /// What was entered.
    pub history: History,
    docs: OnceCell<Docs>,
    elsewhere: Elsewhere,
}

impl Session {
    /// Compiles the library if need be, starts evcxr and imports the library.
    pub fn start(surroundings: Surroundings) -> Result<Self> {
        Prepared::new(&surroundings.output)?.start(surroundings)
    }

    /// A session of which nothing has been asked yet.
    fn new(
        context: EvalContext,
        pump: Pump,
        input: Input,
        interrupts: Interrupts,
        output: FrontEnd,
        folder: CompileFolder,
        setup: Setup,
    ) -> Self {
        let std_library = folder.std_library.clone();
        Session {
            context: CommandContext::with_eval_context(context),
            pump,
            input,
            interrupts,
            output,
            folder,
            crates: setup.versions,
            elsewhere: Elsewhere::new(setup.crates, std_library),
            names: Names::default(),
            items: Items::default(),
            origins: Origins::default(),
            timed: false,
            times_rest: false,
            loading: Vec::new(),
            last_loaded: None,
            record: Vec::new(),
            history: History::default(),
            docs: OnceCell::new(),
        }
    }

    /// Evaluates neighbouring statements of a source, shows what they print and display, and the error
    /// if there is one.
    pub fn evaluate(&mut self, source: &Source, pieces: &[Piece]) -> Result<(), Failure> {
        let pieces = &self.with_made_items(source, pieces);
        let addition = self.addition(source, pieces);
        let dropped = self.names.depending_on(&addition.affected);
        let cell = self.cell(source, pieces, &addition, &dropped)?;
        let code: String = pieces
            .iter()
            .map(|piece| &source.text[piece.code.clone()])
            .collect();
        let _record = record_file::write(&self.record, &self.folder.session, &code)?;
        self.output.take_captured();
        self.pump.begin_cell(&chart_name(source, pieces));
        let start = Instant::now();
        match self.execute(&cell.code) {
            Ok(Evaluated {
                outputs,
                ending,
                interrupted,
            }) => {
                let finished = ending.as_ref().is_some_and(|ending| ending.finished);
                if let Some(ending) = ending {
                    let mut notes = self.names.drop_depending(&dropped);
                    self.items.commit(addition);
                    let report = Report::read(&self.folder.session)?;
                    notes.extend(self.names.settle(&cell, &report, &ending));
                    self.note_origins(source, pieces);
                    notes.iter().for_each(|note| self.output.note(note));
                }
                if self.timed {
                    let compiling = compile_time(&outputs);
                    let running = start.elapsed().saturating_sub(compiling);
                    self.output.err(&format!(
                        "{:.2} s, and {:.2} s to compile it",
                        running.as_secs_f64(),
                        compiling.as_secs_f64()
                    ));
                }
                if finished && interrupted {
                    Err(Failure::Message(INTERRUPTED_AT_END.to_owned()))
                } else if finished {
                    self.record
                        .extend(Entry::new(source, pieces, self.output.take_captured()));
                    transcript::bound(&mut self.record);
                    Ok(())
                } else {
                    Err(Failure::Shown)
                }
            }
            Err(Trouble::Interrupted) => Err(Failure::Message(INTERRUPTED.to_owned())),
            Err(Trouble::Evcxr(Error::CompilationErrors(errors))) => {
                let mut lost = self.names.lost.clone();
                for name in &dropped {
                    let how = "is of a type that depends on what this cell defines anew".to_owned();
                    lost.insert(name.clone(), Lost { how, was: None });
                }
                let drawn = errors::of_compiler(&errors, source, pieces, &cell, &lost);
                self.output.err(&drawn.text);
                Err(drawn.line.map_or(Failure::Shown, Failure::ShownAt))
            }
            Err(Trouble::Evcxr(Error::SubprocessTerminated(how))) => Err(self.lost(&how)),
            Err(Trouble::Evcxr(error)) => Err(Failure::Message(error.to_string())),
        }
    }

    /// The pieces, with the calls of macros that make items taken for items.
    fn with_made_items(&self, source: &Source, pieces: &[Piece]) -> Vec<Piece> {
        let is_macro = |piece: &&Piece| source.text[piece.code.clone()].contains("macro_rules!");
        let macros = pieces.iter().filter(is_macro);
        let mut items = self.items.clone();
        let addition = items.addition(macros.map(|piece| &source.text[piece.code.clone()]));
        items.commit(addition);
        let mut pieces = pieces.to_vec();
        for piece in &mut pieces {
            let may_be = matches!(piece.kind, Kind::Statement | Kind::Expression);
            if may_be && items.are_made_by(&source.text[piece.code.clone()]) {
                piece.kind = Kind::Item;
            }
        }
        pieces
    }

    fn addition(&self, source: &Source, pieces: &[Piece]) -> Addition {
        let items = pieces.iter().filter(|piece| piece.kind == Kind::Item);
        let mut addition = self
            .items
            .addition(items.map(|piece| &source.text[piece.code.clone()]));
        addition.written_in(source);
        addition
    }

    /// A cell that sees every variable but those that it drops.
    fn cell(
        &self,
        source: &Source,
        pieces: &[Piece],
        addition: &Addition,
        dropped: &[String],
    ) -> Result<Cell> {
        let mut seen = self.names.variables.clone();
        seen.retain(|name, _| !dropped.contains(name));
        let lost = &self.names.lost;
        let last = self.names.last.as_deref();
        let mut cell = Cell::new(source, pieces, &seen, lost, last, &self.items, addition);
        cell.forget(dropped.iter());
        write_plan(&cell.plan, &self.folder.session)?;
        Ok(cell)
    }

    /// Remembers the statements that made variables.
    fn note_origins(&mut self, source: &Source, pieces: &[Piece]) {
        let repeat = self.pump.is_worth_repeating();
        for name in self.names.lost.keys() {
            self.origins.forget(name);
        }
        for piece in pieces {
            let made = piece.bindings.iter().map(|made| made.name.clone());
            let names: Vec<String> = made
                .filter(|name| self.names.variables.contains_key(name))
                .collect();
            self.origins
                .note(&names, &source.text[piece.code.clone()], repeat);
        }
    }

    /// Has evcxr carry out one of its own `:commands`.
    pub fn evcxr_command(&mut self, line: &str) -> Result<(), Failure> {
        if let Some(text) = self.ask_evcxr(line)? {
            self.output.out(&text);
        }
        Ok(())
    }

    /// What one of evcxr's own `:commands` answers.
    pub fn ask_evcxr(&mut self, line: &str) -> Result<Option<String>, Failure> {
        match self.execute(line) {
            Ok(done) => Ok(done.outputs.get("text/plain").map(str::to_owned)),
            Err(trouble) => Err(Failure::Message(trouble.to_string())),
        }
    }

    /// Adds the crate of a `:dep` line, unless cells can name it already in a version that fits. That may have others
    /// compiled otherwise (in another version, with other features): values of their types can no longer be read.
    pub fn add_crate(&mut self, line: &str) -> Result<(), Failure> {
        let asked = Dependency::parse(line);
        let name = asked.as_ref().map(Dependency::name_in_code);
        let name = name.unwrap_or_default();
        let there = self.crates.get(&name).cloned();
        if let (Some(asked), Some(version)) = (&asked, &there)
            && asked.is_met_by(version)
        {
            self.output.out(&format!(
                "{} {version} is there already: the library uses it",
                asked.name
            ));
            return Ok(());
        }
        let before = added_crates(&self.folder.session);
        self.evcxr_command(&format!(":dep {line}"))?;
        let now = added_crates(&self.folder.session);
        let changed = before
            .into_iter()
            .filter(|(name, file)| now.get(name) != Some(file));
        let mut changed: BTreeSet<String> = changed.map(|(name, _)| name).collect();
        if let Some(version) = there {
            // From now on cells mean another crate by its name.
            self.crates.remove(&name);
            self.output.note(&format!(
                "`{name}` is this crate from now on, and no longer the {version} that the library uses: the library takes \
                 no values of its types"
            ));
            changed.insert(name);
        }
        let affected = self.items.affected_by(changed);
        let dropped = self.names.depending_on(&affected);
        let notes = self.names.drop_depending(&dropped);
        notes.iter().for_each(|note| self.output.note(note));
        Ok(())
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

    /// What was defined in the session under a name, as it was written.
    pub fn definition(&self, name: &str) -> Option<String> {
        self.items.text(name)
    }

    /// What is known of a name of Rust's own.
    pub fn rust_docs(&self, name: &str) -> rust_docs::Found {
        self.elsewhere.of_rust(name)
    }

    /// What is known of a name in a crate that cells can name.
    pub fn crate_docs(&self, name: &str) -> Option<Text> {
        self.elsewhere.find(name, self.docs(), &self.added_files())
    }

    /// The crates that the user has added, with their files.
    fn added_files(&self) -> Crates {
        let added = added_crates(&self.folder.session).into_iter();
        added.map(|(name, file)| (name, file.into())).collect()
    }

    /// Whether a name has a meaning of its own in the session.
    pub fn knows(&self, name: &str) -> bool {
        let mut items = self.items.names();
        self.names.variables.contains_key(name) || items.any(|item| item == name)
    }

    /// Whether `?` takes a value out of a variable.
    pub fn is_tried(&self, name: &str) -> bool {
        let variable = self.names.variables.get(name);
        variable.is_some_and(|variable| {
            ["std::result::Result<", "std::option::Option<"]
                .iter()
                .any(|kind| variable.kind.starts_with(kind))
        })
    }

    /// Carries out a line of the shell in the folder of the cells.
    pub fn shell(&mut self, line: &str) -> Result<(), Failure> {
        let cells = self.input.process_id();
        // Where the system does not tell it, that of this process, in which the session began.
        let folder = std::fs::read_link(format!("/proc/{cells}/cwd"));
        let folder = folder.or_else(|_| std::env::current_dir());
        let folder = folder.map_err(|error| format!("the current folder is gone: {error}"))?;
        shell::run(line, &folder, &self.interrupts, &self.output)
    }

    /// The error that a variable holds, if it is a `Result` with one.
    pub fn error_in(&self, name: &str) -> Option<&str> {
        self.names.variables.get(name)?.error.as_deref()
    }

    /// Names and types of the variables, by name.
    pub fn variables(&self) -> Vec<(String, String)> {
        let variables = self.names.variables.iter();
        variables
            .filter(|(name, _)| *name != RESULT)
            .map(|(name, variable)| (name.clone(), shorten(&variable.kind)))
            .collect()
    }

    /// Forgets every variable and item, and starts a fresh child.
    pub fn clear(&mut self) -> Result<(), Failure> {
        self.evcxr_command(":clear")?;
        self.names = Names::default();
        self.items = Items::default();
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
        Known {
            docs: self.docs(),
            variables: self.variables(),
            items: self.items.names().map(str::to_owned).collect(),
            own: Docs::of_session(&self.items.all()),
            elsewhere: Box::new(|name| {
                self.elsewhere
                    .members(name, self.docs(), &self.added_files())
            }),
        }
    }

    fn import(&mut self) -> Result<()> {
        let source = Source::new("import", sources::IMPORT);
        let addition = self.addition(&source, &source.pieces);
        let cell = self.cell(&source, &source.pieces, &addition, &[])?;
        match self.execute(&cell.code) {
            Ok(_) => {
                self.items.commit(addition);
                Ok(())
            }
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
    fn execute(&mut self, code: &str) -> Result<Evaluated, Trouble> {
        let context = &mut self.context;
        let pressed = || self.interrupts.was_pressed();
        let (result, interrupted) = self.interrupts.during(|| {
            self.input.during(&self.pump, &pressed, || {
                catch_unwind(AssertUnwindSafe(|| context.execute(code)))
            })
        });
        let result = result.unwrap_or_else(|_| {
            Err(Error::Message(
                "evcxr failed on this; the session goes on".to_owned(),
            ))
        });
        let ending = self.pump.finish_cell();
        // A compiler that was killed has no errors to show, only that it failed.
        let has_only_failed = matches!(result, Err(Error::Message(_)));
        let interrupted = interrupted || has_only_failed && self.interrupts.is_pressed_soon();
        match result {
            Ok(outputs) => Ok(Evaluated {
                outputs,
                ending,
                interrupted,
            }),
            // The compiler got the Ctrl-C as well.
            Err(Error::CompilationErrors(_) | Error::Message(_)) if interrupted => {
                Err(Trouble::Interrupted)
            }
            Err(error) => Err(Trouble::Evcxr(error)),
        }
    }

    /// The process of the cells has died: evcxr has started another, which is given what costs little.
    fn lost(&mut self, how: &str) -> Failure {
        let before = self
            .names
            .lose_all("was lost with the process that ran the cells");
        self.items.restart();
        let statements = std::mem::take(&mut self.origins).to_repeat();
        let how = how
            .trim()
            .replace("Subprocess terminated with status: ", "");
        let how = if self.pump.has_overflowed() {
            "stack overflow: a function that calls itself does not end, or a value is too large"
                .to_owned()
        } else {
            how
        };
        self.output.err(&format!(
            "the process that ran the cells has ended ({how}); a new one takes over"
        ));
        for statement in statements {
            let source = Source::new("repeated", statement);
            match self.repeat(&source) {
                // The statement may be what ended the process before.
                Err(Trouble::Evcxr(Error::SubprocessTerminated(_))) => {
                    self.names
                        .lose_all("was lost with the process that ran the cells");
                    self.items.restart();
                    self.origins = Origins::default();
                    break;
                }
                Err(Trouble::Interrupted) => break,
                // The variables that the statement reads may have been lost in the crash.
                Ok(()) | Err(Trouble::Evcxr(_)) => {}
            }
        }
        let (back, gone): (Vec<String>, Vec<String>) = before
            .into_iter()
            .partition(|name| self.names.variables.contains_key(name));
        let mut message = "functions, types and imports are kept".to_owned();
        if !back.is_empty() {
            message.push_str(&format!("; brought back: {}", back.join(", ")));
        }
        if !gone.is_empty() {
            message.push_str(&format!("; lost with it: {}", gone.join(", ")));
        }
        Failure::Message(message)
    }

    /// Evaluates a statement once more, in silence as far as it goes well.
    fn repeat(&mut self, source: &Source) -> Result<(), Trouble> {
        let addition = self.addition(source, &source.pieces);
        let cell = self.cell(source, &source.pieces, &addition, &[]);
        let cell = cell.map_err(|error| Trouble::Evcxr(Error::Message(format!("{error:#}"))))?;
        self.pump.begin_cell("repeated");
        let ending = self.execute(&cell.code)?.ending;
        if let (Some(ending), Ok(report)) = (ending, Report::read(&self.folder.session)) {
            self.items.commit(addition);
            self.names.settle(&cell, &report, &ending);
            self.note_origins(source, &source.pieces);
        }
        Ok(())
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

/// What came of an evaluation.
struct Evaluated {
    outputs: EvalOutputs,
    /// How the cell ended, where it was one.
    ending: Option<Ending>,
    /// Ctrl-C was pressed meanwhile.
    interrupted: bool,
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

/// File name for a chart: that of the source, and the line.
fn chart_name(source: &Source, pieces: &[Piece]) -> String {
    let stem = PathBuf::from(&source.name).file_stem().map_or_else(
        || "chart".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    );
    let line = pieces.last().map_or(0, |piece| piece.line);
    format!("{stem}-{line}")
}
