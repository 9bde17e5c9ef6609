//! Contributions in CLIP space that come in chunks of images.

use candle_core::Tensor;

use super::aligned::token_space;
use super::pool::Drawn;
use super::{AlignedContributions, Aligner};
use crate::Result;
use crate::data::WhichImages;
use crate::decompose::part::{same_origin, whole};
use crate::decompose::{
    ChunkedContributions, ChunkedHeadTokens, Component, ComponentNames, ContributionStack,
    Contributions, ImageChunks, Origin, TokenScores, index_of, matching, of_heads,
};
use crate::identity::{ModelId, TextEmbeddings, Vectors};

/// What an aligner maps to CLIP space: [`Contributions`] in memory at once, [`ChunkedContributions`] chunk by chunk.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no contributions",
    note = "give what decompose(..) or Contributions::open(..) answers"
)]
pub trait Alignable: ContributionStack {
    /// What they are in CLIP space.
    type Aligned;

    /// The values, for a fit.
    #[doc(hidden)]
    fn drawn(&self) -> Drawn<'_>;

    /// Mapped by `aligner`, which belongs to them, to the space of `clip`.
    #[doc(hidden)]
    fn mapped(&self, aligner: &Aligner, clip: Option<ModelId>) -> Result<Self::Aligned>;
}

impl Alignable for Contributions {
    type Aligned = AlignedContributions;

    fn drawn(&self) -> Drawn<'_> {
        Drawn::Whole(self.values())
    }

    fn mapped(&self, aligner: &Aligner, clip: Option<ModelId>) -> Result<AlignedContributions> {
        AlignedContributions::of(self, aligner.apply(self.values())?, aligner, clip)
    }
}

impl Alignable for ChunkedContributions {
    type Aligned = ChunkedAligned;

    fn drawn(&self) -> Drawn<'_> {
        Drawn::Chunked(self)
    }

    fn mapped(&self, aligner: &Aligner, clip: Option<ModelId>) -> Result<ChunkedAligned> {
        Ok(ChunkedAligned {
            contributions: self.clone(),
            aligner: aligner.clone(),
            clip,
            chosen: None,
        })
    }
}

macro_rules! by_reference {
    ($($pointer:ty),*) => {$(
        impl<C: Alignable + ?Sized> Alignable for $pointer {
            type Aligned = C::Aligned;

            fn drawn(&self) -> Drawn<'_> {
                (**self).drawn()
            }

            fn mapped(&self, aligner: &Aligner, clip: Option<ModelId>) -> Result<C::Aligned> {
                (**self).mapped(aligner, clip)
            }
        }
    )*};
}
by_reference!(&C, std::sync::Arc<C>);

/// Contributions in the image space of a CLIP, mapped chunk by chunk whenever they are gone through; nothing but a few
/// chunks is in memory. Scores, text spans and retrieval take them as they take [`AlignedContributions`].
#[derive(Clone)]
pub struct ChunkedAligned {
    contributions: ChunkedContributions,
    aligner: Aligner,
    clip: Option<ModelId>,
    /// The places of some components, where they are a part.
    chosen: Option<Vec<usize>>,
}

impl ChunkedAligned {
    /// The components, in order.
    pub fn components(&self) -> Vec<Component> {
        let all = self.contributions.components();
        match &self.chosen {
            Some(chosen) => chosen.iter().map(|&i| all[i]).collect(),
            None => all.to_vec(),
        }
    }

    /// The names of the components, in order.
    pub fn names(&self) -> Vec<String> {
        self.components().iter().map(Component::to_string).collect()
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.chosen
            .as_ref()
            .map_or(self.contributions.len(), Vec::len)
    }

