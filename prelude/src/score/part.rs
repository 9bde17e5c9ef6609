//! Parts of scores: some components, heads summed by layer.

use super::{ScoreMeasure, Scores};
use crate::decompose::part::{layers, place, same_origin};
use crate::decompose::{BlockPart, ComponentNames, matching};
use crate::trace::Block;
use crate::{Error, Result};

impl Scores {
    /// The score of one head, `head(5, 3)` or `head((2, 14), 3)` in a model with stages.
    ///
    /// # Errors
    /// When there is no such head among the components.
    pub fn head(&self, block: impl Into<Block>, head: usize) -> Result<f64> {
        Ok(self.values[place(&self.components, block.into(), BlockPart::Head(head))?])
    }

    /// The score of one MLP, `mlp(5)` or `mlp((2, 14))` in a model with stages.
    ///
    /// # Errors
    /// When there is no such MLP among the components.
    pub fn mlp(&self, block: impl Into<Block>) -> Result<f64> {
        Ok(self.values[place(&self.components, block.into(), BlockPart::Mlp)?])
    }

    /// The scores of the components that `names` names, `select("* mlp")`, in the order of the model. Ranked, they keep
    /// their places in the stack that was scored.
    ///
    /// # Errors
    /// When a name or pattern fits no component, or a ranking is of another model's components.
    pub fn select(&self, names: impl ComponentNames) -> Result<Self> {
        same_origin(self.origin(), &names)?;
        let chosen = matching(&self.components, &names)?;
        let place = |i: usize| self.places.as_ref().map_or(i, |places| places[i]);
        Ok(Self {
            components: chosen.iter().map(|&i| self.components[i]).collect(),
            values: chosen.iter().map(|&i| self.values[i]).collect(),
            places: Some(chosen.iter().map(|&i| place(i)).collect()),
            ..self.clone()
        })
    }

    /// The score of each layer, its heads together, where that is the sum of their scores: for
    /// [`ScoreMeasure::CovarianceAttributed`], which is linear in a component.
    ///
    /// # Errors
    /// For the other measures, which are not: `aligned.by_layer()?.score(&texts)?` scores the sums. Of a part of the
    /// components, in which heads may be missing.
    pub fn by_layer(&self) -> Result<Self> {
        if self.measure != ScoreMeasure::CovarianceAttributed {
            return Err(Error::argument(
                "measure",
                self.measure.name(),
                "not linear, so a layer's score is no sum over its heads; score the layers: aligned.by_layer()?.score(&texts)?",
            ));
        }
        if self.places.is_some() {
            return Err(Error::argument(
                "components",
                self.len(),
                "a part, in which heads of a layer may be missing: scores.by_layer()?.select(..)?",
            ));
        }
        let (components, groups) = layers(&self.components);
        let sum = |group: &Vec<usize>| group.iter().map(|&i| self.values[i]).sum();
        Ok(Self {
            components,
            values: groups.iter().map(sum).collect(),
            ..self.clone()
        })
    }
}
