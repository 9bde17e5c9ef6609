//! Parts of aligned contributions: some components, some images, heads summed by layer.

use super::AlignedContributions;
use crate::Result;
use crate::data::WhichImages;
use crate::decompose::part::{layers, place, rows, same_origin, summed, whole};
use crate::decompose::{BlockPart, Component, ComponentNames, matching};
use crate::trace::Block;
use candle_core::Tensor;

impl AlignedContributions {
    /// One head, `head(5, 3)` or `head((2, 14), 3)` in a model with stages: B x D.
    ///
    /// # Errors
    /// When there is no such head in this decomposition.
    pub fn head(&self, block: impl Into<Block>, head: usize) -> Result<Tensor> {
        let place = place(&self.components, block.into(), BlockPart::Head(head))?;
        Ok(self.values.get(place)?)
    }

    /// One MLP, `mlp(5)` or `mlp((2, 14))` in a model with stages: B x D.
    ///
    /// # Errors
    /// When there is no such MLP in this decomposition.
    pub fn mlp(&self, block: impl Into<Block>) -> Result<Tensor> {
        let place = place(&self.components, block.into(), BlockPart::Mlp)?;
        Ok(self.values.get(place)?)
    }

    /// The places of the components that `names` names.
    pub(super) fn places(&self, names: &impl ComponentNames) -> Result<Vec<usize>> {
        same_origin(self.origin(), names)?;
        matching(&self.components, names)
    }

    /// The components that `names` names, in the order of the model, as
    /// [`Contributions::select`](crate::decompose::Contributions::select).
    ///
    /// # Errors
    /// When a name or pattern fits no component, or a ranking is of another model's components.
    pub fn select(&self, names: impl ComponentNames) -> Result<Self> {
        let chosen = self.places(&names)?;
        let components: Vec<Component> = chosen.iter().map(|&i| self.components[i]).collect();
        Ok(Self {
            values: rows(&self.values, 0, &chosen)?,
            part_of: match components.len() == self.components.len() {
                true => self.part_of,
                false => Some(self.part_of.unwrap_or(self.components.len())),
            },
            components,
            origin: self.origin.clone(),
            clip: self.clip.clone(),
            tokens: self.tokens.clone(),
        })
    }

    /// One image, by its number: n x 1 x D.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn image(&self, number: usize) -> Result<Self> {
        self.select_images(number)
    }

    /// Some images, by their numbers: `select_images(0..10)`, `select_images([3, 5])`.
    ///
    /// # Errors
    /// When there are none, or one does not exist.
    pub fn select_images(&self, images: impl WhichImages) -> Result<Self> {
        let chosen = images.numbers(self.images())?;
        let tokens = self.tokens.as_ref();
        Ok(Self {
            tokens: tokens.map(|tokens| tokens.of_images(&chosen)).transpose()?,
            values: rows(&self.values, 1, &chosen)?,
            origin: self.origin.as_ref().map(|origin| origin.of_images(&chosen)),
            ..self.clone()
        })
    }

    /// The heads of each layer summed into one component, `block 5 attn`; everything else as it is; source tokens are not
    /// kept. A sum is scored as a
    /// component is, and in general not as the sum of its heads' scores.
    ///
    /// # Errors
    /// Of a part of the components, in which heads may be missing.
    pub fn by_layer(&self) -> Result<Self> {
        self.check_whole("summing heads by layer", "by_layer()?.select(..)?")?;
        let (components, groups) = layers(&self.components);
        Ok(Self {
            values: summed(&self.values, &groups)?,
            components,
            tokens: None,
            ..self.clone()
        })
    }

    /// Of how many components these are a part; none where they are all of the decomposition.
    pub fn part_of(&self) -> Option<usize> {
        self.part_of
    }

    /// Refuses a part of the components for `doing`, which takes all of them; `remedy` is what to call instead.
    pub(crate) fn check_whole(&self, doing: &'static str, remedy: &str) -> Result<()> {
        whole(doing, self.len(), self.part_of, remedy)
    }
}
