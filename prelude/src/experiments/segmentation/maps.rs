//! The maps of a batch, by each method.

use crate::activations::Objective;
use crate::align::Alignment;
use crate::decompose::part::rows;
use crate::decompose::{Component, Contributions, TokenScores};
use crate::identity::TextEmbeddings;
use crate::models::Model;
use crate::relevance::{RelevanceMethod, relevance};
use crate::score::{LinearHead, enlarge};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use std::sync::Arc;

/// How a map is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentationMethod {
    /// What source tokens give to the class's logit.
    Decomposition,
    /// What source tokens give along the class's text, in the space of a CLIP.
    DecompositionToText,
    /// A method to compare with.
    Relevance(RelevanceMethod),
}

impl SegmentationMethod {
    /// The decomposition and all methods to compare with, in the published order.
    pub fn all() -> Vec<Self> {
        let others = [
            RelevanceMethod::GradCam,
            RelevanceMethod::TransformerAttribution {
                start: 1,
                row_normalised: false,
            },
            RelevanceMethod::GenericAttention,
            RelevanceMethod::Rollout,
            RelevanceMethod::LastAttention,
            RelevanceMethod::AttentionGradCam,
        ];
        let others = others.into_iter().map(Self::Relevance);
        [Self::Decomposition, Self::DecompositionToText]
            .into_iter()
            .chain(others)
            .collect()
    }

    /// As a table or a legend says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decomposition => "decomposition",
            Self::DecompositionToText => "decomposition, text",
            Self::Relevance(RelevanceMethod::LastAttention) => "raw attention",
            Self::Relevance(method) => method.name(),
        }
    }
}

/// What maps of a batch are made from.
pub(super) struct Batch<'a> {
    pub model: &'a Model,
    pub head: &'a LinearHead,
    /// The decomposition, with source tokens, of the images from a number on, whose pixels are given.
    pub decompose: &'a dyn Fn(usize, &Tensor) -> Result<Contributions>,
    pub texts: Option<&'a (Arc<Alignment>, Arc<TextEmbeddings>)>,
    /// The number of the first image.
    pub start: usize,
    /// Normalised.
    pub pixels: &'a Tensor,
    /// The class of each image.
    pub classes: &'a [usize],
}

/// The heads, whose source tokens are kept.
fn heads(c: &Contributions) -> impl Iterator<Item = &Component> {
    c.components()
        .iter()
        .filter(|component| component.is_head())
}

impl Batch<'_> {
    /// The maps of each method, B x H x W of the model's input, f32 on the CPU: not scaled, the decomposition's cut off at 0.
    pub fn maps(&self, methods: &[SegmentationMethod]) -> Result<Vec<Tensor>> {
        let decomposed = methods
            .iter()
            .any(|m| !matches!(m, SegmentationMethod::Relevance(_)));
        let decomposed = match decomposed {
            true => Some((self.decompose)(self.start, self.pixels)?),
            false => None,
        };
        let one = |method: &SegmentationMethod| match (method, &decomposed) {
            (SegmentationMethod::Relevance(method), _) => {
                let objective = Objective::Head(self.head, self.classes);
                let maps = relevance(self.model.encoder(), self.pixels, objective, *method)?;
                self.enlarged(&maps)
            }
            (SegmentationMethod::Decomposition, Some(c)) => {
                let mut there = self.classes.to_vec();
                there.sort_unstable();
                there.dedup();
                let classes = rows(self.head.weight(), 0, &there)?;
                let own = |class: &usize| there.partition_point(|other| other < class);
                let own: Vec<usize> = self.classes.iter().map(own).collect();
                let heads: Vec<String> = heads(c).map(Component::to_string).collect();
                let along = c.tokens_along(&heads, &classes)?;
                Ok(self.summed(&own, along.into_iter().map(Ok))?.relu()?)
            }
            (SegmentationMethod::DecompositionToText, Some(c)) => {
                let (alignment, texts) = self.texts.ok_or_else(|| {
                    Error::argument(
                        "texts",
                        "none",
                        "an alignment and one text a class: SegmentationSettings::texts",
                    )
                })?;
                let along = |head: &Component| {
                    let head = head.to_string();
                    let directions = alignment.pull_back(&head, texts)?;
                    c.tokens(&head)?.along(&directions)
                };
                Ok(self.summed(self.classes, heads(c).map(along))?.relu()?)
            }
            (_, None) => Err(Error::trace("nothing was decomposed")),
        };
        methods.iter().map(one).collect()
    }

    /// What the source tokens of all heads give along one direction for each image, block by block enlarged, summed; `own`
    /// has the places of these directions.
    fn summed(
        &self,
        own: &[usize],
        heads: impl Iterator<Item = Result<TokenScores>>,
    ) -> Result<Tensor> {
        let mut sums: Vec<(usize, Tensor)> = Vec::new();
        for scores in heads {
            // B x directions x h x w, of which each image has one.
            let maps = scores?.maps()?;
            let own = own.iter().enumerate();
            let own = own.map(|(i, &place)| Ok(maps.get(i)?.get(place)?));
            let own = Tensor::stack(&own.collect::<Result<Vec<_>>>()?, 0)?;
            let side = own.dim(1)?;
            match sums.iter_mut().find(|(known, _)| *known == side) {
                Some((_, sum)) => *sum = (&*sum + own)?,
                None => sums.push((side, own)),
            }
        }
        let mut total: Option<Tensor> = None;
        for (_, maps) in sums {
            let maps = self.enlarged(&maps)?;
            total = Some(match total {
                Some(total) => (total + maps)?,
                None => maps,
            });
        }
        total.ok_or_else(|| {
            Error::argument(
                "first_block",
                "no head",
                "a block that leaves attention heads to be decomposed",
            )
        })
    }

    /// B x h x w to B x H x W.
    fn enlarged(&self, maps: &Tensor) -> Result<Tensor> {
        let size = self.model.encoder().image_size();
        let maps = maps.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
        let each = (0..maps.dim(0)?).map(|i| enlarge(&maps.get(i)?, size, size));
        Ok(Tensor::stack(&each.collect::<Result<Vec<_>>>()?, 0)?)
    }
}
