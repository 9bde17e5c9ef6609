//! The session's record as a file, from which the library's `report` writes its page.
//!
//! `report` runs in the process of the cells, which knows neither their code nor what they print. So the record is written
//! before a cell that may call it, and removed behind that cell. [`VARIABLE`] tells the library where it is.

use super::transcript::Entry;
use crate::output::Output;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Names the file in the environment of the process of the cells.
pub const VARIABLE: &str = "VITREPL_RECORD";

/// In the session's folder.
const NAME: &str = "record.json";

/// The library's function.
const FUNCTION: &str = "report";

/// The file of the session in `folder`.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// A record that has been written, which lies there until this is dropped.
pub struct Written(PathBuf);

impl Drop for Written {
    fn drop(&mut self) {
        // What is left is replaced by the next one.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Writes what `entries` did for a cell of this `code`, if the cell may ask for it: by itself, or by a function that was
/// defined before.
pub fn write(entries: &[Entry], folder: &Path, code: &str) -> Result<Option<Written>> {
    let defines =
        |text: &str| text.contains(FUNCTION) && (text.contains("fn ") || text.contains('|'));
    if !code.contains(FUNCTION) && !entries.iter().any(|entry| defines(&entry.text)) {
        return Ok(None);
    }
    let path = path(folder);
    let text = serde_json::to_vec(&entries.iter().map(cell).collect::<Vec<_>>())?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Some(Written(path)))
}

fn cell(entry: &Entry) -> Value {
    let output = |output: &Output| match output {
        Output::Out(text) => json!({"out": text}),
        Output::Err(text) => json!({"err": text}),
        Output::Value(forms) => json!({"value": forms}),
    };
    json!({"code": entry.text, "outputs": entry.outputs.iter().map(output).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::statements::Source;

    #[test]
    fn the_record_lies_there_while_a_cell_that_may_ask_for_it_runs() {
        let folder = tempfile::tempdir().unwrap();
        let mut entries = Entry::all(&Source::new("test", "// Text.\n1 + 1\n"));
        entries[0].outputs = vec![
            Output::Out("2".to_owned()),
            Output::Value(vec![("text/plain".to_owned(), "two".to_owned())]),
        ];
        let written = |entries: &[Entry], code| write(entries, folder.path(), code).unwrap();
        assert!(written(&entries, "1 + 2").is_none());
        let record = written(&entries, "report(\"run.html\")").unwrap();
        let text = std::fs::read_to_string(path(folder.path())).unwrap();
        let expected = json!([{
            "code": "// Text.\n1 + 1",
            "outputs": [{"out": "2"}, {"value": [["text/plain", "two"]]}],
        }]);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        drop(record);
        assert!(!path(folder.path()).exists());
        // A function that was defined before may call it.
        let defined = Entry::all(&Source::new(
            "test",
            "fn keep() { report(\"run.html\").unwrap(); }",
        ));
        assert!(written(&defined, "keep()").is_some());
    }
}
