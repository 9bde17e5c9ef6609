//! The Zarr arrays of a store, and one chunk of them.

use super::bucket::Bucket;
use super::chunk::{all_chunks, get, padded, put};
use super::header::Header;
use super::options::StoreType;
use crate::decompose::Contributions;
use crate::{Error, Result, check};
use candle_core::{Device, Tensor};
use half::f16;
use std::io;
use std::sync::Arc;
use zarrs::array::builder::{ArrayBuilderDataType, ArrayBuilderFillValue};
use zarrs::array::codec::{Crc32cCodec, ZstdCodec};
use zarrs::array::{Array, ArrayBuilder, ArrayCreateError, ArrayError, data_type};
use zarrs::group::{GroupBuilder, GroupCreateError};
use zarrs::storage::StorageError;

/// Values of neural networks hardly shrink; a higher level takes longer for a few percent.
const LEVEL: i32 = 1;

/// The names of the arrays.
pub(super) const VALUES: &str = "values";
pub(super) const REPRESENTATION: &str = "representation";
/// For each chunk 1 once all of it is written.
pub(super) const FINISHED: &str = "finished";

/// The file that says what a Zarr group or array is.
const DESCRIPTION: &str = "zarr.json";

/// The arrays of a store.
pub(super) struct Arrays {
    values: Array<Bucket>,
    representation: Array<Bucket>,
    finished: Array<Bucket>,
}

impl Arrays {
    /// Describes the arrays of `header` at `bucket`, and the group last: where that is, all are.
    pub fn create(bucket: &Bucket, header: &Header) -> Result<Self> {
        let (n, images) = (header.components.len(), header.images);
        let build = |name: &str,
                     shape: &[usize],
                     chunk: &[usize],
                     (of, fill): (ArrayBuilderDataType, ArrayBuilderFillValue),
                     axes: &[&str]| {
            let wide = |sizes: &[usize]| sizes.iter().map(|&s| s as u64).collect::<Vec<_>>();
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
            Ok::<_, Error>(array)
        };
        // What is not there reads as NaN elsewhere, and not as 0.
        let values = || match header.dtype {
            StoreType::F32 => (data_type::float32().into(), f32::NAN.into()),
            StoreType::F16 => (data_type::float16().into(), f16::NAN.into()),
        };
        let arrays = Self {
            values: build(
                VALUES,
                &[images, n, header.width],
                &[header.chunk, n, header.width],
                values(),
                &["image", "component", "channel"],
            )?,
            representation: build(
                REPRESENTATION,
                &[images, header.width],
                &[header.chunk, header.width],
                values(),
                &["image", "channel"],
            )?,
            finished: build(
                FINISHED,
                &[header.chunks()],
                &[1],
                (data_type::uint8().into(), 0u8.into()),
                &["chunk"],
            )?,
        };
        let group = GroupBuilder::new()
            .attributes(header.attributes()?)
            .build(Arc::new(bucket.clone()), "/")
            .map_err(|e| unreadable(bucket, e))?;
        let stored = group.store_metadata();
        stored.map_err(|e| failure(bucket, "writing", DESCRIPTION, ArrayError::StorageError(e)))?;
        Ok(arrays)
    }

    /// Those at `bucket`, which must be as `header` says.
    pub fn open(bucket: &Bucket, header: &Header) -> Result<Self> {
        let open = |name: &str, shape: &[usize], chunk: &[usize]| {
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
        };
        let (n, images, width, chunk) = (
            header.components.len(),
            header.images,
            header.width,
            header.chunk,
        );
        Ok(Self {
            values: open(VALUES, &[images, n, width], &[chunk, n, width])?,
            representation: open(REPRESENTATION, &[images, width], &[chunk, width])?,
            finished: open(FINISHED, &[header.chunks()], &[1])?,
        })
    }

    /// Writes a chunk, and marks it when all of it is there.
    pub fn write(
        &self,
        bucket: &Bucket,
        header: &Header,
        chunk: usize,
        of: &Contributions,
    ) -> Result<()> {
        check::finite("contributions", of.values())?;
        check::finite("contributions", of.representation())?;
        // The last chunk is filled up: all chunks of a Zarr array have one size.
        let rows = header.chunk;
        let values = padded(&of.values().transpose(0, 1)?, rows)?;
        let representation = padded(of.representation(), rows)?;
        let (a, b) = (chunk as u64, [chunk as u64, 0, 0]);
        put(bucket, &self.values, VALUES, &b, values, header.dtype)?;
        put(
            bucket,
            &self.representation,
            REPRESENTATION,
            &b[..2],
            representation,
            header.dtype,
        )?;
        self.finished
            .store_chunk_opt(&[a], vec![1u8], &all_chunks())
            .map_err(|e| failure(bucket, "writing", FINISHED, e))
    }

    /// Reads a chunk that is marked, and checks it: n x b x d and b x d.
    pub fn read(&self, bucket: &Bucket, header: &Header, chunk: usize) -> Result<(Tensor, Tensor)> {
        let images = header.range(chunk).len();
        let (n, width) = (header.components.len(), header.width);
        let at = [chunk as u64, 0, 0];
        let values = get(bucket, &self.values, VALUES, &at, header.dtype)?;
        let representation = get(
            bucket,
            &self.representation,
            REPRESENTATION,
            &at[..2],
            header.dtype,
        )?;
        let mut turned = vec![0f32; n * images * width];
        for (image, rows) in values.chunks_exact(n * width).take(images).enumerate() {
            for (i, row) in rows.chunks_exact(width).enumerate() {
                let to = (i * images + image) * width;
                turned[to..to + width].copy_from_slice(row);
            }
        }
        let mut representation = representation;
        representation.truncate(images * width);
        Ok((
            Tensor::from_vec(turned, (n, images, width), &Device::Cpu)?,
            Tensor::from_vec(representation, (images, width), &Device::Cpu)?,
        ))
    }

    /// Takes the mark of a chunk away, so that it is made again.
    pub fn unmark(&self, bucket: &Bucket, chunk: usize) -> Result<()> {
        let erased = self.finished.erase_chunk(&[chunk as u64]);
        erased.map_err(|e| failure(bucket, "writing", FINISHED, ArrayError::StorageError(e)))
    }
}

/// Whether there is a group at `bucket`.
pub(super) fn described(bucket: &Bucket) -> Result<bool> {
    let found = bucket
        .read(DESCRIPTION)
        .map_err(|e| bucket.error("reading", DESCRIPTION, e))?;
    Ok(found.is_some())
}

/// The error for a group that cannot be read.
pub(super) fn unreadable(bucket: &Bucket, e: GroupCreateError) -> Error {
    match e {
        GroupCreateError::StorageError(StorageError::IOError(e)) => bucket.error(
            "reading",
            DESCRIPTION,
            io::Error::new(e.kind(), e.to_string()),
        ),
        e => Error::unfit(
            bucket.address(),
            format!("no Zarr group ({e})"),
            "name another one",
        ),
    }
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
