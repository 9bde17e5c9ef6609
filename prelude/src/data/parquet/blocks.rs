//! Image bytes a few rows at a time, the last ones kept.

use super::columns::{records, spread};
use super::damage::guarded;
use super::{File, Row};
use crate::{Error, Result};
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::ByteArray;
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::reader::FileReader;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Rows that are read together.
const ROWS: usize = 16;

/// Blocks that are kept: enough for a batch that is decoded and the one ahead of it.
const KEPT: usize = 8;

/// The images of some rows in turn, or why they cannot be read.
type Block = Arc<OnceLock<Result<Vec<Option<Bytes>>, String>>>;

/// The blocks read last.
#[derive(Default)]
pub(super) struct Blocks {
    kept: Mutex<VecDeque<(Row, Block)>>,
}

impl Blocks {
    /// The encoded image of `row`, none where the row holds none. Threads that want the same block read it once.
    pub fn image(&self, file: &File, row: Row) -> Result<Option<Bytes>> {
        let first = Row {
            row: row.row / ROWS * ROWS,
            ..row
        };
        let block = self.block(first);
        file.shard.check()?;
        let images = block.get_or_init(|| {
            let read = guarded(|| read(file, first));
            read.map_err(|error| file.damaged(error).to_string())
        });
        match images {
            Ok(images) => Ok(images.get(row.row - first.row).cloned().flatten()),
            Err(reason) => Err(Error::Image {
                path: file.shard.path.clone(),
                reason: reason.clone(),
            }),
        }
    }

    fn block(&self, first: Row) -> Block {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = kept.iter().find(|(row, _)| *row == first) {
            return block.clone();
        }
        let block = Block::default();
        kept.push_back((first, block.clone()));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        block
    }
}

/// Up to [`ROWS`] images from `first` on.
fn read(file: &File, first: Row) -> ParquetResult<Vec<Option<Bytes>>> {
    let group = file.reader.get_row_group(first.group)?;
    let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
    let leaf = &file
        .reader
        .metadata()
        .file_metadata()
        .schema_descr()
        .column(file.image);
    let ColumnReader::ByteArrayColumnReader(mut reader) = group.get_column_reader(file.image)?
    else {
        return Err(ParquetError::General(
            "the image column holds no bytes".into(),
        ));
    };
    reader.skip_records(first.row)?;
    let (values, defined) = records(&mut reader, ROWS.min(rows - first.row))?;
    // Bytes of their own: a value is a view of its whole page.
    let own = |value: ByteArray| Bytes::copy_from_slice(value.data());
    Ok(spread(
        values.into_iter().map(own),
        &defined,
        leaf.max_def_level(),
    ))
}

/// The path that `row` has in place of an image.
pub(super) fn path(file: &File, row: Row) -> Option<String> {
    let schema = file.reader.metadata().file_metadata().schema_descr();
    let column = schema.column(file.image).path().parts().first()?.clone();
    let leaf = schema.columns().iter().position(|leaf| {
        let parts = leaf.path().parts();
        parts.len() == 2 && parts[0] == column && parts[1] == "path"
    })?;
    let group = file.reader.get_row_group(row.group).ok()?;
    let ColumnReader::ByteArrayColumnReader(mut reader) = group.get_column_reader(leaf).ok()?
    else {
        return None;
    };
    reader.skip_records(row.row).ok()?;
    let (values, _) = records(&mut reader, 1).ok()?;
    Some(String::from_utf8_lossy(values.first()?.data()).into_owned())
}
