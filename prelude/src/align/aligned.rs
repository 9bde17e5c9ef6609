//! Contributions in CLIP space.

use candle_core::Tensor;

use crate::check;
use crate::decompose::{Component, Contributions, Origin, index_of};
use crate::identity::ModelId;
use crate::{Error, Result};

/// Contributions of n components in the image space of a CLIP, n x B x D.
///
/// [`Alignment::apply`](super::Alignment::apply) makes them; they carry what the contributions were made of and which
/// CLIP's space they are in. [`Self::score`] takes texts of that CLIP only. Put together by [`Self::new`] they have no
/// origin, and only shapes and the names of components are checked.
#[derive(Clone)]
pub struct AlignedContributions {
    pub(super) components: Vec<Component>,
    pub(super) values: Tensor,
    pub(super) origin: Option<Origin>,
    pub(super) clip: Option<ModelId>,
    /// Of how many components these are a part, where they are not all.
    pub(super) part_of: Option<usize>,
}

impl AlignedContributions {
    /// Put together `values` (n x B x D) of `components` (n) from elsewhere.
    ///
    /// # Errors
    /// When the shapes do not agree.
    pub fn new(components: Vec<Component>, values: Tensor) -> Result<Self> {
        let (n, _, _) = check::stack("aligned contributions", &values)?;
        check::same("components", components.len(), n, "components")?;
        Ok(Self {
            components,
            values,
            origin: None,
            clip: None,
            part_of: None,
        })
    }

    /// `values`, the image of `contributions` in the space of `clip`.
    pub(super) fn of(
        contributions: &Contributions,
        values: Tensor,
        clip: Option<ModelId>,
    ) -> Result<Self> {
        Ok(Self {
            origin: contributions.origin().cloned(),
            clip,
            ..Self::new(contributions.components().to_vec(), values)?
        })
    }

    /// The components, in order.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The names of the components, in order.
    pub fn names(&self) -> Vec<String> {
        self.components.iter().map(Component::to_string).collect()
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.components.len()
    }

    /// Whether there is no component.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.values.dims()[1]
    }

    /// n x B x D.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// One component by its name, `get("block 5 head 3")`: B x D.
    ///
    /// # Errors
    /// When no component is called so.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        Ok(self.values.get(index_of(&self.components, name)?)?)
    }

    /// The sum of these components, B x D: of all of them, the aligned representations.
    pub fn sum(&self) -> Result<Tensor> {
        Ok(self.values.sum(0)?)
    }

    /// What the contributions were made of; none where they were put together by hand.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The CLIP in whose image space they are, where that is known.
    pub fn clip(&self) -> Option<&ModelId> {
        self.clip.as_ref()
    }

    /// Refuses text embeddings or a model of another CLIP.
    pub(crate) fn check_clip(&self, doing: &'static str, what: &str, clip: &ModelId) -> Result<()> {
        check_clip(self.clip.as_ref(), doing, what, clip)
    }
}

/// Refuses text embeddings or a model of another CLIP than `own`, in whose space contributions are.
pub(super) fn check_clip(
    own: Option<&ModelId>,
    doing: &'static str,
    what: &str,
    clip: &ModelId,
) -> Result<()> {
    let Some(own) = own else {
        return Ok(());
    };
    match own.weights_differ(clip) {
        None => Ok(()),
        Some(reason) => Err(Error::Mismatch {
            doing,
            one: format!("contributions in the space of {own}"),
            other: format!("{what} of {clip}"),
            reason,
            remedy: format!("embed the texts with {own}, or align to {clip}"),
        }),
    }
}
