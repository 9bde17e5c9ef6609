//! Heads' contributions split over source tokens.
//!
//! Written out they would be n x T vectors an image; they are kept as the products they are (attention weight times
//! value vector, then one channel map a head), which costs no more than the values. [`HeadTokens::along`] asks how much
//! each token gives along some directions, which is the usual question, and [`HeadTokens::values`] writes them out.

mod assembly;
mod chunked;
mod factors;
mod head;
mod layer;
mod layout;
mod parts;
mod scores;
mod together;

pub use chunked::ChunkedHeadTokens;
pub(super) use factors::TokenFactors;
pub use head::HeadTokens;
pub(crate) use head::TokenSpace;
use layer::TokenLayer;
pub use layout::TokenLayout;
pub(crate) use parts::{LayerShape, LayerValues, TokenShape};
pub use scores::{TokenScores, TokenShares};
pub(crate) use together::{along_each, of_heads};

use super::channel_map::MapCopies;
use super::{BlockPart, Component};
use crate::data::ModelInput;
use crate::identity::ModelId;
use crate::trace::Block;
use crate::{Error, Result};

/// The heads' contributions split over source tokens, for B images. A head's share of the constants is spread
/// evenly, so that tokens sum to their head.
#[derive(Clone)]
pub struct TokenContributions {
    layers: Vec<TokenLayer>,
    /// Of the contributions written out.
    width: usize,
    /// In whose space they are, where that is known.
    model: Option<ModelId>,
    /// What the model's tokens before the patches are, in a model without stages.
    before: Vec<String>,
    /// How the images were brought to size, where that is known.
    input: Option<ModelInput>,
}

impl TokenContributions {
    pub(super) fn new(layers: Vec<TokenFactors>, width: usize) -> Self {
        let mut layers: Vec<TokenLayer> = layers.into_iter().map(TokenLayer::from).collect();
        layers.sort_by_key(TokenLayer::site);
        Self {
            layers,
            width,
            model: None,
            before: Vec::new(),
            input: None,
        }
    }

    /// This value, marked as being `model`'s.
    pub(super) fn of_model(self, model: ModelId) -> Self {
        Self {
            model: Some(model),
            ..self
        }
    }

    /// This value, whose first tokens are `before` the patches.
    pub(super) fn after(self, before: Vec<String>) -> Self {
        Self { before, ..self }
    }

    /// This value, marked as being of images that were brought to size by `input`.
    pub(super) fn seen_at(self, input: ModelInput) -> Self {
        Self {
            input: Some(input),
            ..self
        }
    }

    /// The source tokens of one head.
    ///
    /// # Errors
    /// When `component` is not a head of this decomposition.
    pub fn head(&self, component: Component) -> Result<HeadTokens> {
        let Component::Part {
            block,
            part: BlockPart::Head(head),
        } = component
        else {
            return Err(no_such_head(component));
        };
        let layer = self.layers.iter().find(|layer| layer.site().block == block);
        match layer {
            Some(layer) if head < layer.heads() => {
                let layout = TokenLayout::new(layer.tokens(), &self.before)?;
                let tokens = HeadTokens::new(component, layer.clone(), head, layout, self.width);
                Ok(tokens.of_model(self.model.clone(), self.input))
            }
            _ => Err(no_such_head(component)),
        }
    }

    /// The contributions of one head's source tokens written out, B x T x d, as [`HeadTokens::values`].
    ///
    /// # Errors
    /// When `component` is not a head of this decomposition.
    pub fn of(&self, component: Component) -> Result<candle_core::Tensor> {
        self.head(component)?.values()
    }

    /// The tokens of the layers that have one of `components` among their heads.
    pub(super) fn of_heads(&self, components: &[Component]) -> Self {
        let asked = |layer: &&TokenLayer| {
            let block = Some(layer.site().block);
            let mut heads = components.iter().filter(|c| c.is_head());
            heads.any(|head| head.block() == block)
        };
        Self {
            layers: self.layers.iter().filter(asked).cloned().collect(),
            ..self.clone()
        }
    }

    /// These on the device of `copies`.
    pub(super) fn copied(&self, copies: &mut MapCopies) -> Result<Self> {
        let layers = self.layers.iter().map(|layer| layer.copied(copies));
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            ..self.clone()
        })
    }

    /// The tokens of one layer.
    pub(super) fn of_layer(&self, block: Block) -> Self {
        let asked = |layer: &&TokenLayer| layer.site().block == block;
        Self {
            layers: self.layers.iter().filter(asked).cloned().collect(),
            ..self.clone()
        }
    }

    /// The part of the images at `chosen`.
    pub(crate) fn of_images(&self, chosen: &[usize]) -> Result<Self> {
        let layers = self.layers.iter().map(|layer| layer.of_images(chosen));
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            ..self.clone()
        })
    }

    /// The images of `parts` one after the other.
    pub(super) fn joined(parts: Vec<Self>) -> Self {
        let first = Self {
            layers: Vec::new(),
            ..parts[0].clone()
        };
        let mut left: Vec<_> = parts
            .into_iter()
            .map(|part| part.layers.into_iter())
            .collect();
        let next = || -> Option<Vec<_>> { left.iter_mut().map(Iterator::next).collect() };
        let layers = std::iter::from_fn(next).filter_map(TokenLayer::joined);
        Self {
            layers: layers.collect(),
            ..first
        }
    }

    /// What they are, in a line.
    pub(super) fn line(&self) -> String {
        let heads: usize = self.layers.iter().map(TokenLayer::heads).sum();
        let layers = crate::facts::count(self.layers.len(), "layer");
        let whose = self
            .model
            .as_ref()
            .map_or(String::new(), |model| format!(" of {model}"));
        format!(
            "of {heads} heads in {layers}{whose}, kept as products, {}",
            crate::facts::size(self.bytes())
        )
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.layers.iter().map(TokenLayer::bytes).sum()
    }
}

impl std::fmt::Display for TokenContributions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "contributions of source tokens {}", self.line())
    }
}

fn no_such_head(component: Component) -> Error {
    Error::argument(
        "component",
        component,
        "not a decomposed head; tokens are kept for heads of the decomposed blocks",
    )
}
