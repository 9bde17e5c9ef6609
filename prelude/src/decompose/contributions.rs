//! The result of a decomposition.

use super::channel_map::MapCopies;
use super::names::{index_of, names_in_words};
use super::origin::{Side, same_components};
use super::{Component, HeadTokens, Origin, TokenContributions};
use crate::data::ModelInput;
use crate::identity::ImagesId;
use crate::ops::moved;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};

/// Contributions of n components to the representations of B images: n x B x d.
///
/// Those of [`crate::session::decompose`] know what they were made of ([`Self::origin`]): the model and its weights, the
/// options, and the images by name. They belong together with an aligner, means or a probe of the same model and
/// options, whatever images those were made on. Put together by [`Self::new`] they have no origin, and only shapes and
/// the names of the components are checked.
#[derive(Clone)]
pub struct Contributions {
    pub(super) components: Vec<Component>,
    pub(super) values: Tensor,
    pub(super) representation: Tensor,
    pub(super) tokens: Option<TokenContributions>,
    pub(super) origin: Option<Origin>,
    /// Of how many components these are a part, where they are not all.
    pub(super) part_of: Option<usize>,
}

impl AsRef<Contributions> for Contributions {
    fn as_ref(&self) -> &Contributions {
        self
    }
}

impl Contributions {
    /// Put together `values` (n x B x d) of `components` (n) and what they sum to (B x d).
    ///
    /// # Errors
    /// When the shapes do not agree.
    pub fn new(
        components: Vec<Component>,
        values: Tensor,
        representation: Tensor,
        tokens: Option<TokenContributions>,
    ) -> Result<Self> {
        let (n, b, d) = match *values.dims() {
            [n, b, d] => (n, b, d),
            _ => {
                let expected = "a stack of components x images x width";
                return Err(Error::argument(
                    "values",
                    format!("{:?}", values.dims()),
                    expected,
                ));
            }
        };
        if n != components.len() || representation.dims() != [b, d] {
            return Err(Error::trace(format!(
                "{} components, values {:?}, representation {:?} do not go together",
                components.len(),
                values.dims(),
                representation.dims()
            )));
        }
        Ok(Self {
            components,
            values,
            representation,
            tokens,
            origin: None,
            part_of: None,
        })
    }

    /// This value, marked as being made of `origin`.
    ///
    /// # Errors
    /// When the origin names another number of images.
    pub fn with_origin(self, origin: Origin) -> Result<Self> {
        let (found, named) = (self.images(), origin.images.len());
        if found != named {
            let expected = format!("{named}, the images of {}", origin.images.set);
            return Err(Error::argument("images", found, expected));
        }
        let tokens = self.tokens.map(|t| t.of_model(origin.model.clone()));
        Ok(Self {
            origin: Some(origin),
            tokens,
            ..self
        })
    }

    /// These contributions with their source tokens.
    pub(super) fn with_tokens(self, tokens: TokenContributions) -> Self {
        let tokens = match &self.origin {
            Some(origin) => tokens.of_model(origin.model.clone()),
            None => tokens,
        };
        Self {
            tokens: Some(tokens),
            ..self
        }
    }

    /// These contributions without their source tokens.
    pub(super) fn without_tokens(&self) -> Self {
        Self {
            tokens: None,
            ..self.clone()
        }
    }

    /// This value on `device`.
    pub(crate) fn to_device(&self, device: &Device) -> Result<Self> {
        self.copied(&mut MapCopies::on(device))
    }

    /// This value, which is another batch than those before, on the device of `copies`.
    pub(crate) fn copied(&self, copies: &mut MapCopies) -> Result<Self> {
        copies.begin();
        let tokens = self.tokens.as_ref();
        let tokens = tokens.map(|tokens| tokens.copied(copies)).transpose()?;
        let device = copies.device();
        Ok(Self {
            values: moved(&self.values, device)?,
            representation: moved(&self.representation, device)?,
            tokens,
            ..self.clone()
        })
    }

    /// This value, marked as being a part of so many components, where they are not all.
    pub(crate) fn with_part_of(self, part_of: Option<usize>) -> Self {
        Self { part_of, ..self }
    }

    /// Join batches of the same decomposition along the images. Model, options and components must agree; the images may
    /// be those of several sets. The origin is known when that of every batch is.
    ///
    /// # Errors
    /// When there is no batch, or two are not of the same decomposition.
    pub fn concat(batches: &[Self]) -> Result<Self> {
        let first = batches
            .first()
            .ok_or_else(|| Error::data("contributions", "no batch to join"))?;
        let (_, _, width) = first.values.dims3()?;
        for batch in &batches[1..] {
            same_components(
                "joining contributions",
                Side {
                    part_of: None,
                    ..first.side()
                },
                Side {
                    part_of: None,
                    ..batch.side()
                },
                "join those of one decomposition",
            )?;
            let (_, _, other) = batch.values.dims3()?;
            if other != width {
                let expected = format!("{width} channels, as in the batch before it");
                return Err(Error::argument(
                    "batch",
                    format!("{other} channels"),
                    expected,
                ));
            }
            if batch.tokens.is_some() != first.tokens.is_some() {
                return Err(Error::argument(
                    "batch",
                    "some with source tokens, some without",
                    "decompose all of them with Granularity::Tokens, or none",
                ));
            }
        }
        Self::joined(batches.to_vec())
    }

