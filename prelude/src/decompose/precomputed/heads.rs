//! The channel maps of attention layers, for models with patch merging.
//!
//! A head's pooled values are few numbers, and a step after patch merging takes them for a row of all channels: 16 heads of
//! Swin-B's third stage cost 16 rows of 2048 channels an image and layer, where each fills 128 of them. Multiplied out, a map
//! takes a head's own numbers straight to the target.

use super::Layer;
use crate::Result;
use crate::decompose::ChannelMap;
use crate::ops::batched_linear;
use crate::trace::NodeId;
use candle_core::Tensor;
use std::collections::HashMap;

/// Rows that merges above a layer may put side by side, at most: the maps of layers below several merges are larger than the
/// few rows of these layers are worth (100 MB in Swin-B, of four layers).
const MOST_ROWS: usize = 4;

/// The map of each attention layer below one patch merging, by its node: H x Kc/H x d, where merges put K rows of c channels
/// side by side.
#[derive(Debug)]
pub struct HeadMaps(pub(super) HashMap<NodeId, Tensor>);

impl HeadMaps {
    /// Of those of `layers` that have one. `like` is a representation, B x d.
    pub(super) fn new(mut layers: Vec<Layer>, like: &Tensor) -> Result<Self> {
        layers.retain(|layer| (2..=MOST_ROWS).contains(&layer.map.merged()));
        let unit = Tensor::eye(like.dim(1)?, like.dtype(), like.device())?;
        let units = layers.iter().map(|layer| (unit.clone(), layer.map.clone()));
        let units: Vec<(Tensor, ChannelMap)> = units.collect();
        let pulled = ChannelMap::pull_back_all(&units)?;
        let maps = layers.iter().zip(pulled).map(|(layer, pulled)| {
            let (d, k, channels) = pulled.dims3()?;
            let width = channels / layer.heads;
            let apart = pulled.reshape((d, k, layer.heads, width))?;
            let apart = apart.permute((2, 1, 3, 0))?;
            Ok((layer.node, apart.reshape((layer.heads, k * width, d))?))
        });
        Ok(Self(maps.collect::<Result<_>>()?))
    }

    /// The heads' contributions of the layer `node`, HB x d, one head's after the other, from the values pooled, BK x c; none
    /// where the layer has no map here.
    pub fn apply(
        &self,
        node: NodeId,
        batch: usize,
        pooled: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let Some(map) = self.0.get(&node) else {
            return Ok(None);
        };
        let (heads, numbers, _) = map.dims3()?;
        let (rows, channels) = pooled.dims2()?;
        let by_head = pooled.reshape((batch, rows / batch, heads, channels / heads))?;
        let by_head = by_head.permute((2, 0, 1, 3))?;
        let by_head = by_head.reshape((heads, batch, numbers))?;
        Ok(Some(
            batched_linear(&by_head, &map.transpose(1, 2)?)?.flatten(0, 1)?,
        ))
    }
}
