//! The `:commands`: one table, from which help and completion are made.

use super::{Session, script};
use crate::ide::completion::Candidate;
use crate::notebook::files;
use crate::notebook::transcript::Entry;
use crate::output;
use crate::output::failure::Failure;
use crate::syntax::statements::Source;
use std::path::PathBuf;

/// What a command that went well leaves to whoever carries out statements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asks {
    Nothing,
    Quit,
    /// To carry out the statements of this file.
    Load(PathBuf),
}

/// One command.
pub struct Command {
    pub name: &'static str,
    /// What it takes, for the help; brackets mean that it may be left out.
    arguments: &'static str,
    help: &'static str,
    run: fn(&mut Session, &str) -> Result<Asks, Failure>,
}

/// Every command, in the order of the help.
pub const COMMANDS: &[Command] = &[
    Command {
        name: ":help",
        arguments: "[TOPIC]",
        help: "What the commands do; of one, or of anything in the library",
        run: help,
    },
    Command {
        name: ":vars",
        arguments: "",
        help: "Variables and their types",
        run: |session, _| {
            let variables = session.variables();
            if variables.is_empty() {
                output::out("no variables yet");
            }
            for (name, kind) in variables {
                match session.error_in(&name) {
                    Some(error) => output::out(&format!("{name}: {kind} = Err({error})")),
                    None => output::out(&format!("{name}: {kind}")),
                }
            }
            Ok(Asks::Nothing)
        },
    },
    Command {
        name: ":models",
        arguments: "",
        help: "Models that are loaded: size, device, age",
        run: |session, _| show_call(session, "models()"),
    },
    Command {
        name: ":cache",
        arguments: "[drop PATTERN | limit SIZE]",
        help: "What is kept in memory and on disk; drop some of it; how much may be on disk",
        run: cache,
    },
    Command {
        name: ":mem",
        arguments: "",
        help: "Memory in use, of the host and the device",
        run: |session, _| show_call(session, "memory()"),
    },
    Command {
        name: ":device",
        arguments: "[NAME]",
        help: "Devices; choose the one for models loaded from now on",
        run: |session, name| match name {
            "" => show_call(session, "devices()"),
            name => show_call(session, &format!("set_device({name:?}).map(|_| {name:?})?")),
        },
    },
    Command {
        name: ":time",
        arguments: "[on | off]",
        help: "Tell the time that each cell takes",
        run: |session, arguments| {
            session.timed = match arguments {
                "on" => true,
                "off" => false,
                "" => !session.timed,
                _ => return Err(":time on, or :time off".to_owned().into()),
            };
            output::out(if session.timed {
                "times are told"
            } else {
                "times are not told"
            });
            Ok(Asks::Nothing)
        },
    },
    Command {
        name: ":load",
        arguments: "FILE",
        help: "Run a script, statement by statement",
        run: load,
    },
    Command {
        name: ":reload",
        arguments: "",
        help: "Run the script loaded last once more",
        run: |session, _| match session.last_loaded.clone() {
            Some(path) => Ok(Asks::Load(path)),
            None => Err("nothing has been loaded yet; use :load FILE"
                .to_owned()
                .into()),
        },
    },
    Command {
        name: ":save",
        arguments: "FILE",
        help: "Write the session as a script (.rs) or notebook (.ipynb, with outputs)",
        run: save_session,
    },
    Command {
        name: ":type",
        arguments: "VARIABLE",
        help: "The type of a variable",
        run: |session, name| {
            let variables = session.variables();
            let found = variables.iter().find(|(variable, _)| variable == name);
            let (_, kind) =
                found.ok_or_else(|| format!("no variable `{name}`; :vars lists them"))?;
            output::out(kind);
            Ok(Asks::Nothing)
        },
    },
    Command {
        name: ":doc",
        arguments: "ITEM",
        help: "The documentation of a variable, type, function or keyword",
        run: document,
    },
    Command {
        name: ":dep",
        arguments: "CRATE = VERSION",
        help: "Add a crate, as in a Cargo.toml",
        run: |session, arguments| {
            if session.has_crate(arguments) {
                output::out("there already: the library uses it too");
                return Ok(Asks::Nothing);
            }
            evcxr(session, ":dep", arguments)
        },
    },
    Command {
        name: ":explain",
        arguments: "",
        help: "Explain the last compile error",
        run: |session, _| evcxr(session, ":explain", ""),
    },
    Command {
        name: ":clear",
        arguments: "",
        help: "Forget every variable, function and type",
        run: |session, _| session.clear().map(|()| Asks::Nothing),
    },
    Command {
        name: ":quit",
        arguments: "",
        help: "Leave",
        run: |_, _| Ok(Asks::Quit),
    },
];

/// What `:save` leaves out: these are about the session itself, or stand for the statements they ran.
const NOT_SAVED: &[&str] = &[
    ":clear", ":doc", ":explain", ":help", ":load", ":quit", ":reload", ":save", ":type",
];