    /// As [`Self::concat`], of one batch or several of one decomposer.
    pub(super) fn joined(batches: Vec<Self>) -> Result<Self> {
        let first = batches[0].without_tokens();
        let values: Vec<_> = batches.iter().map(|b| &b.values).collect();
        let representations: Vec<_> = batches.iter().map(|b| &b.representation).collect();
        let (values, representation) =
            (Tensor::cat(&values, 1)?, Tensor::cat(&representations, 0)?);
        let origins: Option<Vec<_>> = batches.iter().map(|b| b.origin.as_ref()).collect();
        let origin = origins.map(|origins| Origin {
            images: ImagesId::concat(origins.iter().map(|origin| &origin.images)),
            ..origins[0].clone()
        });
        let tokens: Option<Vec<_>> = batches.into_iter().map(|batch| batch.tokens).collect();
        Ok(Self {
            values,
            representation,
            tokens: tokens.map(TokenContributions::joined),
            origin,
            ..first
        })
    }

    /// The components, in order.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The names of the components, in order.
    pub fn names(&self) -> Vec<String> {
        self.components.iter().map(|c| c.to_string()).collect()
    }

    /// What they were made of; none where they were put together by hand.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The names of the images, in order; none where they are not known.
    pub fn image_names(&self) -> Option<&[String]> {
        Some(&self.origin.as_ref()?.images.names)
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.values.dims()[1]
    }

    /// n x B x d.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// What the contributions sum to, as the forward pass computed it: B x d.
    pub fn representation(&self) -> &Tensor {
        &self.representation
    }

    /// The heads' contributions split over source tokens, where asked for.
    pub fn token_contributions(&self) -> Option<&TokenContributions> {
        self.tokens.as_ref()
    }

    /// The source tokens of one head, `tokens("block 5 head 3")`, to be asked how much each gives along some directions
    /// ([`HeadTokens::along`]).
    ///
    /// # Errors
    /// When this was not decomposed with [`Granularity::Tokens`](super::Granularity::Tokens), or no head is called so.
    pub fn tokens(&self, head: &str) -> Result<HeadTokens> {
        self.head_tokens(self.components[index_of(&self.components, head)?])
    }

    /// As [`Self::tokens`].
    pub(super) fn head_tokens(&self, head: Component) -> Result<HeadTokens> {
        let tokens = self.tokens.as_ref().ok_or_else(no_tokens)?;
        let images = self.origin.as_ref().map(|origin| origin.images.clone());
        Ok(tokens.head(head)?.of_images(images))
    }

    /// This value, whose models' first tokens are `before` the patches.
    pub(super) fn after_tokens(self, before: Vec<String>) -> Self {
        Self {
            tokens: self.tokens.map(|tokens| tokens.after(before)),
            ..self
        }
    }

    /// This value, marked as being of pictures that were brought to size by `input`.
    pub(crate) fn seen_at(self, input: ModelInput) -> Self {
        Self {
            tokens: self.tokens.map(|tokens| tokens.seen_at(input)),
            ..self
        }
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.components.len()
    }

    /// Whether there is no component.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// The contribution of one component, B x d.
    ///
    /// # Errors
    /// When there is no such component in this decomposition.
    pub fn of(&self, component: Component) -> Result<Tensor> {
        let index = self.components.iter().position(|c| *c == component);
        let index = index.ok_or_else(|| {
            Error::argument(
                "component",
                component,
                format!(
                    "this decomposition has {}",
                    names_in_words(&self.components)
                ),
            )
        })?;
        Ok(self.values.get(index)?)
    }

    /// The contribution of one component by its name, `get("block 5 head 3")`: B x d.
    ///
    /// # Errors
    /// When no component is called so.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        Ok(self.values.get(index_of(&self.components, name)?)?)
    }

    /// How far the components are from summing to the representation: Frobenius norm of the difference over the
    /// norm of the representation.
    ///
    /// # Errors
    /// Of a part of the components ([`Self::select`]), which do not sum to it.
    pub fn sum_error(&self) -> Result<f64> {
        self.check_whole("the sum error", "ask that of the whole decomposition")?;
        let (apart, all) = self.squares()?;
        Ok(apart.sqrt() / all.sqrt().max(f64::MIN_POSITIVE))
    }

    /// The sums of squares of the components' sum less the representation, and of the representation.
    pub(super) fn squares(&self) -> Result<(f64, f64)> {
        let square = |x: &Tensor| x.sqr()?.sum_all()?.to_scalar::<f64>();
        let z = self.representation.to_dtype(DType::F64)?;
        let mut sum = z.zeros_like()?;
        for i in 0..self.len() {
            sum = (sum + self.values.get(i)?.to_dtype(DType::F64)?)?;
        }
        Ok((square(&(sum - &z)?)?, square(&z)?))
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let of = crate::facts::bytes;
        let tokens = self.tokens.as_ref().map_or(0, TokenContributions::bytes);
        of(&self.values) + of(&self.representation) + tokens
    }

    /// This value as one of two that are used together.
    pub(crate) fn side(&self) -> Side<'_> {
        Side {
            what: "the contributions",
            components: Some(&self.components),
            origin: self.origin.as_ref(),
            part_of: self.part_of,
        }
    }
}

/// The error where source tokens are asked for and were not kept.
pub(crate) fn no_tokens() -> Error {
    Error::argument(
        "tokens",
        "none",
        "contributions with source tokens: decompose(&model, &images, &DecomposeOptions { granularity: \
         Granularity::Tokens, ..DecomposeOptions::default() })?",
    )
}
