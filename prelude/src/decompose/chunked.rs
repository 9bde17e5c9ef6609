//! Contributions wherever they are: chunk by chunk from memory, or from a store that is larger than memory.

use super::part::{same_origin, whole};
use super::sources::{Selected, WithoutTokens};
use super::tokens::ChunkedHeadTokens;
use super::{
    Component, ComponentNames, Contributions, DecomposeOptions, ImageChunks, Origin, Side,
    TokenContributions, index_of, matching, no_tokens,
};
use crate::process::{progress::Progress, stop};
use crate::trace::Block;
use crate::{Error, Result};
use candle_core::Tensor;
use std::ops::Range;
use std::sync::{Arc, mpsc};

/// Chunks that are read at the same time, ahead of the one that is worked on.
const READERS: usize = 2;

/// Where chunks of contributions come from.
pub(crate) trait ChunkSource: Send + Sync {
    /// The images of each chunk: one begins where the one before it ends.
    fn ranges(&self) -> &[Range<usize>];

    /// The chunk at `index` without source tokens, on the CPU or where the contributions are.
    fn read(&self, index: usize) -> Result<Contributions>;

    /// Bytes that the source tokens of one image have in memory; 0 where there are none.
    fn token_bytes(&self) -> usize;

    /// The source tokens of the chunk at `index`: those of one layer's heads, or of all.
    fn read_tokens(&self, index: usize, layer: Option<Block>) -> Result<TokenContributions>;

    /// Where they are, in a few words.
    fn place(&self) -> String;
}

/// Contributions that are gone through chunk by chunk, in the order of the images, reading ahead: those of
/// [`Contributions::open`], which may be larger than memory, or those of [`Contributions::in_chunks`].
///
/// Means, scores, ablation, retrieval, text spans and the fit of an aligner take them as they take [`Contributions`], and
/// answer the same. Each goes through the images once or twice. [`Self::load`] brings all of them into memory,
/// [`Self::select_images`] some.
#[derive(Clone)]
pub struct ChunkedContributions {
    pub(super) components: Vec<Component>,
    pub(super) images: usize,
    pub(super) width: usize,
    pub(super) origin: Option<Origin>,
    pub(super) part_of: Option<usize>,
    pub(super) source: Arc<dyn ChunkSource>,
}

impl ChunkedContributions {
    pub(crate) fn new(
        components: Vec<Component>,
        width: usize,
        origin: Option<Origin>,
        part_of: Option<usize>,
        source: Arc<dyn ChunkSource>,
    ) -> Self {
        Self {
            components,
            images: source.ranges().last().map_or(0, |range| range.end),
            width,
            origin,
            part_of,
            source,
        }
    }

    /// The components, in order.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The names of the components, in order.
    pub fn names(&self) -> Vec<String> {
        self.components.iter().map(Component::to_string).collect()
    }

    /// What they were made of; none where they were put together by hand.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The names of the images, in order; none where they are not known.
    pub fn image_names(&self) -> Option<&[String]> {
        Some(&self.origin.as_ref()?.images.names)
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Channels of a contribution.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.components.len()
    }

    /// Whether there is no component.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// Of how many components these are a part; none where they are all of the decomposition.
    pub fn part_of(&self) -> Option<usize> {
        self.part_of
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.source.ranges().len()
    }

    /// Bytes they have in memory, in f32, source tokens among them.
    pub fn bytes(&self) -> usize {
        self.bytes_per_image() * self.images
    }

    pub(super) fn bytes_per_image(&self) -> usize {
        4 * (self.len() + 1) * self.width + self.source.token_bytes()
    }

    /// These without their source tokens.
    pub(crate) fn without_tokens(self) -> Self {
        let source = WithoutTokens(self.source);
        Self {
            source: Arc::new(source),
            ..self
        }
    }

    /// Whether source tokens are kept with them.
    pub fn has_tokens(&self) -> bool {
        self.source.token_bytes() > 0
    }

    /// The source tokens of the first chunk, where there are any.
    pub(crate) fn first_tokens(&self) -> Result<Option<TokenContributions>> {
        match self.has_tokens() && self.chunks() > 0 {
            true => Ok(Some(self.source.read_tokens(0, None)?)),
            false => Ok(None),
        }
    }

    /// The source tokens of one head, `tokens("block 5 head 3")`, as [`Contributions::tokens`]; they are read when they are
    /// asked for directions, chunk by chunk, and of one layer only.
    ///
    /// # Errors
    /// When there are no source tokens, or no head is called so.
    pub fn tokens(&self, head: &str) -> Result<ChunkedHeadTokens> {
        self.head_tokens(self.components[index_of(&self.components, head)?])
    }

    /// As [`Self::tokens`].
    pub(crate) fn head_tokens(&self, head: Component) -> Result<ChunkedHeadTokens> {
        match self.has_tokens() {
            true => ChunkedHeadTokens::new(self.clone(), head),
            false => Err(no_tokens()),
        }
    }

    /// The chunk that has image `image`, and its first image.
    pub(crate) fn chunk_of(&self, image: usize) -> (usize, usize) {
        let ranges = self.source.ranges();
        let index = place_of(ranges, image);
        (index, ranges[index].start)
    }

    /// Reads one chunk, without source tokens.
    pub(crate) fn read_chunk(&self, index: usize) -> Result<Contributions> {
        self.source.read(index)
    }

