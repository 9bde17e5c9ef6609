//! Comma-separated tables with a header; every complaint names the file and the line.

use super::text;
use crate::{Error, Result};
use csv::StringRecord;
use std::path::{Path, PathBuf};

/// A whole table in memory.
pub(super) struct Table {
    path: PathBuf,
    header: StringRecord,
    rows: Vec<Row>,
}

/// One row and where it stands.
pub(super) struct Row {
    pub line: u64,
    fields: StringRecord,
}

impl Row {
    /// The field of column `column` ([`Table::column`]).
    pub fn get(&self, column: usize) -> &str {
        self.fields.get(column).unwrap_or_default()
    }
}

impl Table {
    /// Read the table at `path`.
    ///
    /// # Errors
    /// When it cannot be read, is empty, or a row has another number of fields than the header.
    pub fn read(path: &Path) -> Result<Self> {
        // The csv crate counts lines that end in two characters one too few.
        let text = text::read(path)?.replace("\r\n", "\n");
        let wrong = |error: csv::Error| {
            let line = error.position().map_or(0, csv::Position::line);
            let reason = match error.kind() {
                csv::ErrorKind::UnequalLengths {
                    expected_len, len, ..
                } => {
                    format!("it has {len} fields, where the header has {expected_len}")
                }
                _ => error.to_string(),
            };
            at_line(path, line, reason)
        };
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let header = reader.headers().map_err(wrong)?.clone();
        let mut rows = Vec::new();
        for fields in reader.records() {
            let fields = fields.map_err(wrong)?;
            let line = fields.position().map_or(0, csv::Position::line);
            rows.push(Row { line, fields });
        }
        if rows.is_empty() {
            return Err(Error::data(path.display().to_string(), "it has no rows"));
        }
        Ok(Self {
            path: path.to_path_buf(),
            header,
            rows,
        })
    }

    /// Where the column `name` is.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn column(&self, name: &str) -> Result<usize> {
        let wrong = |reason| Err(Error::data(self.path.display().to_string(), reason));
        let known: Vec<_> = self.header.iter().collect();
        let mut places = (0..known.len()).filter(|&at| known[at] == name);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (None, _) => wrong(format!(
                "there is no column {name}; it has {}",
                known.join(", ")
            )),
            (Some(_), Some(_)) => wrong(format!(
                "two columns are called {name}; remove or rename one"
            )),
        }
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Something is wrong with `row`.
    pub fn wrong(&self, row: &Row, reason: impl Into<String>) -> Error {
        at_line(&self.path, row.line, reason)
    }
}

/// Line `line` of the file at `path` is wrong for `reason`.
pub(super) fn at_line(path: &Path, line: u64, reason: impl Into<String>) -> Error {
    Error::data(format!("{}, line {line}", path.display()), reason)
}
