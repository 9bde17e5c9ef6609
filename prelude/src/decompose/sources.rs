//! Where chunks of contributions come from, but for stores: memory, a function, or some components of another source.

use super::{
    ChunkSource, ChunkedContributions, Component, Contributions, TokenContributions, no_tokens,
};
use crate::trace::Block;
use crate::{Error, Result};
use candle_core::Tensor;
use std::ops::Range;
use std::sync::Arc;

/// Some components of another source.
pub(super) struct Selected {
    source: Arc<dyn ChunkSource>,
    components: Vec<Component>,
    names: Vec<String>,
}

impl Selected {
    pub fn new(source: Arc<dyn ChunkSource>, components: &[Component]) -> Self {
        Self {
            source,
            components: components.to_vec(),
            names: components.iter().map(Component::to_string).collect(),
        }
    }
}

impl ChunkSource for Selected {
    fn ranges(&self) -> &[Range<usize>] {
        self.source.ranges()
    }

    fn read(&self, index: usize) -> Result<Contributions> {
        let chosen = self.source.read(index)?.select(&self.names)?;
        // A copy: what was not chosen would stay in memory with it.
        Ok(Contributions {
            values: chosen.values.copy()?,
            ..chosen
        })
    }

    fn token_bytes(&self) -> usize {
        self.source.token_bytes()
    }

    fn read_tokens(&self, index: usize, layer: Option<Block>) -> Result<TokenContributions> {
        let tokens = self.source.read_tokens(index, layer)?;
        Ok(tokens.of_heads(&self.components))
    }

    fn place(&self) -> String {
        self.source.place()
    }
}

/// Another source without its source tokens.
pub(super) struct WithoutTokens(pub Arc<dyn ChunkSource>);

impl ChunkSource for WithoutTokens {
    fn ranges(&self) -> &[Range<usize>] {
        self.0.ranges()
    }

    fn read(&self, index: usize) -> Result<Contributions> {
        self.0.read(index)
    }

    fn place(&self) -> String {
        self.0.place()
    }

    fn token_bytes(&self) -> usize {
        0
    }

    fn read_tokens(&self, _: usize, _: Option<Block>) -> Result<TokenContributions> {
        Err(no_tokens())
    }
}

/// What makes the values of some images, n x b x d.
type Make = dyn Fn(Range<usize>) -> Result<Tensor> + Send + Sync;

/// Contributions that are made whenever they are read.
struct Made {
    components: Vec<Component>,
    ranges: Vec<Range<usize>>,
    make: Box<Make>,
}

impl ChunkSource for Made {
    fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    fn read(&self, index: usize) -> Result<Contributions> {
        let values = (self.make)(self.ranges[index].clone())?;
        let sum = values.sum(0)?;
        Contributions::new(self.components.clone(), values, sum, None)
    }

    fn token_bytes(&self) -> usize {
        0
    }

    fn read_tokens(&self, _: usize, _: Option<Block>) -> Result<TokenContributions> {
        Err(no_tokens())
    }

    fn place(&self) -> String {
        "a function".into()
    }
}

impl ChunkedContributions {
    /// Contributions that `make` makes of the images of a range (n x b x width) whenever these are read: of another
    /// program's files, or drawn. They sum to their representations, and have no origin.
    ///
    /// # Errors
    /// When `chunk`, the images of a chunk, is 0.
    pub fn from_fn(
        components: Vec<Component>,
        width: usize,
        images: usize,
        chunk: usize,
        make: impl Fn(Range<usize>) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Self> {
        let source = Made {
            components: components.clone(),
            ranges: cut(images, chunk)?,
            make: Box::new(make),
        };
        Ok(Self::new(components, width, None, None, Arc::new(source)))
    }
}

/// Images in chunks of at most `chunk`.
fn cut(images: usize, chunk: usize) -> Result<Vec<Range<usize>>> {
    if chunk == 0 {
        return Err(Error::argument("images", 0, "one image or more in a chunk"));
    }
    let starts = (0..images).step_by(chunk);
    Ok(starts
        .map(|start| start..images.min(start + chunk))
        .collect())
}

/// Chunks of contributions in memory.
struct Resident {
    /// Without source tokens.
    contributions: Contributions,
    tokens: Option<TokenContributions>,
    ranges: Vec<Range<usize>>,
}

impl ChunkSource for Resident {
    fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    fn read(&self, index: usize) -> Result<Contributions> {
        self.contributions.select_images(self.ranges[index].clone())
    }

    fn token_bytes(&self) -> usize {
        let tokens = self.tokens.as_ref().map_or(0, TokenContributions::bytes);
        tokens / self.contributions.images().max(1)
    }

    fn read_tokens(&self, index: usize, layer: Option<Block>) -> Result<TokenContributions> {
        let tokens = self.tokens.as_ref().ok_or_else(no_tokens)?;
        let images: Vec<usize> = self.ranges[index].clone().collect();
        match layer {
            Some(block) => tokens.of_layer(block).of_images(&images),
            None => tokens.of_images(&images),
        }
    }

    fn place(&self) -> String {
        "memory".into()
    }
}

impl Contributions {
    /// These contributions in chunks of at most `images` images, as those of a store come; nothing is copied.
    ///
    /// # Errors
    /// When `images` is 0.
    pub fn in_chunks(&self, images: usize) -> Result<ChunkedContributions> {
        let source = Resident {
            ranges: cut(self.images(), images)?,
            contributions: self.without_tokens(),
            tokens: self.tokens.clone(),
        };
        Ok(ChunkedContributions::new(
            self.components.clone(),
            self.values.dims()[2],
            self.origin.clone(),
            self.part_of,
            Arc::new(source),
        ))
    }
}