    /// Whether there is no component.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.contributions.images()
    }

    /// What the contributions were made of; none where they were put together by hand.
    pub fn origin(&self) -> Option<&Origin> {
        self.contributions.origin()
    }

    /// The CLIP in whose image space they are, where that is known.
    pub fn clip(&self) -> Option<&ModelId> {
        self.clip.as_ref()
    }

    /// The contributions that are mapped.
    pub fn contributions(&self) -> &ChunkedContributions {
        &self.contributions
    }

    /// The components that `names` names, as [`AlignedContributions::select`].
    ///
    /// # Errors
    /// When a name or pattern fits no component, or a ranking is of another model's components.
    pub fn select(&self, names: impl ComponentNames) -> Result<Self> {
        let found = self.places(&names)?;
        let found: Vec<usize> = match &self.chosen {
            Some(chosen) => found.into_iter().map(|i| chosen[i]).collect(),
            None => found,
        };
        Ok(Self {
            chosen: (found.len() < self.contributions.len()).then_some(found),
            ..self.clone()
        })
    }

    /// The places of the components that `names` names among [`Self::components`].
    fn places(&self, names: &impl ComponentNames) -> Result<Vec<usize>> {
        same_origin(self.origin(), names)?;
        matching(&self.components(), names)
    }

    /// Some images, by their numbers, in memory.
    ///
    /// # Errors
    /// When there are none, one does not exist, or a chunk cannot be read.
    pub fn select_images(&self, images: impl WhichImages) -> Result<AlignedContributions> {
        let chosen = self.contributions.select_images(images)?;
        let aligned = chosen.mapped(&self.aligner, self.clip.clone())?;
        self.part(aligned)
    }

    /// One image, by its number, in memory.
    ///
    /// # Errors
    /// When there is no such image, or its chunk cannot be read.
    pub fn image(&self, number: usize) -> Result<AlignedContributions> {
        self.select_images(number)
    }

    /// The source tokens of one head in the space of the CLIP, as [`AlignedContributions::tokens`]; of the contributions
    /// the head's layer alone is read.
    ///
    /// # Errors
    /// When the contributions have no source tokens, or no head is called so.
    pub fn tokens(&self, head: &str) -> Result<ChunkedHeadTokens> {
        let components = self.components();
        self.head_tokens(components[index_of(&components, head)?])
    }

    fn head_tokens(&self, head: Component) -> Result<ChunkedHeadTokens> {
        let tokens = self.contributions.head_tokens(head)?;
        let all = self.contributions.components();
        let space = token_space(&self.aligner, all, head, self.clip.clone())?;
        Ok(tokens.in_space(space))
    }

    /// As [`AlignedContributions::tokens_along`]: each layer's source tokens are read once for all of its heads.
    ///
    /// # Errors
    /// When a name is no head's; as [`Self::tokens`] and [`ChunkedHeadTokens::along`].
    pub fn tokens_along<E: Vectors + ?Sized>(
        &self,
        heads: impl ComponentNames,
        directions: &E,
    ) -> Result<Vec<TokenScores>> {
        let places = self.places(&heads)?;
        let heads = of_heads(&self.components(), places, |head| self.head_tokens(head))?;
        ChunkedHeadTokens::along_each(&heads, directions)
    }

    /// All of them in memory.
    ///
    /// # Errors
    /// When a chunk cannot be read, or memory would not hold them.
    pub fn load(&self) -> Result<AlignedContributions> {
        let all = self
            .contributions
            .load()?
            .mapped(&self.aligner, self.clip.clone())?;
        self.part(all)
    }

    fn part(&self, aligned: AlignedContributions) -> Result<AlignedContributions> {
        match &self.chosen {
            Some(_) => aligned.select(self.names()),
            None => Ok(aligned),
        }
    }

    /// Refuses text embeddings or a model of another CLIP.
    pub(crate) fn check_clip(&self, doing: &'static str, what: &str, clip: &ModelId) -> Result<()> {
        super::aligned::check_clip(self.clip.as_ref(), doing, what, clip)
    }

    /// Refuses a part of the components for `doing`, which takes all of them; `remedy` is what to call instead.
    pub(crate) fn check_whole(&self, doing: &'static str, remedy: &str) -> Result<()> {
        let part_of = self.chosen.as_ref().map(|_| self.contributions.len());
        whole(
            doing,
            self.len(),
            part_of.or(self.contributions.part_of()),
            remedy,
        )
    }
}

