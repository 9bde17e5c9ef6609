//! Heads' contributions split over source tokens.
//!
//! Written out they would be n x T vectors an image; they are kept as the products they are (attention weight times
//! value vector, then one channel map a head), which costs no more than the values, and written out on demand.

use super::channel_map::ChannelMap;
use super::part::rows;
use super::{BlockPart, Component, unrelated};
use crate::identity::{ModelId, Vectors};
use crate::trace::{Site, Windows};
use crate::{Error, Result, check};
use candle_core::{D, Tensor};
use std::sync::Arc;

/// One attention layer: a head's contribution from source token s is `(weight[s] v[s]) W`. B images of W windows of N
/// tokens each; without windows W is 1.
#[derive(Clone, Debug)]
pub(super) struct TokenFactors {
    site: Site,
    /// BW x H x K x N: the functional's K weights pulled through the attention probabilities.
    weights: Tensor,
    /// BW x H x N x C/H.
    v: Tensor,
    windows: Option<Arc<Windows>>,
    map: ChannelMap,
    /// Each head's share of the constants, B x d.
    share: Option<Tensor>,
}

impl TokenFactors {
    /// `weights`: the functional's for the batch of `b` images, b x K x R (or 1 x K x R); `probs` and `v` as
    /// [`crate::trace::Kept::Attention`] has them.
    pub fn new(
        site: Site,
        b: usize,
        weights: &Tensor,
        (probs, v): (&Tensor, Tensor),
        windows: Option<Arc<Windows>>,
        map: ChannelMap,
        share: Option<Tensor>,
    ) -> Result<Self> {
        let (groups, h, r, _) = probs.dims4()?;
        let (_, k, rows) = weights.dims3()?;
        let weights = weights.broadcast_as((b, k, rows))?;
        // One set of weights a group: BW x 1 x K x R.
        let weights = match &windows {
            Some(windows) => {
                let sorted = windows.sorted(&weights.contiguous()?, 2)?;
                let sorted = sorted.reshape((b, k, windows.count(), windows.size()))?;
                sorted.transpose(1, 2)?.reshape((groups, 1, k, r))?
            }
            None => weights.reshape((b, 1, k, rows))?,
        };
        let weights = match (r, k) {
            (1, 1) => probs.broadcast_mul(&weights)?,
            _ => {
                let weights = weights.broadcast_as((groups, h, k, r))?.contiguous()?;
                weights.matmul(&probs.contiguous()?)?
            }
        };
        let share = match share {
            Some(share) => Some(share.broadcast_as((b, share.dim(1)?))?.contiguous()?),
            None => None,
        };
        Ok(Self {
            site,
            weights,
            v,
            windows,
            map,
            share,
        })
    }

    fn heads(&self) -> Result<usize> {
        Ok(self.weights.dim(1)?)
    }

    /// B x S x d for one head.
    fn head(&self, head: usize) -> Result<Tensor> {
        let (groups, heads, _, n) = self.weights.dims4()?;
        let weights = self.weights.narrow(1, head, 1)?.squeeze(1)?;
        let v = self.v.narrow(1, head, 1)?.squeeze(1)?;
        // BW x N x K x C/H: the K rows of a token together.
        let weights = weights.transpose(1, 2)?.unsqueeze(D::Minus1)?;
        let mixed = v.unsqueeze(2)?.broadcast_mul(&weights)?;
        let values = self.map.apply_head(&mixed.flatten(0, 2)?, head, heads)?;
        let values = values.reshape((groups, n, ()))?;
        let values = match &self.windows {
            Some(windows) => windows.join(&values)?,
            None => values,
        };
        let s = values.dim(1)?;
        Ok(match &self.share {
            Some(share) => values.broadcast_add(&(share / s as f64)?.unsqueeze(1)?)?,
            None => values,
        })
    }
}

/// The heads' contributions split over source tokens, for B images. A head's share of the constants is spread
/// evenly, so that tokens sum to their head.
#[derive(Clone)]
pub struct TokenContributions {
    layers: Vec<TokenFactors>,
    /// In whose space they are, where that is known.
    model: Option<ModelId>,
}

impl TokenContributions {
    pub(super) fn new(mut layers: Vec<TokenFactors>) -> Self {
        layers.sort_by_key(|layer| layer.site);
        Self {
            layers,
            model: None,
        }
    }

    /// The same, known to be `model`'s.
    pub(super) fn of_model(self, model: ModelId) -> Self {
        Self {
            model: Some(model),
            ..self
        }
    }

