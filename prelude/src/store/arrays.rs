//! The Zarr arrays of a store, and one chunk of them.

use super::array::{Kept, create, failure, open};
use super::bucket::Bucket;
use super::chunk::{all_chunks, get, padded, put};
use super::header::Header;
use super::tokens::TokenArrays;
use crate::decompose::{Contributions, LayerShape, TokenContributions, no_tokens};
use crate::{Error, Result, check};
use candle_core::{Device, Tensor};
use std::io;
use std::sync::Arc;
use zarrs::array::{Array, ArrayError};
use zarrs::group::{GroupBuilder, GroupCreateError};
use zarrs::storage::StorageError;

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
    tokens: Option<TokenArrays>,
}

impl Arrays {
    /// Describes the arrays of `header` at `bucket`, and the group last: where that is, all are. `maps` are the arrays of
    /// the source tokens' channel maps.
    pub fn create(bucket: &Bucket, header: &Header, maps: &[Tensor]) -> Result<Self> {
        let (n, images, width) = (header.components.len(), header.images, header.width);
        let kept = Kept::from(header.dtype);
        let arrays = Self {
            values: create(
                bucket,
                VALUES,
                &[images, n, width],
                &[header.chunk, n, width],
                kept,
                &["image", "component", "channel"],
            )?,
            representation: create(
                bucket,
                REPRESENTATION,
                &[images, width],
                &[header.chunk, width],
                kept,
                &["image", "channel"],
            )?,
            finished: create(
                bucket,
                FINISHED,
                &[header.chunks()],
                &[1],
                Kept::Mark,
                &["chunk"],
            )?,
            tokens: match &header.tokens {
                Some(shape) => Some(TokenArrays::create(bucket, header, shape, maps)?),
                None => None,
            },
        };
        group(bucket, "", header.attributes()?)?;
        Ok(arrays)
    }

    /// Those at `bucket`, which must be as `header` says.
    pub fn open(bucket: &Bucket, header: &Header) -> Result<Self> {
        let (n, images, width, chunk) = (
            header.components.len(),
            header.images,
            header.width,
            header.chunk,
        );
        Ok(Self {
            values: open(bucket, VALUES, &[images, n, width], &[chunk, n, width])?,
            representation: open(bucket, REPRESENTATION, &[images, width], &[chunk, width])?,
            finished: open(bucket, FINISHED, &[header.chunks()], &[1])?,
            tokens: match &header.tokens {
                Some(shape) => Some(TokenArrays::open(bucket, header, shape)?),
                None => None,
            },
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
        if let (Some(arrays), Some(shape)) = (&self.tokens, &header.tokens) {
            let tokens = of.token_contributions().ok_or_else(no_tokens)?;
            arrays.write(bucket, header, shape, chunk, tokens)?;
        }
        self.finished
            .store_chunk_opt(&[a], vec![1u8], &all_chunks())
            .map_err(|e| failure(bucket, "writing", FINISHED, e))
    }

    /// Reads a chunk that is marked, without source tokens, and checks it: n x b x d and b x d.
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
        // A row of each image for one component after the other, in the order in which they come to stand.
        let mut turned = Vec::with_capacity(n * images * width);
        for component in 0..n {
            for image in 0..images {
                let from = (image * n + component) * width;
                turned.extend_from_slice(&values[from..from + width]);
            }
        }
        let mut representation = representation;
        representation.truncate(images * width);
        Ok((
            Tensor::from_vec(turned, (n, images, width), &Device::Cpu)?,
            Tensor::from_vec(representation, (images, width), &Device::Cpu)?,
        ))
    }

    /// Reads the source tokens of a chunk that is marked, of the layers that are `wanted`, and checks them.
    pub fn read_tokens(
        &self,
        bucket: &Bucket,
        header: &Header,
        chunk: usize,
        wanted: impl Fn(&LayerShape) -> bool,
    ) -> Result<TokenContributions> {
        match (&self.tokens, &header.tokens) {
            (Some(arrays), Some(shape)) => arrays.read(bucket, header, shape, chunk, wanted),
            _ => Err(no_tokens()),
        }
    }

    /// Takes the mark of a chunk away, so that it is made again.
    pub fn unmark(&self, bucket: &Bucket, chunk: usize) -> Result<()> {
        let erased = self.finished.erase_chunk(&[chunk as u64]);
        erased.map_err(|e| failure(bucket, "writing", FINISHED, ArrayError::StorageError(e)))
    }
}

/// Describes a group at `path` below `bucket`.
pub(super) fn group(
    bucket: &Bucket,
    path: &str,
    attributes: serde_json::Map<String, serde_json::Value>,
) -> Result<()> {
    let group = GroupBuilder::new()
        .attributes(attributes)
        .build(Arc::new(bucket.clone()), &format!("/{path}"))
        .map_err(|e| unreadable(bucket, e))?;
    let stored = group.store_metadata();
    stored.map_err(|e| failure(bucket, "writing", DESCRIPTION, ArrayError::StorageError(e)))
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
