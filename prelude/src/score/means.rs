//! Means of components that know what they are means of, and ablation by them.

use super::{Ablation, LinearHead, StreamedAblation, ablate, component_means};
use crate::Result;
use crate::check;
use crate::decompose::{
    ChunkedContributions, Component, ComponentNames, Contributions, Origin, Side, same_components,
};
use candle_core::Tensor;
use std::ops::Deref;

/// The mean over the images of a reference set of each component, n x d: a tensor (`&means` is taken where a `&Tensor` is
/// wanted) that knows its components and the set.
///
/// Means belong to contributions of the same model, options and components; the images may differ, and commonly do: a
/// test set is ablated by the means of a training set.
#[derive(Clone)]
pub struct ComponentMeans {
    values: Tensor,
    components: Vec<Component>,
    origin: Option<Origin>,
}

impl ComponentMeans {
    /// Means from elsewhere, n x d, of `components` (n). Nothing is known of their origin, so shapes and the names of the
    /// components are checked.
    ///
    /// # Errors
    /// When the shapes do not agree.
    pub fn new(components: Vec<Component>, values: Tensor) -> Result<Self> {
        let (rows, _) = check::matrix("means", &values)?;
        check::same("components", components.len(), rows, "components")?;
        Ok(Self {
            values,
            components,
            origin: None,
        })
    }

    /// n x d.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// The components, in order.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// What they are means of; none where the contributions were put together by hand.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// This value as one of two that are used together.
    pub(crate) fn side(&self) -> Side<'_> {
        Side {
            what: "the means",
            components: Some(&self.components),
            origin: self.origin.as_ref(),
            part_of: None,
        }
    }
}

impl Deref for ComponentMeans {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.values
    }
}

impl Contributions {
    /// The mean over the images of each component, by which it can be switched off ([`component_means`]).
    ///
    /// # Errors
    /// When a value is NaN or infinite.
    pub fn means(&self) -> Result<ComponentMeans> {
        Ok(ComponentMeans {
            values: component_means(self.values())?,
            components: self.components().to_vec(),
            origin: self.origin().cloned(),
        })
    }

    /// The representations (B x d) with the components that `names` names replaced by their `means` ([`ablate`]):
    /// `ablate(&means, &["block 11 *", "block 5 head 3"])`, `ablate(&means, &scores.top(8)?)`.
    ///
    /// # Errors
    /// When the means are of another model, of other options or of other components, or a name or pattern fits none.
    pub fn ablate(&self, means: &ComponentMeans, names: impl ComponentNames) -> Result<Tensor> {
        check_means(self.side(), means)?;
        ablate(self.values(), means, &self.places(&names)?)
    }

    /// The logits of `head` taken apart, so that components can be switched off by their `means` ([`Ablation::new`]).
    ///
    /// # Errors
    /// When the means are of another model, of other options or of other components, or the head reads another model's
    /// representation; as [`Ablation::new`].
    pub fn ablation(&self, means: &ComponentMeans, head: &LinearHead) -> Result<Ablation> {
        check_means(self.side(), means)?;
        if let Some(origin) = self.origin() {
            head.check_reads("ablating components", "contributions", &origin.model)?;
        }
        Ablation::new(self.values(), means, head)
    }
}

impl ChunkedContributions {
    /// As [`Contributions::means`], in one pass over the images.
    ///
    /// # Errors
    /// When a value is NaN or infinite, or a chunk cannot be read.
    pub fn means(&self) -> Result<ComponentMeans> {
        Ok(ComponentMeans {
            values: component_means(self)?,
            components: self.components().to_vec(),
            origin: self.origin().cloned(),
        })
    }

    /// As [`Contributions::ablate`], in one pass over the images: B x d, in memory.
    ///
    /// # Errors
    /// As [`Contributions::ablate`]; when a chunk cannot be read.
    pub fn ablate(&self, means: &ComponentMeans, names: impl ComponentNames) -> Result<Tensor> {
        check_means(self.side(), means)?;
        ablate(self, means, &self.places(&names)?)
    }

    /// The logits of `head`, taken apart chunk by chunk whenever they are asked for: of each image only the predicted
    /// classes are kept.
    ///
    /// # Errors
    /// As [`Contributions::ablation`].
    pub fn ablation(
        &self,
        means: &ComponentMeans,
        head: &LinearHead,
    ) -> Result<StreamedAblation<Self>> {
        check_means(self.side(), means)?;
        if let Some(origin) = self.origin() {
            head.check_reads("ablating components", "contributions", &origin.model)?;
        }
        StreamedAblation::new(self.clone(), means, head)
    }
}

/// Refuses means that do not belong to contributions.
fn check_means(contributions: Side, means: &ComponentMeans) -> Result<()> {
    same_components(
        "ablating components",
        contributions,
        means.side(),
        "take the means of contributions of the same model and options: contributions.means()?",
    )
}