    /// The contributions of one head's source tokens, B x T x d. Tokens stand as in the model: class token first,
    /// then registers, then patches row by row. In a hierarchical model T is that of the head's stage.
    ///
    /// # Errors
    /// When `component` is not a head of this decomposition.
    pub fn of(&self, component: Component) -> Result<Tensor> {
        let Component::Part {
            block,
            part: BlockPart::Head(head),
        } = component
        else {
            return Err(no_such_head(component));
        };
        let layer = self.layers.iter().find(|layer| layer.site.block == block);
        match layer {
            Some(layer) if head < layer.heads()? => layer.head(head),
            _ => Err(no_such_head(component)),
        }
    }

    /// How much one head's source tokens contribute along directions in the space of the model, `k x d`: B x T x k.
    ///
    /// # Errors
    /// As [`Self::of`]; when the directions hold NaN or infinity, have another width or are embeddings of another model: text directions are
    /// in CLIP's space, and [`Alignment::pull_back`](crate::align::Alignment::pull_back) brings them to a component's.
    pub fn along<E: Vectors + ?Sized>(
        &self,
        component: Component,
        directions: &E,
    ) -> Result<Tensor> {
        if let (Some(own), Some(other)) = (&self.model, directions.model())
            && let Some(reason) = own.weights_differ(other)
        {
            return Err(unrelated(
                "projecting source tokens",
                &format!("the tokens of {own}"),
                &format!("directions of {other}"),
                reason,
                "bring the directions to the component's space: alignment.pull_back(component, &texts)?",
            ));
        }
        self.along_directions(component, directions.vectors())
    }

    fn along_directions(&self, component: Component, directions: &Tensor) -> Result<Tensor> {
        let values = self.of(component)?;
        let (b, t, d) = values.dims3()?;
        if directions.dims().len() != 2 || directions.dims()[1] != d {
            return Err(Error::argument(
                "directions",
                format!("{:?}", directions.dims()),
                format!(
                    "k x {d}, the width of this model; bring text directions there by \
                     alignment.pull_back(component, &texts)?"
                ),
            ));
        }
        check::finite("directions", directions)?;
        let directions = directions
            .to_device(values.device())?
            .to_dtype(values.dtype())?;
        let scores = values.flatten(0, 1)?.matmul(&directions.t()?)?;
        Ok(scores.reshape((b, t, ()))?)
    }

    /// Those of the layers that have one of `components` among their heads.
    pub(super) fn of_heads(&self, components: &[Component]) -> Self {
        let asked = |layer: &&TokenFactors| {
            let block = Some(layer.site.block);
            components.iter().any(|c| {
                c.block() == block
                    && matches!(
                        c,
                        Component::Part {
                            part: BlockPart::Head(_),
                            ..
                        }
                    )
            })
        };
        Self {
            layers: self.layers.iter().filter(asked).cloned().collect(),
            model: self.model.clone(),
        }
    }

    /// Those of the images at `chosen`, out of `images`.
    pub(super) fn of_images(&self, chosen: &[usize], images: usize) -> Result<Self> {
        let layers = self.layers.iter().map(|layer| {
            let windows = layer.weights.dim(0)? / images.max(1);
            let groups: Vec<usize> = chosen
                .iter()
                .flat_map(|&i| i * windows..(i + 1) * windows)
                .collect();
            let share = layer.share.as_ref();
            Ok(TokenFactors {
                weights: rows(&layer.weights, 0, &groups)?,
                v: rows(&layer.v, 0, &groups)?,
                share: share.map(|share| rows(share, 0, chosen)).transpose()?,
                ..layer.clone()
            })
        });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            model: self.model.clone(),
        })
    }

    pub(super) fn concat(parts: &[&Self]) -> Result<Self> {
        let layers = (0..parts[0].layers.len())
            .map(|i| {
                let first = &parts[0].layers[i];
                let join = |f: &dyn Fn(&TokenFactors) -> Tensor| {
                    let all: Vec<_> = parts.iter().map(|p| f(&p.layers[i])).collect();
                    Tensor::cat(&all, 0)
                };
                let shares: Option<Vec<_>> =
                    parts.iter().map(|p| p.layers[i].share.as_ref()).collect();
                let share = shares.map(|all| Tensor::cat(&all, 0)).transpose()?;
                Ok(TokenFactors {
                    site: first.site,
                    weights: join(&|l| l.weights.clone())?,
                    v: join(&|l| l.v.clone())?,
                    windows: first.windows.clone(),
                    map: first.map.clone(),
                    share,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            layers,
            model: parts[0].model.clone(),
        })
    }

    /// What they are, in a line.
    pub(super) fn line(&self) -> String {
        let heads: usize = self
            .layers
            .iter()
            .map(|layer| layer.weights.dims()[1])
            .sum();
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

    pub(super) fn bytes(&self) -> usize {
        let of = |t: &Tensor| t.elem_count() * t.dtype().size_in_bytes();
        let layer = |l: &TokenFactors| of(&l.weights) + of(&l.v) + l.share.as_ref().map_or(0, of);
        self.layers.iter().map(layer).sum()
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
