//! One attention layer's source tokens, batch after batch as they were decomposed: they are most of what a decomposition keeps,
//! and putting them side by side would take more time than half of the walk that finds them.

use super::TokenFactors;
use crate::Result;
use crate::decompose::channel_map::{ChannelMap, MapCopies};
use crate::trace::Site;
use candle_core::{Tensor, TensorId};

/// The factors of some batches, of which there is at least one, of one layer of one model.
#[derive(Clone, Debug)]
pub(in crate::decompose) struct TokenLayer {
    first: TokenFactors,
    rest: Vec<TokenFactors>,
}

impl From<TokenFactors> for TokenLayer {
    fn from(first: TokenFactors) -> Self {
        Self {
            first,
            rest: Vec::new(),
        }
    }
}

impl TokenLayer {
    /// What all batches have in common, and the values of the first one's images.
    pub fn first(&self) -> &TokenFactors {
        &self.first
    }

    /// The batches, in the order of their images.
    pub fn batches(&self) -> impl Iterator<Item = &TokenFactors> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// The layer.
    pub fn site(&self) -> Site {
        self.first.site
    }

    /// The channel map of all heads.
    pub fn map(&self) -> &ChannelMap {
        &self.first.map
    }

    /// Number of heads.
    pub fn heads(&self) -> usize {
        self.first.heads()
    }

    /// Number of source tokens of an image.
    pub fn tokens(&self) -> usize {
        self.first.tokens()
    }

    /// Number of images, B.
    pub fn images(&self) -> usize {
        self.batches().map(TokenFactors::images).sum()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.batches().map(TokenFactors::bytes).sum()
    }

    /// What the heads of each batch share of the constants: by it a layer of some images is told from any other.
    pub fn shares(&self) -> Vec<Option<TensorId>> {
        self.batches()
            .map(|batch| batch.share.as_ref().map(Tensor::id))
            .collect()
    }

    /// The images of `parts` one after the other.
    pub fn joined(parts: Vec<Self>) -> Option<Self> {
        let mut all = parts
            .into_iter()
            .flat_map(|part| std::iter::once(part.first).chain(part.rest));
        Some(Self {
            first: all.next()?,
            rest: all.collect(),
        })
    }

    /// All batches as one.
    pub fn whole(&self) -> Result<TokenFactors> {
        match self.rest[..] {
            [] => Ok(self.first.clone()),
            _ => TokenFactors::concat(&self.batches().collect::<Vec<_>>()),
        }
    }

    /// These on the device of `copies`.
    pub fn copied(&self, copies: &mut MapCopies) -> Result<Self> {
        let rest = self.rest.iter();
        Ok(Self {
            first: self.first.copied(copies)?,
            rest: rest.map(|one| one.copied(copies)).collect::<Result<_>>()?,
        })
    }

    /// The part of the images at `chosen`.
    pub fn of_images(&self, chosen: &[usize]) -> Result<Self> {
        let starts: Vec<usize> = self
            .batches()
            .scan(0, |next, batch| {
                let start = *next;
                *next += batch.images();
                Some(start)
            })
            .collect();
        let batch_of = |image: usize| starts.partition_point(|&start| start <= image) - 1;
        let batches: Vec<&TokenFactors> = self.batches().collect();
        let runs = chosen.chunk_by(|&a, &b| batch_of(a) == batch_of(b));
        let runs = runs.map(|run| {
            let at = batch_of(run[0]);
            let places: Vec<usize> = run.iter().map(|image| image - starts[at]).collect();
            batches[at].of_images(&places)
        });
        let runs = runs.collect::<Result<Vec<_>>>()?;
        match runs.len() {
            // Images in any order would come in as many batches.
            2.. => Ok(TokenFactors::concat(&runs.iter().collect::<Vec<_>>())?.into()),
            1 => Ok(runs[0].clone().into()),
            _ => Ok(self.first.of_images(&[])?.into()),
        }
    }

    /// `directions` where the factors are, and of their type.
    pub fn beside(&self, directions: &Tensor) -> Result<Tensor> {
        self.first.beside(directions)
    }

    /// [`TokenFactors::constants`] of each batch.
    pub fn constants(&self, directions: &Tensor) -> Result<Vec<Option<Tensor>>> {
        self.batches()
            .map(|batch| batch.constants(directions))
            .collect()
    }

    /// [`TokenFactors::along`] of all images, B x S x k, by the constants of each batch.
    pub fn along(
        &self,
        head: usize,
        pulled: &Tensor,
        constants: &[Option<Tensor>],
    ) -> Result<Tensor> {
        let each = self.batches().zip(constants);
        let each = each.map(|(batch, constants)| batch.along(head, pulled, constants.as_ref()));
        one_after_the_other(each.collect::<Result<_>>()?)
    }

    /// [`TokenFactors::head`] of all images, B x S x d.
    pub fn head(&self, head: usize) -> Result<Tensor> {
        let each = self.batches().map(|batch| batch.head(head));
        one_after_the_other(each.collect::<Result<_>>()?)
    }
}

/// The values of batches along the images.
fn one_after_the_other(each: Vec<Tensor>) -> Result<Tensor> {
    match &each[..] {
        [one] => Ok(one.clone()),
        _ => Ok(Tensor::cat(&each, 0)?),
    }
}
