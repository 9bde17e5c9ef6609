//! Contributions that come in chunks, or some of them, brought into memory.

use super::chunked::place_of;
use super::{Assembly, ChunkedContributions, Contributions, Origin, index_of};
use crate::data::WhichImages;
use crate::process::memory;
use crate::{Error, Result};
use candle_core::Tensor;

impl ChunkedContributions {
    /// All of them in memory.
    ///
    /// # Errors
    /// When a chunk cannot be read, or memory would not hold them.
    pub fn load(&self) -> Result<Contributions> {
        self.check_memory(self.images)?;
        let mut all = Assembly::new(self.images);
        self.each_chunk_with_tokens(|start, chunk| all.put(start, &chunk))?;
        self.known(all.finish()?, self.origin.clone())
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
        let mut all = Assembly::new(chosen.len());
        let mut place = 0;
        let mut open: Option<(usize, Contributions)> = None;
        for run in chosen.chunk_by(|&a, &b| place_of(ranges, a) == place_of(ranges, b)) {
            let index = place_of(ranges, run[0]);
            let chunk = match open.take() {
                Some((at, chunk)) if at == index => chunk,
                _ => self.read_whole_chunk(index)?,
            };
            let start = ranges[index].start;
            let numbers: Vec<usize> = run.iter().map(|i| i - start).collect();
            all.put(place, &chunk.select_images(numbers)?)?;
            place += run.len();
            open = Some((index, chunk));
        }
        self.known(all.finish()?, origin)
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

    /// What was read, with what is known of it.
    fn known(&self, read: Contributions, origin: Option<Origin>) -> Result<Contributions> {
        let known = read.with_part_of(self.part_of);
        match origin {
            Some(origin) => known.with_origin(origin),
            None => Ok(known),
        }
    }

    /// Refuses to bring more images into memory than there is room for, where that is known.
    fn check_memory(&self, images: usize) -> Result<()> {
        let wanted = self.bytes_per_image() * images;
        match memory::available() {
            Some(free) if wanted as u64 > free => Err(Error::argument(
                "contributions",
                format!("{} of {images} images", crate::facts::size(wanted)),
                format!(
                    "at most the memory that is free, {}: take fewer images (select_images(0..1000)?), or leave \
                     them where they are, since means, scores, ablation and the rest read them chunk by chunk",
                    crate::facts::size(free as usize)
                ),
            )),
            _ => Ok(()),
        }
    }
}
