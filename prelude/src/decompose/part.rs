//! Parts of contributions: some components, some images, heads summed by layer.

use super::names::matching;
use super::{
    BlockPart, Component, ComponentNames, Contributions, Granularity, Origin, Sharing, index_of,
    same_components,
};
use crate::data::WhichImages;
use crate::trace::Block;
use crate::{Error, Result};
use candle_core::Tensor;

impl Contributions {
    /// The contribution of one head, `head(5, 3)` or `head((2, 14), 3)` in a model with stages: B x d.
    ///
    /// # Errors
    /// When there is no such head in this decomposition.
    pub fn head(&self, block: impl Into<Block>, head: usize) -> Result<Tensor> {
        let block = block.into();
        self.named(block, BlockPart::Head(head))
    }

    /// The contribution of one MLP, `mlp(5)` or `mlp((2, 14))` in a model with stages: B x d.
    ///
    /// # Errors
    /// When there is no such MLP in this decomposition.
    pub fn mlp(&self, block: impl Into<Block>) -> Result<Tensor> {
        self.named(block.into(), BlockPart::Mlp)
    }

    fn named(&self, block: Block, part: BlockPart) -> Result<Tensor> {
        self.get(&Component::Part { block, part }.to_string())
    }

    /// The components that `names` names, `select("block 5 *")` or `select(&["* mlp", "init"])`, in the order of the
    /// model. They know that they are a part: their sum is no representation, so that [`Self::sum_error`] and ablation
    /// refuse them.
    ///
    /// # Errors
    /// When a name or pattern fits no component, or a ranking is of another model's components.
    pub fn select(&self, names: impl ComponentNames) -> Result<Self> {
        let chosen = self.places(&names)?;
        let components: Vec<Component> = chosen.iter().map(|&i| self.components[i]).collect();
        let tokens = self.tokens.as_ref();
        Ok(Self {
            values: rows(&self.values, 0, &chosen)?,
            representation: self.representation.clone(),
            tokens: tokens.map(|tokens| tokens.of_heads(&components)),
            origin: self.origin.clone(),
            part_of: match components.len() == self.components.len() {
                true => self.part_of,
                false => Some(self.part_of.unwrap_or(self.components.len())),
            },
            components,
        })
    }

    /// The places of the components that `names` names.
    pub(crate) fn places(&self, names: &impl ComponentNames) -> Result<Vec<usize>> {
        same_origin(self.origin(), names)?;
        matching(&self.components, names)
    }

    /// One image, by its number: n x 1 x d. [`Self::image_names`] says which it is.
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
            components: self.components.clone(),
            values: rows(&self.values, 1, &chosen)?,
            representation: rows(&self.representation, 0, &chosen)?,
            tokens: tokens.map(|tokens| tokens.of_images(&chosen)).transpose()?,
            origin: self.origin.as_ref().map(|origin| origin.of_images(&chosen)),
            part_of: self.part_of,
        })
    }

    /// The heads of each layer summed into one component, `block 5 attn`; everything else as it is. Source tokens are not
    /// kept.
    ///
    /// By the rule [`Sharing::Own`] this is what a decomposition by [`Granularity::Layers`] gives. By
    /// [`Sharing::Equal`] it is not: there a layer has as many parts of the constants as it has heads, here and one there.
    ///
    /// # Errors
    /// Of a part of the components ([`Self::select`]), in which heads may be missing.
    pub fn by_layer(&self) -> Result<Self> {
        self.check_whole("summing heads by layer", "by_layer()?.select(..)?")?;
        let (components, groups) = layers(&self.components);
        let origin = self.origin.clone().map(|mut origin| {
            if origin.options.sharing == Sharing::Own {
                origin.options.granularity = Granularity::Layers;
            }
            origin
        });
        Ok(Self {
            components,
            values: summed(&self.values, &groups)?,
            representation: self.representation.clone(),
            tokens: None,
            origin,
            part_of: None,
        })
    }

    /// The decomposition by a coarser `granularity` that these hold: heads of tokens, layers of either.
    pub(crate) fn coarser(self, granularity: Granularity) -> Result<Self> {
        match granularity {
            Granularity::Layers => self.by_layer(),
            granularity => {
                let origin = self.origin.map(|mut origin| {
                    origin.options.granularity = granularity;
                    origin
                });
                Ok(Self {
                    tokens: None,
                    origin,
                    ..self
                })
            }
        }
    }

    /// The sum of these components, B x d: of all of them, the representation.
    pub fn sum(&self) -> Result<Tensor> {
        Ok(self.values.sum(0)?)
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

impl Origin {
    /// The part of the images at `chosen`.
    pub(crate) fn of_images(&self, chosen: &[usize]) -> Self {
        Self {
            images: self.images.at(chosen),
            ..self.clone()
        }
    }
}

/// Refuses `len` of `part_of` components for `doing`.
pub(crate) fn whole(
    doing: &'static str,
    len: usize,
    part_of: Option<usize>,
    remedy: &str,
) -> Result<()> {
    match part_of {
        None => Ok(()),
        Some(all) => Err(Error::argument(
            "components",
            format!("{len} of {all}"),
            format!("{doing} takes all {all} components of the decomposition: {remedy}"),
        )),
    }
}

/// Refuses names of components that are known to be another model's.
pub(crate) fn same_origin(own: Option<&Origin>, names: &impl ComponentNames) -> Result<()> {
    let side = |what, origin| super::Side {
        what,
        components: None,
        origin,
        part_of: None,
    };
    same_components(
        "choosing components",
        side("the contributions", own),
        side("the ranking", names.origin()),
        "rank the scores of these contributions, or give names",
    )
}

/// The components with the heads of each layer as one, and of which components each is the sum.
pub(crate) fn layers(components: &[Component]) -> (Vec<Component>, Vec<Vec<usize>>) {
    let (mut layers, mut groups): (Vec<Component>, Vec<Vec<usize>>) = (Vec::new(), Vec::new());
    for (i, component) in components.iter().enumerate() {
        let layer = component.layer();
        match layers.iter().position(|known| *known == layer) {
            Some(place) => groups[place].push(i),
            None => {
                layers.push(layer);
                groups.push(vec![i]);
            }
        }
    }
    (layers, groups)
}

/// Of n x B x d, the sum over each group of rows.
pub(crate) fn summed(values: &Tensor, groups: &[Vec<usize>]) -> Result<Tensor> {
    let sums = groups.iter().map(|group| match group[..] {
        [one] => Ok(values.get(one)?),
        _ => Ok(rows(values, 0, group)?.sum(0)?),
    });
    Ok(Tensor::stack(&sums.collect::<Result<Vec<_>>>()?, 0)?)
}

/// The entries of `t` at `chosen` along `axis`.
pub(crate) fn rows(t: &Tensor, axis: usize, chosen: &[usize]) -> Result<Tensor> {
    let first = chosen.first().copied().unwrap_or_default();
    // A run of neighbours is not copied.
    if chosen.iter().enumerate().all(|(k, &i)| i == first + k) {
        return Ok(t.narrow(axis, first, chosen.len())?);
    }
    let index: Vec<u32> = chosen.iter().map(|&i| i as u32).collect();
    let index = Tensor::new(index, t.device())?;
    Ok(t.contiguous()?.index_select(&index, axis)?)
}

/// The place of the component called `name` among those of a layer or a head, for types that keep values by component.
pub(crate) fn place(components: &[Component], block: Block, part: BlockPart) -> Result<usize> {
    index_of(components, &Component::Part { block, part }.to_string())
}
