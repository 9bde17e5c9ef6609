//! One head's source tokens in contributions that come in chunks.

use super::{HeadTokens, TokenScores, TokenSpace, no_such_head};
use crate::decompose::{BlockPart, ChunkedContributions, Component};
use crate::facts::Facts;
use crate::identity::{Vectors, debug_as_display};
use crate::{Error, Result};
use candle_core::Tensor;
use std::fmt;

/// As [`HeadTokens`], of contributions that are read chunk by chunk: `Contributions::open(..)?.tokens("block 5 head 3")?`,
/// or in the space of a CLIP, `alignment.apply(&c)?.tokens("block 5 head 3")?`. Nothing but the head's layer is read.
#[derive(Clone)]
pub struct ChunkedHeadTokens {
    contributions: ChunkedContributions,
    component: Component,
    space: Option<TokenSpace>,
}

impl ChunkedHeadTokens {
    /// # Errors
    /// When `component` is no head.
    pub(in crate::decompose) fn new(
        contributions: ChunkedContributions,
        component: Component,
    ) -> Result<Self> {
        match component {
            Component::Part {
                part: BlockPart::Head(_),
                ..
            } => Ok(Self {
                contributions,
                component,
                space: None,
            }),
            _ => Err(no_such_head(component)),
        }
    }

    /// These tokens in another space, where directions are asked for from now on.
    pub(crate) fn in_space(self, space: TokenSpace) -> Self {
        Self {
            space: Some(space),
            ..self
        }
    }

    /// The head.
    pub fn component(&self) -> Component {
        self.component
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.contributions.images()
    }

    /// As [`HeadTokens::along`]; the answer, images x tokens x directions, is in memory.
    ///
    /// # Errors
    /// As [`HeadTokens::along`]; when a chunk cannot be read.
    pub fn along<E: Vectors + ?Sized>(&self, directions: &E) -> Result<TokenScores> {
        let mut parts: Vec<TokenScores> = Vec::with_capacity(self.contributions.chunks());
        self.contributions.each_read(
            |index| self.of_chunk(index),
            |_, tokens| {
                parts.push(tokens.along(directions)?);
                Ok(())
            },
        )?;
        let first = parts
            .first()
            .ok_or_else(|| Error::data("contributions", "there is no image"))?;
        let values: Vec<&Tensor> = parts.iter().map(TokenScores::values).collect();
        let all = first.with(
            self.component.to_string(),
            first.directions().to_vec(),
            Tensor::cat(&values, 0)?,
            first.layout().clone(),
        )?;
        let (model, _, input) = first.origin();
        let images = self.contributions.origin().map(|origin| &origin.images);
        let (model, images) = (model.cloned(), images.cloned());
        Ok(all.of(model, images, input))
    }

    /// The head's tokens of one chunk.
    fn of_chunk(&self, index: usize) -> Result<HeadTokens> {
        let source = &self.contributions.source;
        let tokens = source.read_tokens(index, self.component.block())?;
        let tokens = match self.contributions.origin() {
            Some(origin) => tokens.of_model(origin.model.clone()),
            None => tokens,
        };
        let head = tokens.head(self.component)?;
        Ok(match &self.space {
            Some(space) => head.in_space(space.clone()),
            None => head,
        })
    }
}

impl fmt::Display for ChunkedHeadTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Facts::new(format!(
            "source tokens of {}: {} images",
            self.component,
            self.images()
        ))
        .row("read from", self.contributions.place())
        .row("directions in", TokenSpace::words(self.space.as_ref()))
        .row(
            "ask",
            ".along(&texts)? gives how much each token gives along each text",
        );
        write!(f, "{shown}")
    }
}

debug_as_display!(ChunkedHeadTokens);
