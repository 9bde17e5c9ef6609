//! Comma-separated tables with a header; every complaint names the file and the line.

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
        let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, e))?;
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
            .from_reader(bytes.as_slice());
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
    pub fn column(&self, name: &str) -> Result<usize> {
        self.header
            .iter()
            .position(|known| known == name)
            .ok_or_else(|| {
                let known: Vec<_> = self.header.iter().collect();
                let reason = format!("there is no column {name}; it has {}", known.join(", "));
                Error::data(self.path.display().to_string(), reason)
            })
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
