//! One head's source tokens in contributions that come in chunks.

use super::{HeadTokens, TokenContributions, TokenScores, TokenSpace, along_each, no_such_head};
use crate::decompose::{ChunkedContributions, Component};
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
        match component.is_head() {
            true => Ok(Self {
                contributions,
                component,
                space: None,
            }),
            false => Err(no_such_head(component)),
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
        let mut scores = Self::along_each(std::slice::from_ref(self), directions)?;
        Ok(scores.remove(0))
    }

    /// [`Self::along`] for each of `heads`, of the same contributions, those of a layer next to each other: a layer is read
    /// once for all of its heads.
    pub(crate) fn along_each<E: Vectors + ?Sized>(
        heads: &[Self],
        directions: &E,
    ) -> Result<Vec<TokenScores>> {
        let mut all = Vec::with_capacity(heads.len());
        for layer in heads.chunk_by(|a, b| a.component.block() == b.component.block()) {
            all.extend(Self::of_layer(layer, directions)?);
        }
        Ok(all)
    }

    /// [`Self::along_each`] for `heads` of one layer.
    fn of_layer<E: Vectors + ?Sized>(heads: &[Self], directions: &E) -> Result<Vec<TokenScores>> {
        let contributions = &heads[0].contributions;
        let mut parts: Vec<Vec<TokenScores>> = vec![Vec::new(); heads.len()];
        contributions.each_read(
            |index| {
                contributions
                    .source
                    .read_tokens(index, heads[0].component.block())
            },
            |_, tokens| {
                let chunk = heads.iter().map(|head| head.of_chunk(&tokens));
                let scores = along_each(&chunk.collect::<Result<Vec<_>>>()?, directions)?;
                parts
                    .iter_mut()
                    .zip(scores)
                    .for_each(|(all, one)| all.push(one));
                Ok(())
            },
        )?;
        heads
            .iter()
            .zip(&parts)
            .map(|(head, parts)| head.joined(parts))
            .collect()
    }

    /// The scores of all chunks as one value.
    fn joined(&self, parts: &[TokenScores]) -> Result<TokenScores> {
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

    /// The head's among the `tokens` of a chunk.
    fn of_chunk(&self, tokens: &TokenContributions) -> Result<HeadTokens> {
        let head = tokens.head(self.component)?;
        let input = head.input();
        let head = match self.contributions.origin() {
            Some(origin) => head.of_model(Some(origin.model.clone()), input),
            None => head,
        };
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
