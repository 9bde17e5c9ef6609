//! The `:commands`: one table, from which help and completion are made.

use super::magic::{self, Meaning};
use super::{Session, script};
use crate::ide::completion::{Candidate, bare};
use crate::ide::docs::fits;
use crate::ide::rust_docs::{self, Found};
use crate::notebook::files;
use crate::notebook::transcript::Entry;
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
    /// To run this script now and whenever it is saved.
    Watch(PathBuf),
    /// To carry out these statements.
    Run(String),
    /// To carry out these statements, and to tell how long that takes.
    Time(String),
    /// To tell how long the statements that follow take.
    TimeRest,
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
        run: show_variables,
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
        arguments: "[limit SIZE]",
        help: "Memory in use, of the host and the device; how much results may take of it",
        run: memory,
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
        arguments: "[on | off | STATEMENT]",
        help: "Tell the time that each cell takes, or that one statement takes",
        run: |session, arguments| {
            session.timed = match arguments {
                "on" => true,
                "off" => false,
                "" => !session.timed,
                statement => return Ok(Asks::Time(statement.to_owned())),
            };
            session.output.out(if session.timed {
                "times are told"
            } else {
                "times are not told"
            });
            Ok(Asks::Nothing)
        },
    },
    Command {
        name: ":timeit",
        arguments: "EXPRESSION",
        help: "Run an expression again and again, and tell the time that one run takes",
        run: timeit,
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
        name: ":watch",
        arguments: "FILE",
        help: "Run a script now and whenever it is saved, until Ctrl-C",
        run: |session, name| match load(session, name)? {
            Asks::Load(path) => Ok(Asks::Watch(path)),
            other => Ok(other),
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
            session.output.out(kind);
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
        name: ":source",
        arguments: "ITEM",
        help: "The source of a type or function",
        run: source,
    },
    Command {
        name: ":find",
        arguments: "PATTERN",
        help: "Names that fit a pattern such as *select*",
        run: find_names,
    },
    Command {
        name: ":history",
        arguments: "[all | N | N-M | WORD]",
        help: "What was entered: last, by number, or with a word in it in any session",
        run: |session, asked| {
            session.output.page(&session.history.show(asked));
            Ok(Asks::Nothing)
        },
    },
    Command {
        name: ":rerun",
        arguments: "[N | N-M]",
        help: "Run entries of :history again; the last without a number",
        run: |session, asked| {
            // The command itself has been entered already.
            let asked = if asked.is_empty() { "-2" } else { asked };
            let text = session.history.text(asked)?;
            if text.lines().any(|line| line.starts_with(":rerun")) {
                return Err("it would run itself; give the numbers of other entries"
                    .to_owned()
                    .into());
            }
            session.output.out(&text);
            Ok(Asks::Run(text))
        },
    },
    Command {
        name: ":sh",
        arguments: "LINE",
        help: "Have the shell carry out a line; !LINE is the same",
        run: |session, line| {
            if line.is_empty() {
                return Err("which? :sh LINE, or !LINE".to_owned().into());
            }
            session.shell(line).map(|()| Asks::Nothing)
        },
    },
    Command {
        name: ":who",
        arguments: "",
        help: "The same as :vars",
        run: show_variables,
    },
    Command {
        name: ":dep",
        arguments: "CRATE = VERSION",
        help: "Add a crate, as in a Cargo.toml",
        run: |session, arguments| session.add_crate(arguments).map(|()| Asks::Nothing),
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
    ":clear", ":doc", ":explain", ":find", ":help", ":history", ":load", ":quit", ":reload",
    ":rerun", ":save", ":source", ":time", ":type", ":watch", ":who",
];

/// Carries out a line that is a command: one that starts with `:`, or what stands for one elsewhere.
pub fn run(session: &mut Session, line: &str) -> Result<Asks, Failure> {
    if line.starts_with("%%time") && !line.starts_with("%%timeit") {
        return Ok(Asks::TimeRest);
    }
    if !line.starts_with(':') {
        let meaning = magic::meaning(
            line,
            |name| session.is_tried(name),
            |name| session.knows(name),
        );
        return match meaning {
            Meaning::Command(command) => run(session, &command),
            // Only what begins a line is a command.
            Meaning::Rust => Ok(Asks::Run(format!(" {line}"))),
            Meaning::Hint(hint) => Err(hint.into()),
            Meaning::Needless(why) => {
                session.output.note(why);
                Ok(Asks::Nothing)
            }
        };
    }
    let (name, arguments) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let command = find(name).ok_or_else(|| {
        Failure::Message(format!("unknown command {name}; :help lists what there is"))
    })?;
    session.output.take_captured();
    let asks = (command.run)(session, arguments.trim())?;
    if !NOT_SAVED.contains(&name) {
        let source = Source::new("command", line);
        session.record.extend(Entry::new(
            &source,
            &source.pieces,
            session.output.take_captured(),
        ));
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
            session.output.out(&line(command));
        }
        session
            .output
            .out("Everything else is Rust; an expression without `;` is displayed.");
        session.output.out(
            "Results go to other programs by `.export(\"FILE\")?`: arrays as .npy and .safetensors, rows as .csv and \
             .parquet, tables as .md and .tex, charts as .svg, .png and .pdf.",
        );
        let modules = session.docs().modules();
        session.output.out(&format!(
            "Topics, too, for `:help TOPIC`: {}.",
            modules.join(", ")
        ));
    } else if let Some(command) = find(&wanted) {
        session.output.out(&line(command));
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
    session.output.out(&format!(
        "saved {} statements to {name}",
        session.record.len()
    ));
    Ok(Asks::Nothing)
}

/// Documentation of a variable, of the library, of what was defined in the session, or of Rust itself.
fn document(session: &mut Session, name: &str) -> Result<Asks, Failure> {
    if name.is_empty() {
        return Err("of what? :doc ITEM, for example :doc decompose"
            .to_owned()
            .into());
    }
    let name = &member(session, name);
    if let Some(text) = session.explain(name) {
        session.output.page(&text);
        return Ok(Asks::Nothing);
    }
    if let Some(text) = session.definition(name) {
        session.output.page(&text);
        return Ok(Asks::Nothing);
    }
    let found = session.docs().find(name);
    let text = if found.is_empty() {
        of_others(session, name)?.0
    } else {
        session.docs().text(&found)
    };
    session.output.page(&text);
    Ok(Asks::Nothing)
}

/// `Contributions::head` for `c.head`, where `c` is a variable.
fn member(session: &Session, name: &str) -> String {
    let Some((variable, method)) = name.split_once('.') else {
        return name.to_owned();
    };
    let variables = session.variables();
    let found = variables.iter().find(|(other, _)| other == variable);
    found.map_or_else(
        || name.to_owned(),
        |(_, kind)| format!("{}::{method}", bare(kind)),
    )
}

/// Documentation and source of what another crate has, or Rust itself.
fn of_others(session: &Session, name: &str) -> Result<(String, String), Failure> {
    if let Some(text) = session.crate_docs(name) {
        return Ok((text.docs, text.source));
    }
    match session.rust_docs(name) {
        Found::Text { docs, source } => Ok((docs, source)),
        Found::NoSources => Err(format!(
            "no documentation of {name:?} in the library; Rust's own is at {}, and here after `rustup component add \
             rust-src` and a new start, which compiles the library once more",
            rust_docs::link(name)
        )
        .into()),
        Found::Nothing => Err(format!("no documentation of {name:?}; is its name right?").into()),
    }
}

fn source(session: &mut Session, name: &str) -> Result<Asks, Failure> {
    if name.is_empty() {
        return Err("of what? :source ITEM, for example :source decompose"
            .to_owned()
            .into());
    }
    let name = &member(session, name);
    let variable = session
        .variables()
        .into_iter()
        .find(|(other, _)| other == name);
    let name = &variable.map_or_else(|| name.clone(), |(_, kind)| bare(&kind));
    let found = session.docs().find(name);
    let text = match session.definition(name) {
        Some(text) => text,
        None if found.is_empty() => of_others(session, name)?.1,
        None => session.docs().source(&found),
    };
    session.output.page(&text);
    Ok(Asks::Nothing)
}

/// More names are not listed.
const MOST_NAMES: usize = 40;

fn find_names(session: &mut Session, pattern: &str) -> Result<Asks, Failure> {
    if pattern.is_empty() {
        return Err("which? :find PATTERN, for example :find *select*"
            .to_owned()
            .into());
    }
    // A word alone may stand anywhere.
    let pattern = if pattern.contains('*') {
        pattern.to_owned()
    } else {
        format!("*{pattern}*")
    };
    let variables = session.variables().into_iter();
    let variables = variables
        .filter(|(name, _)| fits(&pattern, name))
        .map(|(name, kind)| format!("{name}: {kind}"));
    let items = session.known().items.into_iter();
    let items = items.filter(|name| fits(&pattern, name));
    let library = session.docs().matching(&pattern).into_iter();
    let library = library.map(|item| format!("{}  {}", item.path.join("::"), item.summary()));
    let names: Vec<String> = variables.chain(items).chain(library).collect();
    if names.is_empty() {
        return Err(format!("no name fits {pattern}").into());
    }
    let mut text = names[..names.len().min(MOST_NAMES)].join("\n");
    if names.len() > MOST_NAMES {
        text.push_str(&format!("\n... and {} more", names.len() - MOST_NAMES));
    }
    session.output.page(&text);
    Ok(Asks::Nothing)
}

fn show_variables(session: &mut Session, _: &str) -> Result<Asks, Failure> {
    let variables = session.variables();
    if variables.is_empty() {
        session.output.out("no variables yet");
    }
    for (name, kind) in variables {
        match session.error_in(&name) {
            Some(error) => session
                .output
                .out(&format!("{name}: {kind} = Err({error})")),
            None => session.output.out(&format!("{name}: {kind}")),
        }
    }
    Ok(Asks::Nothing)
}

fn timeit(session: &mut Session, expression: &str) -> Result<Asks, Failure> {
    if expression.is_empty() {
        return Err("of what? :timeit EXPRESSION".to_owned().into());
    }
    // On a line of its own, so that errors quote it and nothing else.
    let expression = expression.trim_end_matches(';');
    let code = format!(
        "println!(\"{{}}\", ::vitrepl_runtime::timeit(&mut || {{ ::std::hint::black_box({{\n{expression}\n}}); Ok(()) }})?);"
    );
    let source = Source::new("input", code);
    let recorded = session.record.len();
    session.evaluate(&source, &source.pieces)?;
    session.record.truncate(recorded);
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

fn memory(session: &mut Session, arguments: &str) -> Result<Asks, Failure> {
    match arguments.split_once(' ').unwrap_or((arguments, "")) {
        ("", _) => show_call(session, "memory()"),
        ("limit", size) if !size.trim().is_empty() => {
            show_call(session, &format!("limit_resident({:?})?", size.trim()))
        }
        _ => Err(":mem, or :mem limit SIZE (8 GB)".to_owned().into()),
    }
}

fn evcxr(session: &mut Session, name: &str, arguments: &str) -> Result<Asks, Failure> {
    session.evcxr_command(format!("{name} {arguments}").trim_end())?;
    Ok(Asks::Nothing)
}
