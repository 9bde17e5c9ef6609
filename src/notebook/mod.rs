//! Jupyter notebooks (nbformat 4.5) of a session or script, and scripts of notebooks.
//!
//! A paragraph of the script (what stands between empty lines) is a cell; the comments at its head are a
//! text cell before it. The other way round a text cell becomes comments.

pub mod files;
mod output;
pub mod record_file;
pub mod transcript;

pub use output::bundle;

use crate::syntax::statements::Source;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use transcript::Entry;

/// Name of the kernel that a notebook asks for.
pub const KERNEL: &str = "vitrepl";

/// What the kernel is called where it can be chosen.
pub const KERNEL_TITLE: &str = "Rust (vitrepl)";

#[derive(Debug, PartialEq, Eq)]
enum Cell {
    Text(String),
    Code {
        source: String,
        outputs: Vec<crate::output::Output>,
    },
}

/// The notebook, as text, of what a session or script did.
pub fn of_entries(entries: &[Entry]) -> Result<String> {
    let mut count = 0;
    let cells: Vec<Value> = cells(entries)
        .iter()
        .enumerate()
        .map(|(number, cell)| {
            let id = format!("cell-{number}");
            match cell {
                Cell::Text(text) => json!({
                    "cell_type": "markdown", "id": id, "metadata": {}, "source": lines(text),
                }),
                Cell::Code { source, outputs } => {
                    count += 1;
                    json!({
                        "cell_type": "code", "id": id, "metadata": {}, "source": lines(source),
                        // A cell that was never run has no number.
                        "execution_count": (!outputs.is_empty()).then_some(count),
                        "outputs": outputs.iter().map(|o| output::json(o, count)).collect::<Vec<_>>(),
                    })
                }
            }
        })
        .collect();
    let mut notebook = json!({
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": KERNEL_TITLE, "language": "rust", "name": KERNEL},
            "language_info": {
                "name": "rust", "file_extension": ".rs", "mimetype": "text/rust",
                "codemirror_mode": "rust", "pygments_lexer": "rust",
            },
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    });
    // As nbformat writes it, with sorted keys.
    notebook.sort_all_objects();
    let mut text = serde_json::to_string_pretty(&notebook).context("cannot write a notebook")?;
    text.push('\n');
    Ok(text)
}

/// The script of a notebook: its text cells as comments.
///
/// # Errors
/// When it is no notebook of format 4.
pub fn to_script(text: &str) -> Result<String> {
    let notebook: Value = serde_json::from_str(text).context("it is no JSON")?;
    let cells = notebook["cells"]
        .as_array()
        .context("it has no `cells` (notebooks of format 4 have)")?;
    let mut script = String::new();
    let mut after_text = false;
    for cell in cells {
        let source = joined(&cell["source"]);
        let source = source.trim_end();
        if source.is_empty() {
            continue;
        }
        // Comments stand right above the code that they are about.
        let code = cell["cell_type"] == "code";
        if !(script.is_empty() || after_text && code) {
            script.push('\n');
        }
        after_text = !code;
        if code {
            script.push_str(source);
            script.push('\n');
        } else {
            for line in source.lines() {
                script.push_str(format!("// {line}").trim_end());
                script.push('\n');
            }
        }
    }
    Ok(script)
}

fn cells(entries: &[Entry]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for entry in entries {
        if !entry.separate
            && let Some(Cell::Code { source, outputs }) = cells.last_mut()
        {
            source.push('\n');
            source.push_str(&entry.text);
            outputs.extend(entry.outputs.iter().cloned());
            continue;
        }
        let mut rest = entry.text.as_str();
        while let Some((text, behind)) = leading_comment(rest) {
            cells.push(Cell::Text(text));
            rest = behind;
        }
        if !rest.is_empty() {
            cells.push(Cell::Code {
                source: rest.to_owned(),
                outputs: entry.outputs.clone(),
            });
        }
    }
    cells
}

/// The text of the comment lines that `code` begins with, up to an empty line, and what is behind them.
fn leading_comment(code: &str) -> Option<(String, &str)> {
    let code = code.trim_start_matches('\n');
    let mut text = Vec::new();
    let mut rest = code;
    for line in code.split_inclusive('\n') {
        let Some(comment) = line.strip_prefix("//") else {
            break;
        };
        // `///` and `//!` document the code below and belong to it.
        if comment.starts_with(['/', '!']) {
            break;
        }
        text.push(comment.strip_prefix(' ').unwrap_or(comment).trim_end());
        rest = &rest[line.len()..];
    }
    (!text.is_empty()).then(|| (text.join("\n"), rest.trim_start_matches('\n')))
}

/// Text as notebooks keep it: a list of lines with their ends.
fn lines(text: &str) -> Value {
    text.split_inclusive('\n').collect()
}

/// Text of a notebook, which may be a list of lines.
fn joined(text: &Value) -> String {
    match text {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        text => text.as_str().unwrap_or_default().to_owned(),
    }
}

/// The notebook of a script that has not been run.
pub fn of_script(source: &Source) -> Result<String> {
    of_entries(&Entry::all(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str =
        "// Title.\n//\n//     code\n\n// One.\nlet a = 1;\n// inside\na\n\n/// Doc.\nfn f() {}\n";

    #[test]
    fn paragraphs_are_cells_and_leading_comments_text() {
        let cells = cells(&Entry::all(&Source::new("test", SCRIPT)));
        let code = |source: &str| Cell::Code {
            source: source.to_owned(),
            outputs: Vec::new(),
        };
        assert_eq!(
            cells,
            [
                Cell::Text("Title.\n\n    code".to_owned()),
                Cell::Text("One.".to_owned()),
                code("let a = 1;\n// inside\na"),
                code("/// Doc.\nfn f() {}"),
            ]
        );
    }

    #[test]
    fn a_notebook_becomes_its_script_again() {
        let notebook = of_script(&Source::new("test", SCRIPT)).unwrap();
        assert_eq!(to_script(&notebook).unwrap(), SCRIPT);
        assert!(to_script("[1]").is_err());
        assert!(to_script("let a = 1;").is_err());
    }

    /// Every notebook of the repository is the pair of its script.
    #[test]
    fn notebooks_agree_with_their_scripts() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks");
        let mut pairs = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "rs") {
                let script = Source::new("script", std::fs::read_to_string(&path).unwrap());
                let name = path.with_extension("ipynb");
                let notebook = std::fs::read_to_string(&name).unwrap();
                // What readers see was saved with all that it showed.
                assert!(!notebook.contains("is not kept"), "{}", name.display());
                let notebook = Source::new("notebook", to_script(&notebook).unwrap());
                assert_eq!(
                    cells(&Entry::all(&notebook)),
                    cells(&Entry::all(&script)),
                    "{} has changed: vitrepl convert {0} {}",
                    path.display(),
                    name.display()
                );
                pairs += 1;
            }
        }
        assert!(pairs > 0);
    }
}
