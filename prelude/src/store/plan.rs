//! What is going to be in a store, and the store for it.

use super::bucket::Bucket;
use super::header::Header;
use super::{ContributionStore, StoreOptions};
use crate::Result;
use crate::data::ModelInput;
use crate::decompose::{
    Component, Contributions, Decomposer, Granularity, Origin, TokenContributions, TokenShape,
};
use candle_core::Tensor;

/// What contributions are going to be in a store.
#[derive(Clone)]
pub(crate) struct StorePlan {
    pub components: Vec<Component>,
    /// Of how many components these are a part, where they are not all.
    pub part_of: Option<usize>,
    pub origin: Option<Origin>,
    pub images: usize,
    /// Channels.
    pub width: usize,
    /// The shape of source tokens and the arrays of their channel maps, where they are kept.
    pub tokens: Option<(TokenShape, Vec<Tensor>)>,
    /// What listings call it, where it is kept by a session.
    pub label: Option<String>,
}

impl StorePlan {
    /// What `decomposer` makes of so many images, brought to size by `input`. The origin is added ([`Self::with`]): its list
    /// of the images' names is long.
    pub fn of(decomposer: &Decomposer<'_>, images: usize, input: ModelInput) -> Result<Self> {
        let blank = match decomposer.options().granularity {
            Granularity::Tokens => Some(decomposer.blank()?.seen_at(input)),
            _ => None,
        };
        let tokens = blank.as_ref().and_then(Contributions::token_contributions);
        Ok(Self {
            components: decomposer.components().to_vec(),
            part_of: None,
            images,
            origin: None,
            width: decomposer.width(),
            tokens: tokens.map(TokenContributions::shape).transpose()?,
            label: None,
        })
    }

    /// This plan, of contributions that are made of `origin`.
    pub fn with(self, origin: Origin) -> Self {
        Self {
            origin: Some(origin),
            ..self
        }
    }

    /// Numbers that the source tokens of one image have; 0 where they are not kept.
    pub fn token_numbers(&self) -> usize {
        self.tokens.as_ref().map_or(0, |(shape, _)| shape.numbers())
    }

    /// Bytes that one image has in memory.
    pub fn bytes_per_image(&self) -> usize {
        4 * ((self.components.len() + 1) * self.width + self.token_numbers())
    }

    /// The images of a chunk by `options`.
    pub fn images_of_chunk(&self, options: &StoreOptions) -> Result<usize> {
        let tokens = self.tokens.as_ref().map(|(shape, _)| shape.numbers());
        options.images_of_chunk(self.components.len() * self.width, tokens, self.images)
    }

    /// The store of this at `address`: the one that is there, if it is of the same contributions, or a new one.
    ///
    /// # Errors
    /// When something else is there, or the place cannot be written.
    pub fn join(self, address: &str, options: &StoreOptions) -> Result<ContributionStore> {
        let chunk = self.images_of_chunk(options)?;
        let (header, maps) = Header::new(self, chunk, options.dtype);
        ContributionStore::join(Bucket::at(address)?, header, &maps)
    }
}
