//! Damaged files: what the footer claims is checked against the file, and the parquet library's panics are caught.

use crate::data::shard::Shard;
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::metadata::ParquetMetaData;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Run `read`, in which the parquet library may panic over a damaged file. Its panic is an error here, and is not
/// reported as one.
pub(super) fn guarded<T>(read: impl FnOnce() -> ParquetResult<T>) -> ParquetResult<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |about| {
            if !GUARDED.get() {
                report(about)
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let read = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(outer);
    read.unwrap_or_else(|_| Err(ParquetError::General("its pages are inconsistent".into())))
}

thread_local! {
    /// Whether this thread is in [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Check what the footer says of rows and places against the file, before anything is made as large as it says.
pub(super) fn check_footer(shard: &Shard, about: &ParquetMetaData) -> Result<(), String> {
    let mut rows = 0i64;
    for (number, group) in about.row_groups().iter().enumerate() {
        let count = group.num_rows();
        rows = rows.saturating_add(count);
        // An image of its own takes at least a byte.
        if count < 0 || rows as u64 > shard.len {
            return Err(format!(
                "row group {number} has {count} rows, in a file of {} bytes",
                shard.len
            ));
        }
        for column in group.columns() {
            let data = column.data_page_offset();
            let start = column
                .dictionary_page_offset()
                .map_or(data, |at| at.min(data));
            let len = column.compressed_size();
            let end = u64::try_from(start).ok().zip(u64::try_from(len).ok());
            if end.is_none_or(|(start, len)| start.saturating_add(len) > shard.len) {
                return Err(format!(
                    "the column {} of row group {number} has {len} bytes from {start} on, in a file of {}",
                    column.column_path().string(),
                    shard.len
                ));
            }
            let single = column.column_descr().max_rep_level() == 0;
            if column.num_values() < 0 || (single && column.num_values() != count) {
                return Err(format!(
                    "the column {} of row group {number} has {} values for {count} rows",
                    column.column_path().string(),
                    column.num_values()
                ));
            }
        }
    }
    if rows != about.file_metadata().num_rows() {
        return Err(format!(
            "it says {} rows, and its row groups have {rows}",
            about.file_metadata().num_rows()
        ));
    }
    Ok(())
}
