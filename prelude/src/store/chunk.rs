//! One chunk of an array, in the type of the store.

use super::array::{damaged, failure};
use super::bucket::Bucket;
use super::options::StoreType;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use half::f16;
use zarrs::array::{Array, CodecOptions};

/// The largest value that f16 has.
const MOST: f32 = 65_504.0;

/// Chunks that hold nothing but the fill value are written too: what is absent was not computed.
pub(super) fn all_chunks() -> CodecOptions {
    CodecOptions::default().with_store_empty_chunks(true)
}

/// The rows of `t` in row order on the CPU, filled up to `rows` with NaN: all chunks of a Zarr array have one size.
pub(super) fn padded(t: &Tensor, rows: usize) -> Result<Vec<f32>> {
    let missing = rows - t.dim(0)?;
    let width = t.elem_count() / t.dim(0)?.max(1);
    let t = t.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let mut values = t.flatten_all()?.to_vec1::<f32>()?;
    values.resize(values.len() + missing * width, f32::NAN);
    Ok(values)
}

/// Writes one chunk of an array.
pub(super) fn put(
    bucket: &Bucket,
    array: &Array<Bucket>,
    name: &str,
    at: &[u64],
    values: Vec<f32>,
    dtype: StoreType,
) -> Result<()> {
    let stored = match dtype {
        StoreType::F32 => array.store_chunk_opt(at, values, &all_chunks()),
        StoreType::F16 => {
            if let Some(value) = values.iter().find(|v| v.abs() > MOST) {
                let expected = format!("f32: {value} is beyond {MOST}, the largest number of f16");
                return Err(Error::argument("dtype", "f16", expected));
            }
            let values: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
            array.store_chunk_opt(at, values, &all_chunks())
        }
    };
    stored.map_err(|e| failure(bucket, "writing", &key(name, at), e))
}

/// Reads one chunk of an array and verifies its checksum.
pub(super) fn get(
    bucket: &Bucket,
    array: &Array<Bucket>,
    name: &str,
    at: &[u64],
    dtype: StoreType,
) -> Result<Vec<f32>> {
    let found = match dtype {
        StoreType::F32 => array.retrieve_chunk_if_exists::<Vec<f32>>(at),
        StoreType::F16 => array
            .retrieve_chunk_if_exists::<Vec<f16>>(at)
            .map(|found| found.map(|values| values.into_iter().map(f16::to_f32).collect())),
    };
    let key = key(name, at);
    let found = found.map_err(|e| failure(bucket, "reading", &key, e))?;
    found.ok_or_else(|| damaged(bucket, &key, "is marked as finished and is not there"))
}

/// The key of a chunk.
fn key(name: &str, at: &[u64]) -> String {
    at.iter()
        .fold(format!("{name}/c"), |key, i| format!("{key}/{i}"))
}
