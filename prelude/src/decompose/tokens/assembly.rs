//! Source tokens put together from batches, in memory that is taken once.

use super::{TokenContributions, TokenFactors, TokenLayer};
use crate::Result;
use crate::decompose::assembly::put_in;
use candle_core::Tensor;

impl TokenContributions {
    /// Source tokens like these, of so many images, that are 0.
    pub(in crate::decompose) fn room_for(&self, images: usize) -> Result<Self> {
        let layers = self.layers.iter();
        let layers = layers.map(|layer| Ok(layer.first().room_for(images)?.into()));
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            ..self.clone()
        })
    }

    /// Copies those of `batch` in, from image `start` on.
    pub(in crate::decompose) fn put(&self, start: usize, batch: &Self) -> Result<()> {
        let mut layers = self.layers.iter().zip(&batch.layers);
        layers.try_for_each(|(whole, batch)| whole.put(start, batch))
    }
}

impl TokenLayer {
    fn put(&self, mut start: usize, batch: &Self) -> Result<()> {
        for batch in batch.batches() {
            self.first().put(start, batch)?;
            start += batch.images()
        }
        Ok(())
    }
}

impl TokenFactors {
    fn room_for(&self, images: usize) -> Result<Self> {
        let more = |t: &Tensor| {
            let mut shape = t.dims().to_vec();
            shape[0] = shape[0] / self.images() * images;
            Tensor::zeros(shape, t.dtype(), t.device())
        };
        Ok(Self {
            weights: more(&self.weights)?,
            v: more(&self.v)?,
            share: self.share.as_ref().map(more).transpose()?,
            ..self.clone()
        })
    }

    fn put(&self, start: usize, batch: &Self) -> Result<()> {
        let windows = batch.weights.dim(0)? / batch.images();
        put_in(&self.weights, &batch.weights, 0, start * windows)?;
        put_in(&self.v, &batch.v, 0, start * windows)?;
        match (&self.share, &batch.share) {
            (Some(whole), Some(batch)) => put_in(whole, batch, 0, start),
            _ => Ok(()),
        }
    }
}