/// Carries out a line that starts with `:`.
pub fn run(session: &mut Session, line: &str) -> Result<Asks, Failure> {
    let (name, arguments) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let command = find(name).ok_or_else(|| {
        Failure::Message(format!("unknown command {name}; :help lists what there is"))
    })?;
    output::take_captured();
    let asks = (command.run)(session, arguments.trim())?;
    if !NOT_SAVED.contains(&name) {
        let source = Source::new("command", line);
        session
            .record
            .extend(Entry::new(&source, &source.pieces, output::take_captured()));
    }
    Ok(asks)
}

/// The commands that begin as typed, with what they take and do.
pub fn candidates(typed: &str) -> Vec<Candidate> {
    let fitting = COMMANDS
        .iter()
        .filter(|command| command.name.starts_with(typed));
    fitting
        .map(|command| Candidate {
            text: command.name.to_owned(),
            label: format!("{} {}", command.name, command.arguments)
                .trim_end()
                .to_owned(),
            kind: "keyword",
            about: command.help.to_owned(),
        })
        .collect()
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

fn help(session: &mut Session, name: &str) -> Result<Asks, Failure> {
    let wanted = if name.starts_with(':') {
        name.to_owned()
    } else {
        format!(":{name}")
    };
    if name.is_empty() {
        for command in COMMANDS {
            output::out(&line(command));
        }
        output::out("Everything else is Rust; an expression without `;` is displayed.");
        let modules = session.docs().modules();
        output::out(&format!(
            "Topics, too, for `:help TOPIC`: {}.",
            modules.join(", ")
        ));
    } else if let Some(command) = find(&wanted) {
        output::out(&line(command));
    } else {
        return document(session, name);
    }
    Ok(Asks::Nothing)
}

fn line(command: &Command) -> String {
    let usage = format!("{} {}", command.name, command.arguments);
    format!("{usage:<35} {}", command.help)
}

fn load(session: &mut Session, name: &str) -> Result<Asks, Failure> {
    if name.is_empty() {
        return Err("which file? :load FILE".to_owned().into());
    }
    Ok(Asks::Load(script::resolve(session, name)))
}

fn save_session(session: &mut Session, name: &str) -> Result<Asks, Failure> {
    if name.is_empty() {
        return Err("which file? :save FILE.rs or :save FILE.ipynb"
            .to_owned()
            .into());
    }
    files::save(&session.record, name.as_ref())?;
    output::out(&format!(
        "saved {} statements to {name}",
        session.record.len()
    ));
    Ok(Asks::Nothing)
}

/// The library's own documentation, and rust-analyzer's where it has none: variables, Rust's own items.
fn document(session: &mut Session, name: &str) -> Result<Asks, Failure> {
    if name.is_empty() {
        return Err("of what? :doc ITEM, for example :doc decompose"
            .to_owned()
            .into());
    }
    let is_variable = session
        .variables()
        .iter()
        .any(|(variable, _)| variable == name);
    let found = if is_variable {
        Vec::new()
    } else {
        session.docs().find(name)
    };
    if found.is_empty() {
        let text = session.explain(name).ok_or_else(|| {
            Failure::Message(format!("no documentation of {name:?}; is its name right?"))
        })?;
        output::page(&text);
    } else {
        let texts: Vec<String> = found.iter().map(|item| item.text()).collect();
        output::page(&texts.join("\n\n"));
    }
    Ok(Asks::Nothing)
}

/// Module of the library whose functions the commands call.
const CALLS: &str = "vitrepl_prelude::session";

/// Prints what a function of the library's session says.
fn show_call(session: &mut Session, call: &str) -> Result<Asks, Failure> {
    let source = Source::new("command", format!("println!(\"{{}}\", ::{CALLS}::{call});"));
    let recorded = session.record.len();
    session.evaluate(&source, &source.pieces)?;
    // The command itself is recorded, not what it comes to.
    session.record.truncate(recorded);
    Ok(Asks::Nothing)
}

fn cache(session: &mut Session, arguments: &str) -> Result<Asks, Failure> {
    let (verb, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
    match (verb, rest.trim()) {
        ("", _) => show_call(session, "cache()"),
        ("drop", pattern) if !pattern.is_empty() => {
            show_call(session, &format!("drop_cached({pattern:?})"))
        }
        ("limit", size) if !size.is_empty() => {
            show_call(session, &format!("limit_cache({size:?})?"))
        }
        _ => Err(
            ":cache, :cache drop PATTERN (* for all), or :cache limit SIZE (20 GB)"
                .to_owned()
                .into(),
        ),
    }
}

fn evcxr(session: &mut Session, name: &str, arguments: &str) -> Result<Asks, Failure> {
    session.evcxr_command(format!("{name} {arguments}").trim_end())?;
    Ok(Asks::Nothing)
}
