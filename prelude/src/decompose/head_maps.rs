//! The channel maps of attention layers multiplied out, for models with patch merging.
//!
//! A head's pooled values are few numbers, and a step after patch merging takes them for a row of all channels: 16 heads of
//! Swin-B's third stage cost 16 rows of 2048 channels an image and layer, where each fills 128 of them. Multiplied out, a map
//! takes a head's own numbers straight to the target.

use super::channel_map::ChannelMap;
use super::plan::{Plan, Route};
use super::{DecomposeOptions, walk};
use crate::Result;
use crate::ops::batched_linear;
use crate::trace::{Node, NodeId};
use candle_core::Tensor;
use std::collections::HashMap;

/// Rows that merges above a layer may put side by side, at most: the maps of layers below several merges are larger than the
/// few rows of these layers are worth (100 MB in Swin-B, of four layers).
const MOST_ROWS: usize = 4;

/// The map of each attention layer below one patch merging, by its node: H x Kc/H x d, where merges put K rows of c channels
/// side by side.
#[derive(Debug)]
pub(super) struct HeadMaps(HashMap<NodeId, Tensor>);

/// An attention layer and its channel map.
struct Layer {
    node: NodeId,
    heads: usize,
    map: ChannelMap,
}

impl HeadMaps {
    /// Of the layers that `plan` comes to, by the weights in `nodes`; none where no layer is below one merging. `like` is a
    /// representation, B x d.
    pub fn new(
        plan: &Plan,
        nodes: &[Node],
        options: &DecomposeOptions,
        like: &Tensor,
    ) -> Result<Option<Self>> {
        let start = walk::start_map(nodes, plan, options, like.device())?;
        let mut layers = Vec::new();
        find(&plan.route, nodes, options, &start, &mut layers)?;
        layers.retain(|layer| (2..=MOST_ROWS).contains(&layer.map.merged()));
        if layers.is_empty() {
            return Ok(None);
        }
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
        Ok(Some(Self(maps.collect::<Result<_>>()?)))
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

/// The attention layers on `route`, and the maps from them to the target.
fn find(
    route: &Route,
    nodes: &[Node],
    options: &DecomposeOptions,
    map: &ChannelMap,
    found: &mut Vec<Layer>,
) -> Result<()> {
    match route {
        Route::Split { stream, branch } => {
            find(branch, nodes, options, map, found)?;
            find(stream, nodes, options, map, found)
        }
        Route::Through { node, below } => {
            let op = &nodes[*node].op;
            let map = walk::map_before(op, map, options.sharing)?;
            find(below, nodes, options, &map, found)
        }
        Route::Whole { .. } => Ok(()),
        Route::Heads { node, heads, .. } => {
            found.push(Layer {
                node: *node,
                heads: *heads,
                map: map.clone(),
            });
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::small_vit;
    use super::super::{DecomposeTarget, Decomposer, Granularity, IMAGES_BEFORE_MAPS, Sharing};
    use super::*;
    use crate::models::{ImageEncoder, Swin, SwinConfig};
    use candle_core::Device;

    /// The components of the first run of a decomposer, and of one after maps were multiplied out.
    fn before_and_after(
        model: &dyn ImageEncoder,
        options: DecomposeOptions,
    ) -> Result<[Tensor; 2]> {
        let size = model.image_size();
        let pixels = Tensor::randn(0f32, 1., (3, 3, size, size), &Device::Cpu)?;
        let decomposer = Decomposer::new(model, options)?;
        let first = decomposer.run(&pixels)?;
        assert!(decomposer.maps.get().is_none());
        let many = Tensor::zeros(
            (IMAGES_BEFORE_MAPS, 3, size, size),
            pixels.dtype(),
            &Device::Cpu,
        )?;
        decomposer.run(&many)?;
        let again = decomposer.run(&pixels)?;
        let wanted = options.granularity != Granularity::Layers && model.anatomy().heads.len() > 1;
        let made = decomposer.maps.get().is_some_and(Option::is_some);
        assert_eq!(made, wanted);
        Ok([first.values().clone(), again.values().clone()])
    }

    #[test]
    fn maps_multiplied_out_give_the_same_contributions() -> Result<()> {
        let config = SwinConfig {
            img_size: 32,
            patch_size: 2,
            embed_dim: 8,
            depths: vec![2, 1, 2],
            num_heads: vec![2, 4, 4],
            window_size: 4,
            num_classes: 5,
            ..SwinConfig::default()
        };
        let swin = Swin::random(&config, 3)?;
        let vit = small_vit()?;
        for sharing in [Sharing::Equal, Sharing::Own] {
            for granularity in [Granularity::Layers, Granularity::Heads, Granularity::Tokens] {
                for target in [DecomposeTarget::Representation, DecomposeTarget::Logit(3)] {
                    let options = DecomposeOptions {
                        granularity,
                        sharing,
                        target,
                        first_block: None,
                    };
                    let of: &dyn ImageEncoder = match target {
                        DecomposeTarget::Logit(_) => &swin,
                        _ if sharing == Sharing::Own => &vit,
                        _ => &swin,
                    };
                    let [a, b] = before_and_after(of, options)?;
                    let largest = a.abs()?.max_all()?.to_scalar::<f32>()?;
                    let apart = (a - b)?.abs()?.max_all()?.to_scalar::<f32>()?;
                    assert!(apart <= 1e-6 * largest, "{options:?}: {apart} of {largest}");
                }
            }
        }
        Ok(())
    }
}
