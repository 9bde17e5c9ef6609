//! One attention layer's source tokens, as the products they are.

use crate::Result;
use crate::decompose::channel_map::{ChannelMap, MapCopies};
use crate::decompose::part::rows;
use crate::ops::{Slots, moved, slot_sums, weighted_products, window_sums};
use crate::trace::{Site, Windows};
use candle_core::{D, Tensor};
use std::sync::Arc;

/// One attention layer: a head's contribution from source token s is `(weight[s] v[s]) W`. B images of W windows of N
/// tokens each; without windows W is 1.
#[derive(Clone, Debug)]
pub(in crate::decompose) struct TokenFactors {
    pub(super) site: Site,
    /// BW x H x K x N: the functional's K weights pulled through the attention probabilities.
    pub(super) weights: Tensor,
    /// BW x H x N x C/H.
    pub(super) v: Tensor,
    pub(super) windows: Option<Arc<Windows>>,
    pub(in crate::decompose) map: ChannelMap,
    /// Each head's share of the constants, B x d.
    pub(super) share: Option<Tensor>,
}

impl TokenFactors {
    /// `weights`: the functional's for the batch of `b` images, b x R (or 1 x R), and the slot of each token; `probs` and
    /// `v` as [`crate::trace::Kept::Attention`] has them.
    pub fn new(
        site: Site,
        b: usize,
        (weights, slots): (&Tensor, &Slots),
        (probs, v): (&Tensor, Tensor),
        windows: Option<Arc<Windows>>,
        map: ChannelMap,
    ) -> Result<Self> {
        let (groups, _, r, _) = probs.dims4()?;
        let (probs, v) = (
            &probs.to_dtype(weights.dtype())?,
            v.to_dtype(weights.dtype())?,
        );
        let weights = weights.broadcast_as((b, weights.dim(1)?))?;
        let weights = match &windows {
            Some(windows) => windows.sorted(&weights.contiguous()?, 1)?,
            None => weights,
        };
        let weights = weights.reshape((groups, r))?;
        let weights = match &windows {
            Some(windows) => slot_sums(probs, &weights, &windows.slots(slots)?)?,
            None => slot_sums(probs, &weights, slots)?,
        };
        Ok(Self {
            site,
            weights,
            v,
            windows,
            map,
            share: None,
        })
    }

    /// The sums over all source tokens, the heads side by side: BK x C.
    pub fn pooled(&self) -> Result<Tensor> {
        let windows = self.windows.as_ref().map_or(1, |windows| windows.count());
        let sums = window_sums(&self.v, &self.weights, windows)?;
        Ok(sums.transpose(1, 2)?.flatten(2, 3)?.flatten(0, 1)?)
    }

    /// These of so many images, whose heads each have `share` of the constants, B x d or 1 x d.
    pub fn with_share(self, images: usize, share: Option<Tensor>) -> Result<Self> {
        let share = match share {
            Some(share) => Some(share.broadcast_as((images, share.dim(1)?))?.contiguous()?),
            None => None,
        };
        Ok(Self { share, ..self })
    }

    /// These on the device of `copies`, the channel map with them.
    pub fn copied(&self, copies: &mut MapCopies) -> Result<Self> {
        let device = &copies.device().clone();
        if self.v.device().same_device(device) {
            return Ok(self.clone());
        }
        let to = |t: &Tensor| moved(t, device);
        let windows = self.windows.as_ref();
        let windows = windows.map(|windows| Windows::of(windows.division(), device));
        Ok(Self {
            site: self.site,
            weights: to(&self.weights)?,
            v: to(&self.v)?,
            windows: windows.transpose()?.map(Arc::new),
            map: copies.map(&self.map)?,
            share: self.share.as_ref().map(to).transpose()?,
        })
    }

    pub fn heads(&self) -> usize {
        self.weights.dims()[1]
    }

    /// Number of images, B.
    pub fn images(&self) -> usize {
        self.weights.dims()[0] / self.windows.as_ref().map_or(1, |windows| windows.count())
    }

    /// Number of source tokens of an image.
    pub fn tokens(&self) -> usize {
        self.weights.dims()[3] * self.windows.as_ref().map_or(1, |windows| windows.count())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let of = crate::facts::bytes;
        of(&self.weights) + of(&self.v) + self.share.as_ref().map_or(0, of)
    }

    /// `directions` where the factors are, and of their type.
    pub fn beside(&self, directions: &Tensor) -> Result<Tensor> {
        let directions = directions.to_device(self.v.device())?;
        Ok(directions.to_dtype(self.v.dtype())?)
    }

    /// What each token has of the constants along `directions`, k x d: B x k, the same for all heads of the layer.
    pub fn constants(&self, directions: &Tensor) -> Result<Option<Tensor>> {
        let Some(share) = &self.share else {
            return Ok(None);
        };
        let share = share.matmul(&directions.t()?.contiguous()?)?;
        Ok(Some((share / self.tokens() as f64)?))
    }

    /// How much each source token of one head gives along k directions: B x S x k. `pulled` are the directions as
    /// [`ChannelMap::pull_back_all`] brings them to the channels of the layer's value vectors, so that B x S x d is never
    /// written out; `constants` are as [`Self::constants`] has them.
    pub fn along(
        &self,
        head: usize,
        pulled: &Tensor,
        constants: Option<&Tensor>,
    ) -> Result<Tensor> {
        let values = weighted_products(&self.v, &self.weights, pulled, head, constants)?;
        match &self.windows {
            Some(windows) => Ok(windows.join(&values)?),
            None => Ok(values),
        }
    }

    /// What the tokens of each window have (BW x N x k) put where the tokens lie in the image: B x S x k.
    pub fn in_place(&self, x: &Tensor) -> Result<Tensor> {
        match &self.windows {
            Some(windows) => Ok(windows.join(x)?),
            None => Ok(x.clone()),
        }
    }

    /// B x S x d for one head.
    pub fn head(&self, head: usize) -> Result<Tensor> {
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

    /// The part of the images at `chosen`.
    pub fn of_images(&self, chosen: &[usize]) -> Result<Self> {
        let windows = self.windows.as_ref().map_or(1, |windows| windows.count());
        let groups: Vec<usize> = chosen
            .iter()
            .flat_map(|&i| i * windows..(i + 1) * windows)
            .collect();
        let share = self.share.as_ref();
        Ok(Self {
            weights: rows(&self.weights, 0, &groups)?,
            v: rows(&self.v, 0, &groups)?,
            share: share.map(|share| rows(share, 0, chosen)).transpose()?,
            ..self.clone()
        })
    }

    /// The images of `parts`, of the same layer, one after the other.
    pub fn concat(parts: &[&Self]) -> Result<Self> {
        let join = |f: &dyn Fn(&Self) -> Tensor| {
            let all: Vec<_> = parts.iter().map(|part| f(part)).collect();
            Tensor::cat(&all, 0)
        };
        let shares: Option<Vec<_>> = parts.iter().map(|part| part.share.as_ref()).collect();
        Ok(Self {
            weights: join(&|part| part.weights.clone())?,
            v: join(&|part| part.v.clone())?,
            share: shares.map(|all| Tensor::cat(&all, 0)).transpose()?,
            ..parts[0].clone()
        })
    }
}
