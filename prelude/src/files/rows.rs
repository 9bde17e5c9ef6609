//! Rows of named columns for other programs, in full precision: CSV and Parquet.

use super::write_whole;
use crate::{Error, Result};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::path::Path;
use std::sync::Arc;

/// The values of one column.
pub(crate) enum Column {
    Text(Vec<String>),
    Number(Vec<f64>),
    /// Numbers of which some are not known.
    Maybe(Vec<Option<f64>>),
    Count(Vec<usize>),
}

/// Writes `columns`, all of one length, to `path`: `.csv` or `.parquet`.
///
/// # Errors
/// Another ending, or a file that cannot be written.
pub(crate) fn export(path: &Path, columns: &[(&str, Column)]) -> Result<()> {
    let content = match ending(path).as_str() {
        "csv" => csv(columns).map_err(|e| refused(path, &e))?,
        "parquet" => parquet(columns).map_err(|e| refused(path, &e))?,
        other => return Err(unknown(path, other, &["csv", "parquet"])),
    };
    write_whole(path, &content)
}

/// What a file's name ends with, in lower case.
pub(crate) fn ending(path: &Path) -> String {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    ending.unwrap_or_default()
}

/// The error for an ending that is not among the `known`.
pub(crate) fn unknown(path: &Path, ending: &str, known: &[&str]) -> Error {
    let known: Vec<String> = known.iter().map(|known| format!(".{known}")).collect();
    let found = match ending {
        "" => "a name without one".to_string(),
        _ => format!("\".{ending}\""),
    };
    Error::argument(
        "path",
        path.display(),
        format!(
            "an ending that says how, {}, not {found}",
            known.join(" or ")
        ),
    )
}

fn refused(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::unfit(path, error.to_string(), "write to another file")
}

fn csv(columns: &[(&str, Column)]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|(name, _)| name))?;
    for row in 0..columns.first().map_or(0, |(_, column)| column.len()) {
        writer.write_record(columns.iter().map(|(_, column)| column.text(row)))?;
    }
    Ok(writer.into_inner()?)
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Number(values) => values.len(),
            Self::Maybe(values) => values.len(),
            Self::Count(values) => values.len(),
        }
    }

    /// `{}` of an f64 is the shortest text that reads back as the same number.
    fn text(&self, row: usize) -> String {
        match self {
            Self::Text(values) => values[row].clone(),
            Self::Number(values) => values[row].to_string(),
            Self::Maybe(values) => values[row].map_or(String::new(), |v| v.to_string()),
            Self::Count(values) => values[row].to_string(),
        }
    }

    /// The column in Parquet's language of schemas.
    fn schema(&self, name: &str) -> String {
        match self {
            Self::Text(_) => format!("required binary {name} (UTF8);"),
            Self::Number(_) => format!("required double {name};"),
            Self::Maybe(_) => format!("optional double {name};"),
            Self::Count(_) => format!("required int64 {name};"),
        }
    }
}

fn parquet(columns: &[(&str, Column)]) -> Result<Vec<u8>, ParquetError> {
    let fields: Vec<String> = columns
        .iter()
        .map(|(name, column)| column.schema(name))
        .collect();
    let schema = parse_message_type(&format!("message rows {{ {} }}", fields.join(" ")))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (_, values) in columns {
        let Some(mut column) = group.next_column()? else {
            return Err(ParquetError::General("a column is missing".into()));
        };
        match values {
            Column::Text(values) => {
                let values: Vec<ByteArray> = values.iter().map(|v| v.as_str().into()).collect();
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, None, None)?;
            }
            Column::Number(values) => {
                column
                    .typed::<DoubleType>()
                    .write_batch(values, None, None)?;
            }
            Column::Maybe(values) => {
                let there: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
                let values: Vec<f64> = values.iter().flatten().copied().collect();
                column
                    .typed::<DoubleType>()
                    .write_batch(&values, Some(&there), None)?;
            }
            Column::Count(values) => {
                let values: Vec<i64> = values.iter().map(|&v| v as i64).collect();
                column
                    .typed::<Int64Type>()
                    .write_batch(&values, None, None)?;
            }
        }
        column.close()?;
    }
    group.close()?;
    writer.into_inner()
}