impl ImageChunks for ChunkedAligned {
    fn extent(&self, name: &'static str) -> Result<(usize, usize, usize)> {
        let (_, images, width) = self.contributions.extent(name)?;
        let width = self.aligner.weights().map_or(width, |maps| maps.dims()[2]);
        Ok((self.len(), images, width))
    }

    fn each(&self, f: &mut dyn FnMut(usize, &Tensor) -> Result<()>) -> Result<()> {
        self.contributions
            .each_chunk(|start, chunk| match &self.chosen {
                Some(chosen) => f(start, &self.aligner.apply_some(chunk.values(), chosen)?),
                None => f(start, &self.aligner.apply(chunk.values())?),
            })
    }
}

/// Contributions in the image space of a CLIP, in memory or in chunks.
pub trait AlignedStack: ImageChunks {
    /// The names of the components, in order.
    fn component_names(&self) -> Vec<String>;

    /// The components, in order; refuses a part of them for `doing`, which takes all; `remedy` is what to call instead.
    #[doc(hidden)]
    fn whole(&self, doing: &'static str, remedy: &str) -> Result<Vec<Component>>;

    /// Refuses text embeddings or a model of another CLIP.
    #[doc(hidden)]
    fn check_space(&self, doing: &'static str, what: &str, clip: &ModelId) -> Result<()>;

    /// What the contributions were made of; none where they were put together by hand.
    fn made_of(&self) -> Option<&Origin>;

    /// Number of images.
    fn image_count(&self) -> usize;

    /// What the source tokens of each of `heads`, in the order of the model, give along texts.
    #[doc(hidden)]
    fn heads_along(
        &self,
        heads: impl ComponentNames,
        texts: &TextEmbeddings,
    ) -> Result<Vec<TokenScores>>;
}

macro_rules! by_own_methods {
    ($($name:ty),*) => {$(
        impl AlignedStack for $name {
            fn component_names(&self) -> Vec<String> {
                self.names()
            }

            fn whole(&self, doing: &'static str, remedy: &str) -> Result<Vec<Component>> {
                self.check_whole(doing, remedy)?;
                Ok(self.components().to_vec())
            }

            fn check_space(&self, doing: &'static str, what: &str, clip: &ModelId) -> Result<()> {
                self.check_clip(doing, what, clip)
            }

            fn made_of(&self) -> Option<&Origin> {
                self.origin()
            }

            fn image_count(&self) -> usize {
                self.images()
            }

            fn heads_along(
                &self,
                heads: impl ComponentNames,
                texts: &TextEmbeddings,
            ) -> Result<Vec<TokenScores>> {
                self.tokens_along(heads, texts)
            }
        }
    )*};
}
by_own_methods!(AlignedContributions, ChunkedAligned);

macro_rules! stack_by_reference {
    ($($pointer:ty),*) => {$(
        impl<A: AlignedStack + ?Sized> AlignedStack for $pointer {
            fn component_names(&self) -> Vec<String> {
                (**self).component_names()
            }

            fn whole(&self, doing: &'static str, remedy: &str) -> Result<Vec<Component>> {
                (**self).whole(doing, remedy)
            }

            fn check_space(&self, doing: &'static str, what: &str, clip: &ModelId) -> Result<()> {
                (**self).check_space(doing, what, clip)
            }

            fn made_of(&self) -> Option<&Origin> {
                (**self).made_of()
            }

            fn image_count(&self) -> usize {
                (**self).image_count()
            }

            fn heads_along(
                &self,
                heads: impl ComponentNames,
                texts: &TextEmbeddings,
            ) -> Result<Vec<TokenScores>> {
                (**self).heads_along(heads, texts)
            }
        }
    )*};
}
stack_by_reference!(&A, std::sync::Arc<A>);

impl ImageChunks for AlignedContributions {
    fn extent(&self, name: &'static str) -> Result<(usize, usize, usize)> {
        crate::check::stack(name, self.values())
    }

    fn each(&self, f: &mut dyn FnMut(usize, &Tensor) -> Result<()>) -> Result<()> {
        f(0, self.values())
    }
}
