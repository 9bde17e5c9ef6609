//! The chunks of a store as a source of contributions.

use super::ContributionStore;
use crate::decompose::{ChunkSource, Contributions, LayerShape, Origin, TokenContributions};
use crate::trace::Block;
use crate::{Error, Result};
use std::ops::Range;

/// Some chunks of a store, whose images count from 0.
pub(super) struct StoreSource {
    store: ContributionStore,
    chunks: Vec<usize>,
    ranges: Vec<Range<usize>>,
    origin: Option<Origin>,
}

impl StoreSource {
    /// The chunks at `chunks`, whose images in this order are those of `origin`.
    pub fn new(store: ContributionStore, chunks: Vec<usize>, origin: Option<Origin>) -> Self {
        let mut end = 0;
        let ranges = chunks.iter().map(|&chunk| {
            let start = end;
            end += store.header.range(chunk).len();
            start..end
        });
        Self {
            ranges: ranges.collect(),
            store,
            chunks,
            origin,
        }
    }
}

impl ChunkSource for StoreSource {
    fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    fn read(&self, index: usize) -> Result<Contributions> {
        let (header, range) = (&self.store.header, &self.ranges[index]);
        let bucket = &self.store.bucket;
        let (values, representation) =
            self.store.arrays.read(bucket, header, self.chunks[index])?;
        let chunk = Contributions::new(header.components.clone(), values, representation, None)
            .map_err(|e| Error::saved(self.store.address(), e.to_string()))?;
        let images: Vec<usize> = range.clone().collect();
        let chunk = match &self.origin {
            Some(origin) => chunk.with_origin(origin.of_images(&images))?,
            None => chunk,
        };
        Ok(chunk.with_part_of(header.part_of))
    }

    fn token_bytes(&self) -> usize {
        let shape = self.store.header.tokens.as_ref();
        shape.map_or(0, |shape| 4 * shape.numbers())
    }

    fn read_tokens(&self, index: usize, layer: Option<Block>) -> Result<TokenContributions> {
        let (header, bucket) = (&self.store.header, &self.store.bucket);
        let wanted = |shape: &LayerShape| layer.is_none_or(|block| shape.block == block);
        self.store
            .arrays
            .read_tokens(bucket, header, self.chunks[index], wanted)
    }

    fn place(&self) -> String {
        self.store.address().to_string()
    }
}
