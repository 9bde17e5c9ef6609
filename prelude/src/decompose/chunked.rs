//! Contributions wherever they are: chunk by chunk from memory, or from a store that is larger than memory.

use super::part::{same_origin, whole};
use super::{
    Component, ComponentNames, Contributions, DecomposeOptions, ImageChunks, Origin, Side,
    index_of, matching,
};
use crate::data::WhichImages;
use crate::session::progress::Progress;
use crate::session::stop;
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

    /// The chunk at `index`, on the CPU or where the contributions are.
    fn read(&self, index: usize) -> Result<Contributions>;

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
    components: Vec<Component>,
    images: usize,
    width: usize,
    origin: Option<Origin>,
    part_of: Option<usize>,
    source: Arc<dyn ChunkSource>,
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

    /// Bytes they have in memory, in f32.
    pub fn bytes(&self) -> usize {
        4 * (self.len() + 1) * self.images * self.width
    }

    /// Where they are: `memory`, or the address of a store.
    pub fn place(&self) -> String {
        self.source.place()
    }

    /// Hand each chunk with the number of its first image to `f`, in the order of the images, the next ones being read
    /// meanwhile.
    ///
    /// # Errors
    /// When a chunk cannot be read or is damaged, the call was stopped, or `f` fails.
    pub fn each_chunk(&self, mut f: impl FnMut(usize, &Contributions) -> Result<()>) -> Result<()> {
        stop::begin();
        let ranges = self.source.ranges();
        let what = format!("read {}", self.source.place());
        let mut progress = Progress::new(what.as_str(), self.images);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS.min(ranges.len()))
                .map(|first| {
                    let (send, receive) = mpsc::sync_channel(0);
                    let source = &self.source;
                    scope.spawn(move || {
                        for index in (first..ranges.len()).step_by(READERS) {
                            // The other end is gone when `f` has failed or the call was stopped.
                            if send.send(source.read(index)).is_err() {
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
                f(range.start, &chunk)?;
                progress.at(range.end, "");
            }
            Ok(())
        })
    }

    /// All of them in memory.
    ///
    /// # Errors
    /// When a chunk cannot be read, or memory would not hold them.
    pub fn load(&self) -> Result<Contributions> {
        self.check_memory(self.images)?;
        let mut chunks = Vec::with_capacity(self.chunks());
        self.each_chunk(|_, chunk| {
            chunks.push(chunk.clone());
            Ok(())
        })?;
        self.joined(&chunks, self.origin.clone())
    }

    /// One image, by its number: n x 1 x d. [`Self::image_names`] says which it is.
    ///
    /// # Errors
    /// When there is no such image, or its chunk cannot be read.
    pub fn image(&self, number: usize) -> Result<Contributions> {
        self.select_images(number)
    }

    /// Some images, by their numbers, in memory: `select_images(0..10)`, `select_images([3, 5])`. Only their chunks are
    /// read.
    ///
    /// # Errors
    /// When there are none, one does not exist, or a chunk cannot be read.
    pub fn select_images(&self, images: impl WhichImages) -> Result<Contributions> {
        let chosen = images.numbers(self.images)?;
        self.check_memory(chosen.len())?;
        let origin = self.origin.as_ref().map(|origin| origin.of_images(&chosen));
        let ranges = self.source.ranges();
        let mut chunks = Vec::new();
        let mut open: Option<(usize, Contributions)> = None;
        for run in chosen.chunk_by(|&a, &b| place_of(ranges, a) == place_of(ranges, b)) {
            let index = place_of(ranges, run[0]);
            let chunk = match open.take() {
                Some((at, chunk)) if at == index => chunk,
                _ => self.source.read(index)?,
            };
            let start = ranges[index].start;
            let numbers: Vec<usize> = run.iter().map(|i| i - start).collect();
            chunks.push(chunk.select_images(numbers)?);
            open = Some((index, chunk));
        }
        self.joined(&chunks, origin)
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
            source: Arc::new(Selected {
                source: self.source.clone(),
                names: components.iter().map(Component::to_string).collect(),
            }),
            components,
            ..self.clone()
        })
    }

    /// The contribution of one component by its name, `get("block 5 head 3")`: B x d, in memory.
    ///
    /// # Errors
    /// When no component is called so, or a chunk cannot be read.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        let index = index_of(&self.components, name)?;
        let mut parts = Vec::new();
        self.each_chunk(|_, chunk| {
            parts.push(chunk.values().get(index)?.copy()?);
            Ok(())
        })?;
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// What the contributions sum to, B x d, in memory.
    ///
    /// # Errors
    /// When a chunk cannot be read.
    pub fn representation(&self) -> Result<Tensor> {
        let mut parts = Vec::new();
        self.each_chunk(|_, chunk| {
            parts.push(chunk.representation().copy()?);
            Ok(())
        })?;
        Ok(Tensor::cat(&parts, 0)?)
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

    /// These as one of two values that are used together.
    pub(crate) fn side(&self) -> Side<'_> {
        Side {
            what: "the contributions",
            components: Some(&self.components),
            origin: self.origin.as_ref(),
            part_of: self.part_of,
        }
    }

    fn joined(&self, chunks: &[Contributions], origin: Option<Origin>) -> Result<Contributions> {
        let joined = Contributions::concat(chunks)?;
        Ok(Contributions {
            origin,
            part_of: self.part_of,
            ..joined
        })
    }

    /// Refuses to bring more images into memory than there is room for, where that is known.
    fn check_memory(&self, images: usize) -> Result<()> {
        let wanted = 4 * (self.len() + 1) * images * self.width;
        // The chunks and what they are joined to are there at the same time.
        match crate::facts::free_memory() {
            Some(free) if 2 * wanted as u64 > free => Err(Error::argument(
                "contributions",
                format!("{} of {images} images", crate::facts::size(wanted)),
                format!(
                    "at most half of the memory that is free, {}: take fewer images (select_images(0..1000)?), or leave \
                     them where they are, since means, scores, ablation and the rest read them chunk by chunk",
                    crate::facts::size(free as usize)
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// The chunk that has image `i`.
fn place_of(ranges: &[Range<usize>], i: usize) -> usize {
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

/// Some components of another source.
struct Selected {
    source: Arc<dyn ChunkSource>,
    names: Vec<String>,
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

    fn place(&self) -> String {
        self.source.place()
    }
}

/// Chunks of contributions in memory.
struct Resident {
    contributions: Contributions,
    ranges: Vec<Range<usize>>,
}

impl ChunkSource for Resident {
    fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    fn read(&self, index: usize) -> Result<Contributions> {
        self.contributions.select_images(self.ranges[index].clone())
    }

    fn place(&self) -> String {
        "memory".into()
    }
}

impl Contributions {
    /// The same in chunks of at most `images` images, as those of a store come; nothing is copied.
    ///
    /// # Errors
    /// When `images` is 0.
    pub fn in_chunks(&self, images: usize) -> Result<ChunkedContributions> {
        if images == 0 {
            return Err(Error::argument("images", 0, "one image or more in a chunk"));
        }
        let total = self.images();
        let ranges = (0..total)
            .step_by(images)
            .map(|start| start..total.min(start + images));
        let source = Resident {
            ranges: ranges.collect(),
            contributions: self.clone(),
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
