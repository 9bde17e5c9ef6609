//! The `:commands`: one table, from which help and completion are made.

use crate::failure::{Failure, Next};
use crate::script;
use crate::session::Session;
use crate::show::print_text;

/// One command.
pub struct Command {
    pub name: &'static str,
    /// What it takes, for the help; brackets mean that it may be left out.
    arguments: &'static str,
    help: &'static str,
    run: fn(&mut Session, &str) -> Result<Next, Failure>,
}

/// Every command, in the order of the help.
pub const COMMANDS: &[Command] = &[
    Command {
        name: ":help",
        arguments: "[COMMAND]",
        help: "What the commands do",
        run: |_, arguments| help(arguments),
    },
    Command {
        name: ":vars",
        arguments: "",
        help: "Variables and their types",
        run: |session, _| {
            let variables = session.variables();
            if variables.is_empty() {
                print_text("no variables yet");
            }
            for (name, kind) in variables {
                print_text(&format!("{name}: {kind}"));
            }
            Ok(Next::Continue)
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
            Some(path) => script::run(session, &script::read(&path)?),
            None => Err("nothing has been loaded yet; use :load FILE"
                .to_owned()
                .into()),
        },
    },
    Command {
        name: ":type",
        arguments: "VARIABLE",
        help: "The type of a variable",
        run: |session, arguments| evcxr(session, ":type", arguments),
    },
    Command {
        name: ":doc",
        arguments: "ITEM",
        help: "The documentation of a variable, type, function or keyword",
        run: |session, arguments| evcxr(session, ":doc", arguments),
    },
    Command {
        name: ":dep",
        arguments: "CRATE = VERSION",
        help: "Add a crate, as in a Cargo.toml",
        run: |session, arguments| evcxr(session, ":dep", arguments),
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
        run: |session, _| session.clear().map(|()| Next::Continue),
    },
    Command {
        name: ":quit",
        arguments: "",
        help: "Leave",
        run: |_, _| Ok(Next::Quit),
    },
];

/// Carries out a line that starts with `:`.
pub fn run(session: &mut Session, line: &str) -> Result<Next, Failure> {
    let (name, arguments) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let command = find(name).ok_or_else(|| {
        Failure::Message(format!("unknown command {name}; :help lists what there is"))
    })?;
    (command.run)(session, arguments.trim())
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

fn help(name: &str) -> Result<Next, Failure> {
    let wanted = if name.starts_with(':') {
        name.to_owned()
    } else {
        format!(":{name}")
    };
    if name.is_empty() {
        for command in COMMANDS {
            print_text(&line(command));
        }
        print_text("Everything else is Rust; an expression without `;` is displayed.");
    } else {
        let command = find(&wanted).ok_or_else(|| {
            Failure::Message(format!(
                "unknown command {wanted}; :help lists what there is"
            ))
        })?;
        print_text(&line(command));
    }
    Ok(Next::Continue)
}

fn line(command: &Command) -> String {
    let usage = format!("{} {}", command.name, command.arguments);
    format!("{usage:<22} {}", command.help)
}

fn load(session: &mut Session, name: &str) -> Result<Next, Failure> {
    if name.is_empty() {
        return Err("which file? :load FILE".to_owned().into());
    }
    let path = script::resolve(session, name);
    let script = script::read(&path)?;
    session.last_loaded = Some(path);
    script::run(session, &script)
}

fn evcxr(session: &mut Session, name: &str, arguments: &str) -> Result<Next, Failure> {
    session.evcxr_command(format!("{name} {arguments}").trim_end())?;
    Ok(Next::Continue)
}
