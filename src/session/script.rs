//! Scripts: reading them, and where they are.

use super::Session;
use crate::notebook;
use crate::output::FrontEnd;
use crate::output::errors;
use crate::output::failure::Failure;
use crate::syntax::statements::Source;
use console::style;
use std::path::{Path, PathBuf};

/// A script that has been read and whose syntax is right.
pub struct Script {
    pub path: PathBuf,
    pub source: Source,
}

/// Reads a script; one that is no Rust is refused before any of it is run.
pub fn read(path: &Path, output: &FrontEnd) -> Result<Script, Failure> {
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
        output.err(&errors::of_parser(&source));
        let line = source.position(error.at.start).0;
        return Err(stopped(&Failure::Shown, &source, line, output));
    }
    Ok(Script {
        path: path.to_path_buf(),
        source,
    })
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

/// Tells a failure and where it stopped the script: at `line` unless the failure knows better.
pub fn stopped(failure: &Failure, source: &Source, line: usize, output: &FrontEnd) -> Failure {
    failure.tell(output);
    let line = match failure {
        Failure::ShownAt(line) => *line,
        _ => line,
    };
    let stopped = style("stopped at").red().bold().for_stderr();
    output.err(&format!("{stopped} {}:{line}", source.name));
    Failure::Shown
}
