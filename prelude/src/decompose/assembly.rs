//! Contributions put together from batches, in memory that is taken once.

use super::Contributions;
use crate::{Error, Result};
use candle_core::Tensor;
use std::ops::Range;

/// The contributions of `images` images, of which batches are put in at their places. Joining batches at the end would have
/// them in memory twice.
pub(crate) struct Assembly {
    images: usize,
    /// None until the first batch says what the others look like.
    whole: Option<Contributions>,
    /// The images that are there, in order, and no two ranges next to each other.
    there: Vec<Range<usize>>,
}

impl Assembly {
    /// For so many images.
    pub fn new(images: usize) -> Self {
        Self {
            images,
            whole: None,
            there: Vec::new(),
        }
    }

    /// Put in `batch`, of the images from `start` on. Its values are copied, to the device of the first batch.
    ///
    /// # Errors
    /// When it has images beyond the last, all are there, or it is not shaped as those before it.
    pub fn put(&mut self, start: usize, batch: &Contributions) -> Result<()> {
        let range = start..start + batch.images();
        if range.end > self.images || self.missing().is_empty() {
            return Err(Error::trace(format!(
                "a batch of the images {range:?} among {}, of which {} are there",
                self.images,
                self.done()
            )));
        }
        let whole = match &self.whole {
            Some(whole) => whole,
            None => self.whole.insert(room_for(batch, self.images)?),
        };
        let batch = &batch.to_device(whole.values.device())?;
        // The tensors of `whole` are no one else's before it is taken out.
        put_in(&whole.values, &batch.values, 1, start)?;
        put_in(&whole.representation, &batch.representation, 0, start)?;
        match (&whole.tokens, &batch.tokens) {
            (Some(whole), Some(batch)) => whole.put(start, batch)?,
            (None, None) => {}
            _ => {
                return Err(Error::trace(
                    "some batches have source tokens, and some have not",
                ));
            }
        }
        self.add(range);
        Ok(())
    }

    fn add(&mut self, range: Range<usize>) {
        self.there.push(range);
        self.there.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(self.there.len());
        for range in self.there.drain(..) {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        self.there = joined;
    }

    /// The images that no batch has, in order.
    pub fn missing(&self) -> Vec<Range<usize>> {
        let starts = std::iter::once(0).chain(self.there.iter().map(|range| range.end));
        let ends = self.there.iter().map(|range| range.start);
        let ends = ends.chain(std::iter::once(self.images));
        let gaps = starts.zip(ends).map(|(start, end)| start..end);
        gaps.filter(|gap| !gap.is_empty()).collect()
    }

    /// Number of images that are there.
    pub fn done(&self) -> usize {
        self.there.iter().map(Range::len).sum()
    }

    /// All of them.
    ///
    /// # Errors
    /// When images are missing, or there is none.
    pub fn finish(&self) -> Result<Contributions> {
        match (&self.whole, &self.there[..]) {
            // Nothing is put in any more: no image is missing.
            (Some(whole), [all]) if *all == (0..self.images) => Ok(whole.clone()),
            (_, there) => Err(Error::trace(format!(
                "contributions of {there:?} are not those of {} images",
                self.images
            ))),
        }
    }
}

/// Contributions like `batch`, of so many images, that are 0. The system gives their memory when they are written.
fn room_for(batch: &Contributions, images: usize) -> Result<Contributions> {
    let (n, _, width) = batch.values.dims3()?;
    let zeros = |shape: &[usize]| Tensor::zeros(shape, batch.values.dtype(), batch.values.device());
    let tokens = batch.tokens.as_ref();
    let tokens = tokens.map(|tokens| tokens.room_for(images)).transpose()?;
    Ok(Contributions {
        components: batch.components.clone(),
        values: zeros(&[n, images, width])?,
        representation: zeros(&[images, width])?,
        tokens,
        origin: None,
        part_of: batch.part_of,
    })
}

/// Copies `part` into `whole` from `start` on along `axis`.
pub(super) fn put_in(whole: &Tensor, part: &Tensor, axis: usize, start: usize) -> Result<()> {
    Ok(whole.slice_set(&part.contiguous()?, axis, start)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decompose::Component;
    use candle_core::Device;

    #[test]
    fn batches_in_any_order_are_what_they_are_joined() -> Result<()> {
        let random = |shape: &[usize]| Tensor::randn(0f32, 1., shape, &Device::Cpu);
        let batch = |images: usize| -> Result<Contributions> {
            let components = vec![Component::Init, Component::Bias];
            let (values, sum) = (random(&[2, images, 3])?, random(&[images, 3])?);
            Contributions::new(components, values, sum, None)
        };
        let batches = [batch(2)?, batch(3)?, batch(1)?];
        let mut assembly = Assembly::new(6);
        let gaps = |assembly: &Assembly| -> Vec<(usize, usize)> {
            let gaps = assembly.missing().into_iter();
            gaps.map(|gap| (gap.start, gap.end)).collect()
        };
        assert_eq!(gaps(&assembly), [(0, 6)]);
        assembly.put(5, &batches[2])?;
        assembly.put(0, &batches[0])?;
        assert_eq!((gaps(&assembly), assembly.done()), (vec![(2, 5)], 3));
        assert!(assembly.put(4, &batches[1]).is_err());
        assembly.put(2, &batches[1])?;
        let (whole, joined) = (assembly.finish()?, Contributions::concat(&batches)?);
        let flat = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
        assert_eq!(flat(whole.values())?, flat(joined.values())?);
        assert_eq!(
            flat(whole.representation())?,
            flat(joined.representation())?
        );
        let mut holes = Assembly::new(6);
        holes.put(0, &batches[0])?;
        assert!(holes.finish().is_err());
        Ok(())
    }
}
