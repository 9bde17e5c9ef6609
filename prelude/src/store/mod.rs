//! Contributions on disk, on shared folders and in object stores: Zarr v3, which other programs read.
//!
//! ```text
//! run.zarr/zarr.json                  what they are: components, images, model, options, format numbers
//! run.zarr/values/c/5/0/0             [image, component, channel], chunk 5 of the images; zstd, then crc32c
//! run.zarr/representation/c/5/0       [image, channel]
//! run.zarr/tokens/..                  source tokens as products, where they are kept
//! run.zarr/finished/c/5               [chunk]: 1 once all of chunk 5 is written
//! ```
//!
//! A chunk is whole or absent (a file by a rename, an object by one request), and marked as finished after its arrays: a
//! process that is killed leaves no part of one. Its checksum is verified whenever it is read. Processes that write
//! different chunks, or the same, need not know of each other: what they write is the same.
//!
//! ```
//! use vitrepl_prelude::prelude::*;
//!
//! let values = Tensor::rand(0f32, 1., (2, 5, 3), &Device::Cpu)?;
//! let c = Contributions::new(vec![Component::Init, Component::Bias], values.clone(), values.sum(0)?, None)?;
//! let folder = tempfile::tempdir().unwrap();
//! let address = folder.path().join("run.zarr").display().to_string();
//! c.save(&address)?;
//! let stored = Contributions::open(&address)?; // nothing is read yet
//! assert_eq!(stored.names(), c.names());
//! assert!((stored.means()?.values() - c.means()?.values())?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-6);
//! # Ok::<(), vitrepl_prelude::Error>(())
//! ```

mod array;
mod arrays;
mod bucket;
mod chunk;
mod data;
mod header;
mod options;
mod plan;
mod save;
mod show;
mod source;
mod tokens;

pub use data::open_data;
pub(crate) use header::label;
pub use options::{StoreOptions, StoreType};
pub(crate) use plan::StorePlan;
pub(crate) use save::Cutter;

use crate::decompose::{ChunkedContributions, Component, Contributions, Origin, unrelated};
use crate::facts;
use crate::{Error, Result};
use arrays::Arrays;
use bucket::Bucket;
use candle_core::Tensor;
use header::Header;
use show::about;
use source::StoreSource;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use zarrs::group::Group;

/// A store of contributions, finished or not.
pub struct ContributionStore {
    bucket: Bucket,
    header: Header,
    arrays: Arrays,
}

impl ContributionStore {
    /// The store at `address`: the path of a folder, `file://`, `s3://bucket/run.zarr`, `gs://`, `az://`.
    ///
    /// # Errors
    /// When nothing is there, it is no store of contributions, of another format or damaged, or cannot be reached.
    pub fn open(address: &str) -> Result<Self> {
        Self::at(Bucket::at(address)?)
    }

    /// The store in `folder`; none where none is described there.
    ///
    /// # Errors
    /// When it is of another format or damaged, or cannot be read.
    pub(crate) fn in_folder(folder: &Path) -> Result<Option<Self>> {
        let bucket = Bucket::at(&folder.display().to_string())?;
        match arrays::described(&bucket)? {
            true => Self::at(bucket).map(Some),
            false => Ok(None),
        }
    }

    /// Why this is not a store of `plan`; none where it is one, whatever its chunks.
    pub(crate) fn differs(&self, plan: &StorePlan) -> Option<String> {
        let (wanted, _) = Header::new(plan.clone(), self.header.chunk, self.header.dtype);
        let reason = self.header.difference(&wanted)?;
        Some(format!(
            "holds contributions of {}, not of {}: {reason}",
            about(&self.header),
            about(&wanted)
        ))
    }

    /// Reads a finished chunk, with source tokens where they are kept; it does not know its origin.
    pub(crate) fn read_chunk(&self, chunk: usize) -> Result<Contributions> {
        let (bucket, header) = (&self.bucket, &self.header);
        let (values, representation) = self.arrays.read(bucket, header, chunk)?;
        let tokens = match header.tokens {
            Some(_) => Some(self.arrays.read_tokens(bucket, header, chunk, |_| true)?),
            None => None,
        };
        let components = header.components.clone();
        let read = Contributions::new(components, values, representation, tokens)
            .map_err(|e| Error::saved(self.address(), e.to_string()))?;
        Ok(read.with_part_of(header.part_of))
    }

    /// Takes the mark of a chunk away, so that it is made again.
    pub(crate) fn unmark(&self, chunk: usize) -> Result<()> {
        self.arrays.unmark(&self.bucket, chunk)
    }

    fn at(bucket: Bucket) -> Result<Self> {
        if !arrays::described(&bucket)? {
            return Err(Error::argument(
                "address",
                bucket.address(),
                "a store of contributions (contributions.save(..)? or decompose --out makes one); there is no zarr.json",
            ));
        }
        let group = Group::open(Arc::new(bucket.clone()), "/")
            .map_err(|e| arrays::unreadable(&bucket, e))?;
        let header = Header::read(&bucket, group.attributes())?;
        let arrays = Arrays::open(&bucket, &header)?;
        Ok(Self {
            bucket,
            header,
            arrays,
        })
    }

