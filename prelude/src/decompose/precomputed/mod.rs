//! What a decomposition multiplies out once for many batches: parts of channel maps, which no image changes.

mod constants;
mod heads;

pub(super) use constants::Added;
use constants::ConstantMaps;
use heads::HeadMaps;

use super::channel_map::ChannelMap;
use super::plan::{Plan, Route};
use super::{DecomposeOptions, walk};
use crate::Result;
use crate::trace::{Node, NodeId, Op};
use candle_core::Tensor;

/// The maps of heads and of constants multiplied out.
#[derive(Debug)]
pub(super) struct Precomputed {
    pub heads: HeadMaps,
    pub constants: ConstantMaps,
}

/// An attention layer and its channel map.
struct Layer {
    node: NodeId,
    heads: usize,
    map: ChannelMap,
}

/// An op that a walk passes on its way, and the channel map of its result.
struct Passed<'a> {
    node: NodeId,
    op: &'a Op,
    map: ChannelMap,
}

impl Precomputed {
    /// For walks by `plan`, by the weights in `nodes`. `like` is a representation, B x d.
    pub fn new(
        plan: &Plan,
        nodes: &[Node],
        options: &DecomposeOptions,
        like: &Tensor,
    ) -> Result<Self> {
        let mut found = Found {
            nodes,
            options,
            layers: Vec::new(),
            passed: Vec::new(),
        };
        let start = walk::start_map(nodes, plan, options, like.device())?;
        found.follow(&plan.route, &start)?;
        Ok(Self {
            heads: HeadMaps::new(found.layers, like)?,
            constants: ConstantMaps::new(&found.passed, like)?,
        })
    }
}

/// What is met on a route.
struct Found<'a> {
    nodes: &'a [Node],
    options: &'a DecomposeOptions,
    layers: Vec<Layer>,
    passed: Vec<Passed<'a>>,
}

impl Found<'_> {
    /// Goes down `route` with the map to the target.
    fn follow(&mut self, route: &Route, map: &ChannelMap) -> Result<()> {
        match route {
            Route::Split { stream, branch } => {
                self.follow(branch, map)?;
                self.follow(stream, map)
            }
            Route::Through { node, below } => {
                let map = self.pass(*node, map)?;
                self.follow(below, &map)
            }
            Route::Whole { constants, .. } => {
                let mut map = map.clone();
                for &node in constants {
                    map = self.pass(node, &map)?
                }
                Ok(())
            }
            Route::Heads { node, heads, .. } => {
                self.layers.push(Layer {
                    node: *node,
                    heads: *heads,
                    map: map.clone(),
                });
                Ok(())
            }
        }
    }

    /// The map behind an op, of which note is taken.
    fn pass(&mut self, node: NodeId, map: &ChannelMap) -> Result<ChannelMap> {
        let op = &self.nodes[node].op;
        self.passed.push(Passed {
            node,
            op,
            map: map.clone(),
        });
        walk::map_before(op, map, self.options.sharing)
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
        assert!(decomposer.precomputed.get().is_none());
        let many = Tensor::zeros(
            (IMAGES_BEFORE_MAPS, 3, size, size),
            pixels.dtype(),
            &Device::Cpu,
        )?;
        decomposer.run(&many)?;
        let again = decomposer.run(&pixels)?;
        let wanted = options.granularity != Granularity::Layers && model.anatomy().heads.len() > 1;
        let known = decomposer.precomputed.get().expect("images enough");
        assert_eq!(!known.heads.0.is_empty(), wanted);
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
