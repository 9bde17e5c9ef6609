//! One Zarr array: described, opened, and what goes wrong with it.

use super::bucket::Bucket;
use super::options::StoreType;
use crate::{Error, Result};
use half::f16;
use std::io;
use std::sync::Arc;
use zarrs::array::builder::{ArrayBuilderDataType, ArrayBuilderFillValue};
use zarrs::array::codec::{Crc32cCodec, ZstdCodec};
use zarrs::array::{Array, ArrayBuilder, ArrayCreateError, ArrayError, data_type};
use zarrs::storage::StorageError;

/// Values of neural networks hardly shrink; a higher level takes longer for a few percent.
const LEVEL: i32 = 1;

/// The type of an array's values.
#[derive(Clone, Copy)]
pub(super) enum Kept {
    F32,
    F16,
    /// 1 where something is done.
    Mark,
}

impl From<StoreType> for Kept {
    fn from(dtype: StoreType) -> Self {
        match dtype {
            StoreType::F32 => Self::F32,
            StoreType::F16 => Self::F16,
        }
    }
}

impl Kept {
    /// The type, and what is read where nothing was written: NaN, which is not taken for a value.
    fn zarr(self) -> (ArrayBuilderDataType, ArrayBuilderFillValue) {
        match self {
            Self::F32 => (data_type::float32().into(), f32::NAN.into()),
            Self::F16 => (data_type::float16().into(), f16::NAN.into()),
            Self::Mark => (data_type::uint8().into(), 0u8.into()),
        }
    }
}

/// Describes the array `name` at `bucket`: its sizes, those of a chunk, and what its axes are.
pub(super) fn create(
    bucket: &Bucket,
    name: &str,
    shape: &[usize],
    chunk: &[usize],
    kept: Kept,
    axes: &[&str],
) -> Result<Array<Bucket>> {
    let wide = |sizes: &[usize]| sizes.iter().map(|&s| s as u64).collect::<Vec<_>>();
    let (of, fill) = kept.zarr();
    let array = ArrayBuilder::new(wide(shape), wide(chunk), of, fill)
        .bytes_to_bytes_codecs(vec![
            Arc::new(ZstdCodec::new(LEVEL, false)),
            Arc::new(Crc32cCodec::new()),
        ])
        .dimension_names(Some(axes.iter().copied()))
        .build(Arc::new(bucket.clone()), &format!("/{name}"))
        .map_err(|e| creation(bucket, name, e))?;
    array
        .store_metadata()
        .map_err(|e| failure(bucket, "writing", name, ArrayError::StorageError(e)))?;
    Ok(array)
}

/// The array `name` at `bucket`, which must have these sizes, in chunks of these.
pub(super) fn open(
    bucket: &Bucket,
    name: &str,
    shape: &[usize],
    chunk: &[usize],
) -> Result<Array<Bucket>> {
    let array = Array::open(Arc::new(bucket.clone()), &format!("/{name}"))
        .map_err(|e| creation(bucket, name, e))?;
    let same = |a: &[u64], b: &[usize]| a.iter().map(|&v| v as usize).eq(b.iter().copied());
    let first = vec![0; shape.len()];
    let cut = array
        .chunk_shape(&first)
        .map_err(|e| failure(bucket, "reading", name, e))?;
    let cut: Vec<u64> = cut.iter().map(|v| v.get()).collect();
    if !same(array.shape(), shape) || !same(&cut, chunk) {
        let reason = format!(
            "array \"{name}\" is {:?} in chunks of {cut:?}, and {shape:?} in {chunk:?} is wanted",
            array.shape()
        );
        return Err(Error::unfit(
            bucket.address(),
            reason,
            "make it again in another place",
        ));
    }
    Ok(array)
}

/// The error of a chunk that is not what was written.
pub(super) fn damaged(bucket: &Bucket, key: &str, reason: &str) -> Error {
    Error::unfit(
        format!("{}/{key}", bucket.address()),
        reason,
        "run the decomposition into this store again with --verify, which makes damaged chunks anew; what was saved from \
         memory is saved again to another place",
    )
}

/// What went wrong with the chunk or array at `key`: a fault of the store, or a damaged chunk.
pub(super) fn failure(bucket: &Bucket, doing: &'static str, key: &str, e: ArrayError) -> Error {
    match e {
        ArrayError::StorageError(StorageError::IOError(e)) => {
            bucket.error(doing, key, io::Error::new(e.kind(), e.to_string()))
        }
        ArrayError::StorageError(e) => bucket.error(doing, key, io::Error::other(e.to_string())),
        e => damaged(bucket, key, &format!("is damaged ({e})")),
    }
}

fn creation(bucket: &Bucket, name: &str, e: ArrayCreateError) -> Error {
    match e {
        ArrayCreateError::StorageError(StorageError::IOError(e)) => {
            bucket.error("reading", name, io::Error::new(e.kind(), e.to_string()))
        }
        e => Error::unfit(
            format!("{}/{name}", bucket.address()),
            format!("no Zarr array ({e})"),
            "make it again in another place",
        ),
    }
}