    /// The store of `header` at `bucket`: the one that is there, if it is of the same contributions, or a new one. `maps`
    /// are the arrays of the source tokens' channel maps, where the header has source tokens.
    fn join(bucket: Bucket, header: Header, maps: &[Tensor]) -> Result<Self> {
        if arrays::described(&bucket)? {
            let there = Self::at(bucket)?;
            return match there.header.difference(&header) {
                None => Ok(there),
                Some(reason) => Err(unrelated(
                    "writing contributions",
                    &format!(
                        "the store {} of {}",
                        there.bucket.address(),
                        about(&there.header)
                    ),
                    &format!("contributions of {}", about(&header)),
                    reason,
                    "write them to another place",
                )),
            };
        }
        let names = bucket
            .names("")
            .map_err(|e| bucket.error("reading", "", e))?;
        // Another process has described it since.
        if arrays::described(&bucket)? {
            return Self::join(bucket, header, maps);
        }
        // The arrays are described before the group: another process may be about to.
        let ours = [
            arrays::VALUES,
            arrays::REPRESENTATION,
            arrays::FINISHED,
            tokens::TOKENS,
        ];
        if let Some(name) = names.iter().find(|name| !ours.contains(&name.as_str())) {
            return Err(Error::argument(
                "address",
                bucket.address(),
                format!("a place with nothing else in it; \"{name}\" is there"),
            ));
        }
        let arrays = Arrays::create(&bucket, &header, maps)?;
        Ok(Self {
            bucket,
            header,
            arrays,
        })
    }

    /// The address as it was given.
    pub fn address(&self) -> &str {
        self.bucket.address()
    }

    /// The components, in order.
    pub fn components(&self) -> &[Component] {
        &self.header.components
    }

    /// Number of images, those that are missing among them.
    pub fn images(&self) -> usize {
        self.header.images
    }

    /// What they are made of; none where they were put together by hand.
    pub fn origin(&self) -> Option<&Origin> {
        self.header.origin.as_ref()
    }

    /// Images of a chunk; the last one may have fewer.
    pub fn images_of_chunk(&self) -> usize {
        self.header.chunk
    }

    /// The images of a chunk.
    pub(crate) fn range(&self, chunk: usize) -> Range<usize> {
        self.header.range(chunk)
    }

    /// Number of chunks, finished or not.
    pub fn chunks(&self) -> usize {
        self.header.chunks()
    }

    /// The chunks that are finished, by number.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub fn finished(&self) -> Result<BTreeSet<usize>> {
        let key = format!("{}/c", arrays::FINISHED);
        let names = self
            .bucket
            .names(&key)
            .map_err(|e| self.bucket.error("reading", &key, e))?;
        let numbers = names.iter().filter_map(|name| name.parse().ok());
        Ok(numbers.filter(|chunk| *chunk < self.chunks()).collect())
    }

    /// The images whose chunks are not finished, by number.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub fn missing(&self) -> Result<Vec<Range<usize>>> {
        let finished = self.finished()?;
        let mut missing: Vec<Range<usize>> = Vec::new();
        for chunk in (0..self.chunks()).filter(|chunk| !finished.contains(chunk)) {
            let range = self.header.range(chunk);
            match missing.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => missing.push(range),
            }
        }
        Ok(missing)
    }

    /// The contributions of all images, read when they are used.
    ///
    /// # Errors
    /// When images are missing; the message says which.
    pub fn all(self) -> Result<ChunkedContributions> {
        let missing = self.missing()?;
        if missing.is_empty() {
            return self.there();
        }
        let count: usize = missing.iter().map(Range::len).sum();
        let ranges: Vec<String> = missing
            .iter()
            .map(|range| format!("{} to {}", range.start, range.end - 1))
            .collect();
        Err(Error::argument(
            "address",
            self.address(),
            format!(
                "a finished store: {count} of {} images are missing ({}). Run the decomposition into it again, which makes \
                 what is missing; ContributionStore::open(..)?.there()? takes the images that are there",
                self.images(),
                facts::list(&ranges, 80)
            ),
        ))
    }

    /// The contributions of the images whose chunks are finished, read when they are used.
    ///
    /// # Errors
    /// When none is finished, or the store cannot be reached.
    pub fn there(self) -> Result<ChunkedContributions> {
        let chunks: Vec<usize> = self.finished()?.into_iter().collect();
        if chunks.is_empty() {
            let expected = "a store with finished chunks; none is finished yet";
            return Err(Error::argument("address", self.address(), expected));
        }
        let whole = chunks.len() == self.chunks();
        let images =
            || -> Vec<usize> { chunks.iter().flat_map(|&c| self.header.range(c)).collect() };
        let origin = match (&self.header.origin, whole) {
            (Some(origin), false) => Some(origin.of_images(&images())),
            (origin, _) => origin.clone(),
        };
        let (components, width, part_of) = (
            self.header.components.clone(),
            self.header.width,
            self.header.part_of,
        );
        let source = StoreSource::new(self, chunks, origin.clone());
        Ok(ChunkedContributions::new(
            components,
            width,
            origin,
            part_of,
            Arc::new(source),
        ))
    }

    /// Reads every finished chunk of `chunks` (`0..store.chunks()` for all) and takes the marks of damaged ones away, so
    /// that they are made again; the numbers of these.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub fn verify(&self, chunks: Range<usize>) -> Result<Vec<usize>> {
        let mut damaged = Vec::new();
        for chunk in self
            .finished()?
            .into_iter()
            .filter(|chunk| chunks.contains(chunk))
        {
            match self.read_chunk(chunk) {
                Ok(_) => {}
                Err(Error::Saved { .. }) => {
                    self.unmark(chunk)?;
                    damaged.push(chunk);
                }
                Err(other) => return Err(other),
            }
        }
        Ok(damaged)
    }
}

impl Contributions {
    /// The contributions at `address` (a folder, `file://`, `s3://bucket/run.zarr`, `gs://`, `az://`), read chunk by chunk
    /// when they are used: they may be larger than memory. `.load()?` brings them into memory.
    ///
    /// # Errors
    /// When there is no store, it is of another format, cannot be reached, or images are missing; the message says which.
    pub fn open(address: &str) -> Result<ChunkedContributions> {
        ContributionStore::open(address)?.all()
    }
}
