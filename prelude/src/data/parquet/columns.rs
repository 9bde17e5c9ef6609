//! Which columns of a parquet file hold images and labels, and reading the latter.

use super::File;
use super::damage::guarded;
use crate::{Error, Result};
use ::parquet::basic::{ConvertedType, LogicalType, Type};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, DataType};
use ::parquet::errors::Result as ParquetResult;
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::reader::FileReader;
use ::parquet::schema::types::ColumnDescriptor;
use serde_json::Value as Json;
use std::path::Path;

/// A column of labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
    /// Of a `ClassLabel`.
    pub names: Vec<String>,
    /// Which leaf it is.
    leaf: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Number,
    Text,
}

/// A label as it is stored.
#[derive(Clone, Debug)]
pub(super) enum Label {
    Number(i128),
    Text(ByteArray),
}

impl Label {
    pub fn number(&self) -> i128 {
        match self {
            Self::Number(number) => *number,
            Self::Text(_) => -1,
        }
    }

    pub fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => String::from_utf8_lossy(text.data()).into_owned(),
        }
    }
}

fn leaves(about: &ParquetMetaData) -> &[std::sync::Arc<ColumnDescriptor>] {
    about.file_metadata().schema_descr().columns()
}

/// A column that holds pictures.
pub(super) struct Pictures {
    pub name: String,
    /// The leaf with their bytes.
    pub leaf: usize,
    /// Each row has a list of them.
    list: bool,
}

/// The columns that hold pictures: bytes, structs of bytes and path, and lists of either.
pub(super) fn pictures(about: &ParquetMetaData) -> Vec<Pictures> {
    let binary =
        |leaf: &ColumnDescriptor| leaf.physical_type() == Type::BYTE_ARRAY && !is_text(leaf);
    let found = |(at, leaf): (usize, &std::sync::Arc<ColumnDescriptor>)| {
        let parts = leaf.path().parts();
        let bytes = match (leaf.max_rep_level(), parts) {
            (0, [_]) => true,
            (0, [_, last]) => last == "bytes",
            (0, _) => false,
            // list.element, or list.element.bytes
            (_, [_, _, _]) => true,
            (_, parts) => parts.last().is_some_and(|last| last == "bytes"),
        };
        (bytes && binary(leaf)).then(|| Pictures {
            name: parts[0].clone(),
            leaf: at,
            list: leaf.max_rep_level() > 0,
        })
    };
    leaves(about).iter().enumerate().filter_map(found).collect()
}

/// The leaf that holds the bytes of the images: of the column `wanted`, of `image`, or of the first that has any.
pub(super) fn image(path: &Path, about: &ParquetMetaData, wanted: Option<&str>) -> Result<usize> {
    let found = pictures(about);
    let called = |name: &str| found.iter().find(|column| column.name == name);
    let image = match wanted {
        Some(name) => called(name),
        None => called("image").or_else(|| {
            let single = found.iter().find(|column| !column.list);
            single.or(found.first())
        }),
    };
    let wrong = |reason| Err(Error::data(path.display().to_string(), reason));
    match image {
        Some(Pictures {
            name, list: true, ..
        }) => {
            return wrong(format!(
                "its column \"{name}\" holds a list of images in each row, and one image a row is read; write the first of each as a column: in Python `t = pyarrow.parquet.read_table(p); pyarrow.parquet.write_table(t.append_column(\"first\", pyarrow.compute.list_element(t[\"{name}\"], 0)).drop_columns([\"{name}\"]), \"first.parquet\")`"
            ));
        }
        Some(image) => return Ok(image.leaf),
        None => {}
    }
    let root = about.file_metadata().schema_descr().root_schema();
    let columns: Vec<_> = root.get_fields().iter().map(|field| field.name()).collect();
    let mut reason = format!(
        "it has no image column{} (a struct of bytes and path, or bytes); its columns: {}",
        wanted.map_or(String::new(), |name| format!(" \"{name}\"")),
        columns.join(", ")
    );
    let name = wanted.unwrap_or("image");
    let text =
        |leaf: &&std::sync::Arc<ColumnDescriptor>| leaf.path().parts() == [name] && is_text(leaf);
    if leaves(about).iter().any(|leaf| text(&leaf)) {
        reason += &format!(
            "; \"{name}\" is text, such as paths or addresses: open the pictures' own folder with FolderSet::open, or write their bytes into the column"
        )
    }
    wrong(reason)
}

/// Whether the whole numbers of `leaf` are unsigned. They are stored as signed ones of the same bits.
fn is_unsigned(leaf: &ColumnDescriptor) -> bool {
    use ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
    let unsigned = [UINT_8, UINT_16, UINT_32, UINT_64].contains(&leaf.converted_type());
    unsigned
        || matches!(leaf.logical_type_ref(), Some(LogicalType::Integer(about)) if !about.is_signed)
}