    /// Reads one chunk, with source tokens where there are any.
    pub(super) fn read_whole_chunk(&self, index: usize) -> Result<Contributions> {
        let chunk = self.source.read(index)?;
        match self.has_tokens() {
            true => Ok(chunk.with_tokens(self.source.read_tokens(index, None)?)),
            false => Ok(chunk),
        }
    }

    /// Where they are: `memory`, or the address of a store.
    pub fn place(&self) -> String {
        self.source.place()
    }

    /// Hand each chunk with the number of its first image to `f`, in the order of the images, the next ones being read
    /// meanwhile. Chunks have no source tokens ([`Self::each_chunk_with_tokens`]).
    ///
    /// # Errors
    /// When a chunk cannot be read or is damaged, the call was stopped, or `f` fails.
    pub fn each_chunk(&self, mut f: impl FnMut(usize, &Contributions) -> Result<()>) -> Result<()> {
        self.each_read(
            |index| self.source.read(index),
            |start, chunk| f(start, &chunk),
        )
    }

    /// As [`Self::each_chunk`], with source tokens where there are any: many times as many bytes.
    ///
    /// # Errors
    /// As [`Self::each_chunk`].
    pub fn each_chunk_with_tokens(
        &self,
        mut f: impl FnMut(usize, Contributions) -> Result<()>,
    ) -> Result<()> {
        self.each_read(|index| self.read_whole_chunk(index), &mut f)
    }

    /// Hand what `read` reads of each chunk, given by its number, to `f` with the number of the chunk's first image.
    pub(super) fn each_read<T: Send>(
        &self,
        read: impl Fn(usize) -> Result<T> + Sync,
        mut f: impl FnMut(usize, T) -> Result<()>,
    ) -> Result<()> {
        stop::begin();
        let ranges = self.source.ranges();
        let what = format!("read {}", self.source.place());
        let mut progress = Progress::new(what.as_str(), self.images);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS.min(ranges.len()))
                .map(|first| {
                    let (send, receive) = mpsc::sync_channel(0);
                    let read = &read;
                    scope.spawn(move || {
                        for index in (first..ranges.len()).step_by(READERS) {
                            // The other end is gone when `f` has failed or the call was stopped.
                            if send.send(read(index)).is_err() {
                                return;
                            }
                        }
                    });
                    receive
                })
                .collect();
            for (index, range) in ranges.iter().enumerate() {
                if stop::requested() {
                    return Err(Error::Interrupted {
                        what: what.clone(),
                        kept: "nothing of this pass is kept; call it again".into(),
                    });
                }
                let chunk = readers[index % READERS].recv();
                let chunk = chunk.map_err(|_| Error::trace("a reader of chunks has ended"))??;
                f(range.start, chunk)?;
                progress.at(range.end, "");
            }
            Ok(())
        })
    }

    /// The components that `names` names, as [`Contributions::select`]: of each chunk the others are dropped when it is
    /// read.
    ///
    /// # Errors
    /// When a name or pattern fits no component, or a ranking is of another model's components.
    pub fn select(&self, names: impl ComponentNames) -> Result<Self> {
        let chosen = self.places(&names)?;
        let components: Vec<Component> = chosen.iter().map(|&i| self.components[i]).collect();
        Ok(Self {
            part_of: match components.len() == self.len() {
                true => self.part_of,
                false => Some(self.part_of.unwrap_or(self.len())),
            },
            source: Arc::new(Selected::new(self.source.clone(), &components)),
            components,
            ..self.clone()
        })
    }

    /// As [`Contributions::sum_error`].
    ///
    /// # Errors
    /// Of a part of the components, which do not sum to the representation; when a chunk cannot be read.
    pub fn sum_error(&self) -> Result<f64> {
        whole(
            "the sum error",
            self.len(),
            self.part_of,
            "ask that of the whole decomposition",
        )?;
        let (mut apart, mut all) = (0.0, 0.0);
        self.each_chunk(|_, chunk| {
            let (a, z) = chunk.squares()?;
            apart += a;
            all += z;
            Ok(())
        })?;
        Ok(apart.sqrt() / f64::max(all.sqrt(), f64::MIN_POSITIVE))
    }

    /// The places of the components that `names` names.
    pub(crate) fn places(&self, names: &impl ComponentNames) -> Result<Vec<usize>> {
        same_origin(self.origin(), names)?;
        matching(&self.components, names)
    }

    /// The options they were made with, where these are known.
    pub fn options(&self) -> Option<&DecomposeOptions> {
        Some(&self.origin.as_ref()?.options)
    }

    /// This value as one of two that are used together.
    pub(crate) fn side(&self) -> Side<'_> {
        Side {
            what: "the contributions",
            components: Some(&self.components),
            origin: self.origin.as_ref(),
            part_of: self.part_of,
        }
    }
}

/// The chunk that has image `i`.
pub(super) fn place_of(ranges: &[Range<usize>], i: usize) -> usize {
    ranges.partition_point(|range| range.end <= i)
}

impl ImageChunks for ChunkedContributions {
    fn extent(&self, name: &'static str) -> Result<(usize, usize, usize)> {
        let extent = (self.len(), self.images, self.width);
        match extent {
            (n, b, d) if n * b * d > 0 => Ok(extent),
            _ => Err(Error::argument(
                name,
                format!("{extent:?}"),
                "a stack of components x images x width, with nothing empty",
            )),
        }
    }

    fn each(&self, f: &mut dyn FnMut(usize, &Tensor) -> Result<()>) -> Result<()> {
        self.each_chunk(|start, chunk| f(start, chunk.values()))
    }
}
