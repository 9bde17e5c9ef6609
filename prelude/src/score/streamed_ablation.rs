//! Ablation of images that are too many for their components' shares to be kept.

use candle_core::Tensor;

use super::ablation::{checked_means, differs, distinct, nothing_to_take_off};
use super::{Ablation, LinearHead};
use crate::decompose::{ImageChunks, each_block};
use crate::{Error, Result};

/// A head's logits on images that come in chunks. Each answer goes through the images once, takes the logits of one block
/// apart ([`Ablation`]), of the components that are switched off alone, and keeps the predicted classes only: n components of B images and C classes would be n x B x C
/// numbers, 26 GB for 66 components of 50,000 images and 1000 classes.
#[derive(Clone)]
pub struct StreamedAblation<C> {
    contributions: C,
    means: Tensor,
    pub(super) head: LinearHead,
    pub(super) components: usize,
    pub(super) images: usize,
}

impl<C: ImageChunks> StreamedAblation<C> {
    /// As [`Ablation::new`].
    ///
    /// # Errors
    /// As [`Ablation::new`]; what is wrong with the values themselves is found when they are gone through.
    pub fn new(contributions: C, means: &Tensor, head: &LinearHead) -> Result<Self> {
        let (components, images, d) = contributions.extent("contributions")?;
        let means = checked_means(&contributions, means)?;
        head.check_width("contributions", d)?;
        head.check_choice()?;
        Ok(Self {
            contributions,
            means,
            head: head.clone(),
            components,
            images,
        })
    }

    /// Number of components.
    pub fn components(&self) -> usize {
        self.components
    }

    /// Number of classes of the head.
    pub fn classes(&self) -> usize {
        self.head.classes()
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// As [`Ablation::predict`].
    ///
    /// # Errors
    /// A component that is not there, NaN or infinity, a chunk that cannot be read; contributions none of which differs
    /// from its mean.
    pub fn predict(&self, set: &[usize]) -> Result<Vec<usize>> {
        self.answer(set, |block| Ok(vec![block.predict(set)?]))?
            .pop()
            .ok_or_else(no_answer)
    }

    /// As [`Ablation::predict_sets`], all sets in one pass over the images.
    ///
    /// # Errors
    /// As [`Self::predict`].
    pub fn predict_sets(&self, sets: &[Vec<usize>]) -> Result<Vec<Vec<usize>>> {
        for set in sets {
            distinct(set, self.components)?;
        }
        self.answer(&sets.concat(), |block| block.predict_sets(sets))
    }

    /// As [`Ablation::predict_prefixes`], all prefixes in one pass over the images.
    ///
    /// # Errors
    /// As [`Self::predict`]; a component that is named twice.
    pub fn predict_prefixes(&self, order: &[usize]) -> Result<Vec<Vec<usize>>> {
        self.answer(order, |block| block.predict_prefixes(order))
    }

    /// As [`Ablation::predict_scaled`].
    ///
    /// # Errors
    /// As [`Self::predict`]; weights that do not fit.
    pub fn predict_scaled(&self, weights: &[f64]) -> Result<Vec<usize>> {
        let others = weights.iter().enumerate().filter(|(_, w)| **w != 1.0);
        let scaled: Vec<usize> = others.map(|(i, _)| i).collect();
        self.answer(&scaled, |block| Ok(vec![block.predict_scaled(weights)?]))?
            .pop()
            .ok_or_else(no_answer)
    }

    /// The answers of all blocks, of which the `wanted` components can be switched off, joined along the images.
    fn answer(
        &self,
        wanted: &[usize],
        of: impl Fn(&Ablation) -> Result<Vec<Vec<usize>>>,
    ) -> Result<Vec<Vec<usize>>> {
        let mut answers: Vec<Vec<usize>> = Vec::new();
        let mut changes_nothing = true;
        each_block(&self.contributions, |_, block| {
            // The first image that differs settles it.
            changes_nothing = changes_nothing && !differs(block, &self.means)?;
            let block =
                Ablation::of_block(block, &self.means, &self.head, |i| wanted.contains(&i))?;
            let found = of(&block)?;
            answers.resize(found.len(), Vec::new());
            for (all, found) in answers.iter_mut().zip(found) {
                all.extend(found);
            }
            Ok(())
        })?;
        match changes_nothing {
            true => Err(nothing_to_take_off(self.images)),
            false => Ok(answers),
        }
    }
}

fn no_answer() -> Error {
    Error::argument(
        "contributions",
        "no image",
        "at least one image to classify",
    )
}