fn is_text(leaf: &ColumnDescriptor) -> bool {
    leaf.converted_type() == ConvertedType::UTF8
        || matches!(leaf.logical_type_ref(), Some(LogicalType::String))
}

/// The plain columns: whole numbers, truth values and text.
pub(super) fn of(path: &Path, about: &ParquetMetaData) -> Result<Vec<Column>> {
    let features = features(path, about)?;
    let column = |(at, leaf): (usize, &std::sync::Arc<ColumnDescriptor>)| {
        let [name] = leaf.path().parts() else {
            return None;
        };
        let kind = match leaf.physical_type() {
            _ if leaf.max_rep_level() > 0 => return None,
            Type::BOOLEAN | Type::INT32 | Type::INT64 => Kind::Number,
            Type::BYTE_ARRAY if is_text(leaf) => Kind::Text,
            _ => return None,
        };
        let names = features[name.as_str()]["names"].as_array();
        let text = |name: &Json| {
            name.as_str()
                .map_or_else(|| name.to_string(), str::to_string)
        };
        Some(Column {
            name: name.clone(),
            kind,
            names: names.map_or(Vec::new(), |names| names.iter().map(text).collect()),
            leaf: at,
        })
    };
    Ok(leaves(about)
        .iter()
        .enumerate()
        .filter_map(column)
        .collect())
}

/// `info.features` of the `huggingface` metadata, null where there is none.
fn features(path: &Path, about: &ParquetMetaData) -> Result<Json> {
    let entries = about.file_metadata().key_value_metadata();
    let entry = entries.and_then(|entries| entries.iter().find(|entry| entry.key == "huggingface"));
    let Some(text) = entry.and_then(|entry| entry.value.as_ref()) else {
        return Ok(Json::Null);
    };
    let all: Json = serde_json::from_str(text).map_err(|e| {
        let reason = format!("its huggingface metadata is not JSON: {e}");
        Error::data(path.display().to_string(), reason)
    })?;
    Ok(all["info"]["features"].clone())
}

impl File {
    /// All labels of `column`, row group by row group.
    pub(super) fn read(&self, column: &Column) -> Result<Vec<Vec<Option<Label>>>> {
        self.shard.check()?;
        let leaf = &leaves(self.reader.metadata())[column.leaf];
        let unsigned = is_unsigned(leaf);
        let group = |at: usize| -> ParquetResult<_> {
            let group = self.reader.get_row_group(at)?;
            let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            let optional = leaf.max_def_level();
            let number = |n| Label::Number(n);
            Ok(match group.get_column_reader(column.leaf)? {
                ColumnReader::BoolColumnReader(r) => {
                    labels(r, rows, optional, |v| number(v.into()))?
                }
                ColumnReader::Int32ColumnReader(r) => labels(r, rows, optional, |v| {
                    number(if unsigned {
                        i128::from(v as u32)
                    } else {
                        v.into()
                    })
                })?,
                ColumnReader::Int64ColumnReader(r) => labels(r, rows, optional, |v| {
                    number(if unsigned {
                        i128::from(v as u64)
                    } else {
                        v.into()
                    })
                })?,
                ColumnReader::ByteArrayColumnReader(r) => labels(r, rows, optional, Label::Text)?,
                _ => Vec::new(),
            })
        };
        let groups = 0..self.reader.metadata().num_row_groups();
        groups
            .map(|at| guarded(|| group(at)).map_err(|e| self.damaged(e)))
            .collect()
    }
}

fn labels<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    rows: usize,
    optional: i16,
    label: impl Fn(T::T) -> Label,
) -> ParquetResult<Vec<Option<Label>>> {
    let (values, defined) = records(&mut reader, rows)?;
    Ok(spread(values.into_iter().map(label), &defined, optional))
}

/// The next `rows` records: the values that are there, and how far each record is defined.
pub(super) fn records<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
) -> ParquetResult<(Vec<T::T>, Vec<i16>)> {
    let (mut values, mut defined, mut read) = (Vec::new(), Vec::new(), 0);
    while read < rows {
        let (more, ..) = reader.read_records(rows - read, Some(&mut defined), None, &mut values)?;
        if more == 0 {
            break;
        }
        read += more;
    }
    Ok((values, defined))
}

/// One entry a record, none where it is not defined to the end. A column that is never absent has no levels.
pub(super) fn spread<T>(
    mut values: impl Iterator<Item = T>,
    defined: &[i16],
    optional: i16,
) -> Vec<Option<T>> {
    match optional {
        0 => values.map(Some).collect(),
        most => defined
            .iter()
            .map(|&level| if level == most { values.next() } else { None })
            .collect(),
    }
}
