//! Runs a script: statement by statement, each echoed before it is evaluated, up to the first error.

use crate::failure::{Failure, Next};
use crate::output;
use crate::report;
use crate::session::Session;
use crate::source::{Kind, Piece, Source};
use crate::{commands, notebook};
use console::style;
use std::path::{Path, PathBuf};

/// What a notebook's or prompt's input looks like in an echo, too.
pub const PROMPT: &str = ">> ";
const CONTINUED: &str = ".. ";

/// A script that has been read and whose syntax is right.
pub struct Script {
    path: PathBuf,
    source: Source,
}

/// Reads a script; one that is no Rust is refused before any of it is run.
pub fn read(path: &Path) -> Result<Script, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => " (check the path)",
            std::io::ErrorKind::InvalidData => " (a script is Rust source in UTF-8)",
            _ => "",
        };
        format!("cannot read the script {}: {error}{remedy}", path.display())
    })?;
    let text = if path.extension().is_some_and(|ending| ending == "ipynb") {
        notebook::to_script(&text)
            .map_err(|error| format!("{} is no notebook: {error:#}", path.display()))?
    } else {
        text
    };
    let source = Source::new(path.display().to_string(), text);
    if let Some(error) = source.syntax_errors.first() {
        report::syntax_errors(&source);
        let line = source.position(error.at.start).0;
        return Err(stopped(&Failure::Shown, &source, line));
    }
    Ok(Script {
        path: path.to_path_buf(),
        source,
    })
}

/// Evaluates a script.
pub fn run(session: &mut Session, script: &Script) -> Result<Next, Failure> {
    let identity = script
        .path
        .canonicalize()
        .unwrap_or_else(|_| script.path.clone());
    if session.loading.contains(&identity) {
        let name = script.path.display();
        return Err(format!("{name} loads itself; remove one of the `:load` lines").into());
    }
    session.loading.push(identity);
    let result = run_pieces(session, &script.source);
    session.loading.pop();
    result
}

fn run_pieces(session: &mut Session, source: &Source) -> Result<Next, Failure> {
    for piece in &source.pieces {
        echo(source, piece);
        let result = match piece.kind {
            Kind::Command => commands::run(session, &source.text[piece.code.clone()]),
            _ => session
                .evaluate(source, std::slice::from_ref(piece))
                .map(|()| Next::Continue),
        };
        match result {
            Ok(Next::Continue) => {}
            Ok(Next::Quit) => return Ok(Next::Quit),
            Err(failure) => return Err(stopped(&failure, source, piece.line)),
        }
    }
    Ok(Next::Continue)
}

/// Tells a failure and where it stopped the script: at `line` unless the failure knows better.
fn stopped(failure: &Failure, source: &Source, line: usize) -> Failure {
    failure.tell();
    let line = match failure {
        Failure::ShownAt(line) => *line,
        _ => line,
    };
    let stopped = style("stopped at").red().bold().for_stderr();
    output::err(&format!("{stopped} {}:{line}", source.name));
    Failure::Shown
}

fn echo(source: &Source, piece: &Piece) {
    for (number, line) in source.text[piece.whole.clone()].lines().enumerate() {
        let prompt = if number == 0 { PROMPT } else { CONTINUED };
        output::out(&format!("{}{line}", style(prompt).cyan()));
    }
}

/// The file that `:load NAME` means: one beside the script being loaded comes first.
pub fn resolve(session: &Session, name: &str) -> PathBuf {
    let beside = session
        .loading
        .last()
        .and_then(|script| script.parent())
        .map(|folder| folder.join(name));
    match beside {
        Some(path) if path.is_file() => path,
        _ => PathBuf::from(name),
    }
}
