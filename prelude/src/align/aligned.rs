//! Contributions in CLIP space.

use candle_core::Tensor;

use super::Aligner;
use crate::check;
use crate::decompose::{
    Component, ComponentNames, Contributions, HeadTokens, Origin, TokenContributions, TokenScores,
    TokenSpace, along_each, index_of, no_tokens, of_heads,
};
use crate::identity::{ModelId, Vectors};
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
    /// The source tokens, where the contributions had them.
    pub(super) tokens: Option<AlignedTokens>,
}

/// Source tokens of contributions, and the maps of all components.
#[derive(Clone)]
pub(super) struct AlignedTokens {
    tokens: TokenContributions,
    components: Vec<Component>,
    aligner: Aligner,
}

impl AlignedTokens {
    /// The part of the images at `chosen`.
    pub(super) fn of_images(&self, chosen: &[usize]) -> Result<Self> {
        Ok(Self {
            tokens: self.tokens.of_images(chosen)?,
            ..self.clone()
        })
    }
}

impl AsRef<AlignedContributions> for AlignedContributions {
    fn as_ref(&self) -> &AlignedContributions {
        self
    }
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
            tokens: None,
        })
    }

    /// `values`, what `aligner` makes of `contributions` in the space of `clip`.
    pub(super) fn of(
        contributions: &Contributions,
        values: Tensor,
        aligner: &Aligner,
        clip: Option<ModelId>,
    ) -> Result<Self> {
        let tokens = contributions.token_contributions();
        Ok(Self {
            tokens: tokens.map(|tokens| AlignedTokens {
                tokens: tokens.clone(),
                components: contributions.components().to_vec(),
                aligner: aligner.clone(),
            }),
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

    /// The source tokens of one head in the space of the CLIP, `tokens("block 5 head 3")`: `.along(&texts)?` has how much
    /// each gives along each text, and `.heatmap(&images)?` of that draws it.
    ///
    /// # Errors
    /// When the contributions were decomposed without [`Granularity::Tokens`](crate::decompose::Granularity::Tokens), or no
    /// head is called so.
    pub fn tokens(&self, head: &str) -> Result<HeadTokens> {
        self.head_tokens(self.components[index_of(&self.components, head)?])
    }

    fn head_tokens(&self, head: Component) -> Result<HeadTokens> {
        let kept = self.tokens.as_ref().ok_or_else(no_tokens)?;
        let space = token_space(&kept.aligner, &kept.components, head, self.clip.clone())?;
        let images = self.origin.as_ref().map(|origin| origin.images.clone());
        let tokens = kept.tokens.head(head)?;
        Ok(tokens.of_images(images).in_space(space))
    }

    /// How much each source token of several heads gives along `directions`, [`HeadTokens::along`] of each, in the order of
    /// the model: `tokens_along("block 5 head *", &texts)`. It takes less time than one head after the other.
    ///
    /// # Errors
    /// When a name is no head's; as [`Self::tokens`] and [`HeadTokens::along`].
    pub fn tokens_along<E: Vectors + ?Sized>(
        &self,
        heads: impl ComponentNames,
        directions: &E,
    ) -> Result<Vec<TokenScores>> {
        let places = self.places(&heads)?;
        let heads = of_heads(&self.components, places, |head| self.head_tokens(head))?;
        along_each(&heads, directions)
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

/// The space of `clip`, and the way there from that of `head`, one of the `components` that `aligner` maps.
pub(super) fn token_space(
    aligner: &Aligner,
    components: &[Component],
    head: Component,
    clip: Option<ModelId>,
) -> Result<TokenSpace> {
    let index = components.iter().position(|known| *known == head);
    let index = index.ok_or_else(|| Error::trace(format!("no map of {head}")))?;
    let weights = aligner.weights();
    Ok(TokenSpace {
        map: weights.map(|weights| weights.get(index)).transpose()?,
        clip,
    })
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
