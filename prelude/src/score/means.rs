//! Means of components that know what they are means of, and ablation by them.

use super::{Ablation, LinearHead, ablate, component_means};
use crate::Result;
use crate::check;
use crate::decompose::{Component, Contributions, Origin, Side, index_of, same_components};
use candle_core::Tensor;
use std::fmt;
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

    /// These as one of two values that are used together.
    pub(crate) fn side(&self) -> Side<'_> {
        Side {
            what: "the means",
            components: Some(&self.components),
            origin: self.origin.as_ref(),
        }
    }
}

impl Deref for ComponentMeans {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.values
    }
}

impl fmt::Display for ComponentMeans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "means of {} components", self.components.len())?;
        match &self.origin {
            Some(origin) => write!(f, " over {origin}"),
            None => Ok(()),
        }
    }
}

crate::identity::debug_as_display!(ComponentMeans);

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

    /// The representations (B x d) with the components called `names` replaced by their `means` ([`ablate`]).
    ///
    /// # Errors
    /// When the means are of another model, of other options or of other components, or a name is not there.
    pub fn ablate(&self, means: &ComponentMeans, names: &[impl AsRef<str>]) -> Result<Tensor> {
        self.check_means(means)?;
        let set = names
            .iter()
            .map(|name| index_of(self.components(), name.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        ablate(self.values(), means, &set)
    }

    /// The logits of `head` taken apart, so that components can be switched off by their `means` ([`Ablation::new`]).
    ///
    /// # Errors
    /// When the means are of another model, of other options or of other components, or the head reads another model's
    /// representation; as [`Ablation::new`].
    pub fn ablation(&self, means: &ComponentMeans, head: &LinearHead) -> Result<Ablation> {
        self.check_means(means)?;
        if let Some(origin) = self.origin() {
            head.check_reads("ablating components", "contributions", &origin.model)?;
        }
        Ablation::new(self.values(), means, head)
    }

    fn check_means(&self, means: &ComponentMeans) -> Result<()> {
        same_components(
            "ablating components",
            self.side(),
            means.side(),
            "take the means of contributions of the same model and options: contributions.means()?",
        )
    }
}
