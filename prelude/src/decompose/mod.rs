//! RepDecompose (paper section 3, algorithm 1): write a representation as a sum of contributions, one a component.
//!
//! The walk goes from the representation z down the trace. At a node it holds a linear functional of the node's
//! value: a sum of (token weights) x (channel map), for everything between a branch's output and z is one (design
//! note 2). Residual sums pass it on to both sides; a linear op absorbs itself into it; a branch's output is
//! evaluated, and that is the branch's contribution. So nothing is pushed through the tail of the network, and the
//! cost over a plain forward pass is a few vector-matrix products.
//!
//! ```
//! use vitrepl_prelude::decompose::{Decomposer, Granularity, DecomposeOptions};
//! use vitrepl_prelude::models::vit::{Vit, VitConfig};
//!
//! let config = VitConfig { img_size: 32, patch_size: 8, embed_dim: 32, depth: 2, num_heads: 4, ..Default::default() };
//! let model = Vit::random(&config, 0)?;
//! let heads = Decomposer::new(&model, DecomposeOptions { granularity: Granularity::Heads, ..Default::default() })?;
//! let pixels = candle_core::Tensor::rand(0f32, 1., (3, 3, 32, 32), &candle_core::Device::Cpu)?;
//! let c = heads.run(&pixels)?;
//! assert_eq!(c.values().dims(), [1 + 2 * (4 + 1), 3, 32]); // init, and 4 heads and an MLP in each block
//! assert!(c.sum_error()? < 1e-5);
//! # Ok::<(), vitrepl_prelude::Error>(())
//! ```

mod assembly;
mod channel_map;
mod chunked;
mod chunks;
mod component;
mod contributions;
mod deferred;
pub(crate) mod export;
mod loaded;
mod microbatch;
mod names;
mod origin;
pub(crate) mod part;
mod plan;
mod precomputed;
pub(crate) mod show;
mod sources;
mod stack;
#[cfg(test)]
mod testing;
mod tokens;
mod walk;

pub(crate) use assembly::Assembly;
pub(crate) use channel_map::{ChannelMap, MapCopies};
pub(crate) use chunked::ChunkSource;
pub use chunked::ChunkedContributions;
pub use chunks::ImageChunks;
pub(crate) use chunks::each_block;
pub use component::{BlockPart, Component};
pub use contributions::Contributions;
pub(crate) use contributions::no_tokens;
pub use names::ComponentNames;
pub(crate) use names::{index_of, matching, mentions, names_in_words};
pub use origin::Origin;
pub(crate) use origin::{Side, same_components, same_images, unrelated};
pub use plan::Plan;
pub use stack::ContributionStack;
pub use tokens::{
    ChunkedHeadTokens, HeadTokens, TokenContributions, TokenLayout, TokenScores, TokenShares,
};
pub(crate) use tokens::{LayerShape, LayerValues, TokenShape, TokenSpace, along_each, of_heads};

use crate::models::ImageEncoder;
use crate::trace::{Block, Node, Tape};
use crate::{Error, Result};
use candle_core::{DType, Tensor};
use precomputed::Precomputed;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How finely a representation is taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Granularity {
    /// One component for each attention layer and each MLP.
    Layers,
    /// Attention layers split into heads.
    #[default]
    Heads,
    /// Heads, and each head's contribution split over its source tokens.
    Tokens,
}

/// Who gets the constants: a norm's `beta - gamma * mean * rstd` and the biases on the way to z.
///
/// "Constant" they are over components, not over images: a norm's mean and deviation are those of the image. So the
/// part that each component has of them by the rule [`Equal`](Self::Equal) varies from image to image, and **a head
/// whose output is exactly zero has a contribution that varies and a score that is not 0**: up to 0.10 of
/// [`variance_attributed`](crate::score::variance_attributed) and rank 38 of 43 in the embedded models
/// (`tests/frozen.rs`), and rank 19 of 43 has been seen. The share is small, less than a hundredth of the largest
/// covariance with the total, but a correlation does not see how small it is. By the rule [`Own`](Self::Own) such a
/// head contributes exactly 0 and scores exactly 0.
///
/// **Which one?** `Equal` is the default, because its numbers are those of the paper and of its published code, and
/// because for heads that do something the rules agree: in the embedded models the ranks of all components correlate to
/// 0.999 and no score moves by more than 0.01. The study of a spurious correlation
/// ([`experiments::spurious`](crate::experiments::spurious)) comes out alike, if anything better by `Equal`: the worst
/// group rises to 70.0 % by `Equal` and to 69.1 % by `Own` (`tiny_vit`), to 89.0 % and 88.9 % (`tiny_clip`, zero-shot).
/// Take `Own` where a zero must be a zero (pruned or switched-off heads,
/// the lower end of a ranking), and where contributions are compared between [`Granularity`] levels or values of
/// [`DecomposeOptions::first_block`]: the parts of `Equal` depend on how many components there are, those of `Own` do not. Its
/// price is one more component, `bias`, which is no part of the network that one could switch off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sharing {
    /// The paper's rule: equal parts to all components that arrive where the constant is added. They vary with the image.
    #[default]
    Equal,
    /// Each component is centred by its own mean; the biases form a component of their own. What is zero stays zero.
    Own,
}

/// What is written as a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DecomposeTarget {
    /// The representation z, B x d.
    #[default]
    Representation,
    /// One logit of the model's linear head, B x 1.
    Logit(usize),
}

/// What to decompose, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DecomposeOptions {
    pub granularity: Granularity,
    pub sharing: Sharing,
    pub target: DecomposeTarget,
    /// Blocks before this one are folded into `init`; none by default.
    pub first_block: Option<Block>,
}

/// Images after which parts of channel maps are multiplied out ([`precomputed`]). Swin-B's are some 25 billion products, and
/// decomposing an image takes some 0.7 billion less with them.
const IMAGES_BEFORE_MAPS: usize = 32;

/// A model, and the plan of its decomposition.
pub struct Decomposer<'m> {
    model: &'m dyn ImageEncoder,
    options: DecomposeOptions,
    plan: Plan,
    /// Channels of what is decomposed.
    width: usize,
    stop: Option<fn() -> bool>,
    /// Images decomposed so far.
    images: AtomicUsize,
    /// Once there were images enough.
    precomputed: OnceLock<Precomputed>,
    /// Bytes kept of an image's forward pass, once there was one.
    kept: OnceLock<usize>,
}

impl<'m> Decomposer<'m> {
    /// Trace `model` once on an empty image and plan the walk.
    ///
    /// # Errors
    /// When `first_block` is not a block of the model, or a logit is asked of a model without that logit.
    pub fn new(model: &'m dyn ImageEncoder, options: DecomposeOptions) -> Result<Self> {
        if let Some(first) = options.first_block {
            check_block(model, first)?
        }
        let size = model.image_size();
        let device = model.device();
        let blank = Tensor::zeros((1, 3, size, size), DType::F32, device)?;
        let tape = Tape::structure();
        let features = model.forward(&blank, &tape)?;
        let target = match options.target {
            DecomposeTarget::Representation => &features.representation,
            DecomposeTarget::Logit(k) => {
                let logits = features.logits.as_ref().ok_or_else(|| {
                    Error::argument("target", format!("logit {k}"), "this model has no linear head; fit a probe and project the contributions on it")
                })?;
                let classes = logits.value().dim(1)?;
                if k >= classes {
                    return Err(Error::argument(
                        "target",
                        format!("logit {k}"),
                        format!("the head has {classes} logits, 0 to {}", classes - 1),
                    ));
                }
                logits
            }
        };
        let target_width = match options.target {
            DecomposeTarget::Representation => target.value().dim(1)?,
            DecomposeTarget::Logit(_) => 1,
        };
        let plan = Plan::new(tape.take_nodes(), target.node(), &options)?;
        if let (DecomposeTarget::Logit(k), [Component::Init]) = (options.target, plan.components())
        {
            return Err(Error::argument(
                "target",
                format!("logit {k}"),
                "this model's head is not linear in its representation, so a logit is no sum over components; \
                 decompose the representation",
            ));
        }
        Ok(Self {
            model,
            options,
            plan,
            width: target_width,
            stop: None,
            images: AtomicUsize::new(0),
            precomputed: OnceLock::new(),
            kept: OnceLock::new(),
        })
    }

    /// This value, whose runs end with an error in the middle of a batch once `stop` is true.
    pub fn until(mut self, stop: fn() -> bool) -> Self {
        self.stop = Some(stop);
        self
    }

    /// The components, in the order of the contributions.
    pub fn components(&self) -> &[Component] {
        self.plan.components()
    }

    /// What is decomposed, and how.
    pub fn options(&self) -> &DecomposeOptions {
        &self.options
    }

    /// Channels of a contribution.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The decomposition of one image of zeros, which has the shape of any other.
    pub(crate) fn blank(&self) -> Result<Contributions> {
        let size = self.model.image_size();
        let pixels = Tensor::zeros((1, 3, size, size), DType::F32, self.model.device())?;
        self.run(&pixels)
    }

    /// Decompose a batch of normalised images, B x 3 x H x W: n x B x d. On the CPU it goes through the batch in
    /// microbatches ([`Self::run_in_microbatches`]), so that what it needs beside the result does not grow with the batch.
    ///
    /// # Errors
    /// When the pixels do not have the model's shape, are not f32 or not finite, or the run was stopped
    /// ([`Self::until`]).
    pub fn run(&self, pixels: &Tensor) -> Result<Contributions> {
        let mut parts = Vec::new();
        self.run_in_microbatches(pixels, |_, part| {
            parts.push(part);
            Ok(())
        })?;
        Contributions::joined(parts)
    }

    /// As [`Self::run`], all images together.
    fn microbatch(&self, pixels: &Tensor) -> Result<Contributions> {
        let tape = Tape::keeping(self.plan.keep());
        let tape = match self.stop {
            Some(stop) => tape.until(stop),
            None => tape,
        };
        let features = self.model.forward(pixels, &tape)?;
        let nodes = tape.take_nodes();
        self.kept.get_or_init(|| {
            let kept: usize = nodes.iter().map(|node| node.kept.bytes()).sum();
            kept / pixels.dims()[0].max(1)
        });
        let representation = match self.options.target {
            DecomposeTarget::Representation => features.representation.value().clone(),
            DecomposeTarget::Logit(k) => match &features.logits {
                Some(logits) => logits.value().narrow(1, k, 1)?,
                None => return Err(Error::trace("the model has no head any more")),
            },
        };
        drop(features);
        let known = self.precomputed(&nodes, &representation)?;
        let found = walk::evaluate(&self.plan, nodes, &self.options, known, representation)?;
        Ok(found.after_tokens(self.model.tokens_before()))
    }
}

impl Decomposer<'_> {
    /// Parts of channel maps multiplied out, once there were images enough.
    fn precomputed(&self, nodes: &[Node], representation: &Tensor) -> Result<Option<&Precomputed>> {
        if let Some(known) = self.precomputed.get() {
            return Ok(Some(known));
        }
        let batch = representation.dim(0)?;
        if self.images.fetch_add(batch, Ordering::Relaxed) + batch < IMAGES_BEFORE_MAPS {
            return Ok(None);
        }
        let made = Precomputed::new(&self.plan, nodes, &self.options, representation)?;
        Ok(Some(self.precomputed.get_or_init(|| made)))
    }
}

/// Pixels of another type would fail somewhere in the network, and whole numbers are not normalised.
fn check_pixels(pixels: &Tensor) -> Result<()> {
    if pixels.dtype() != DType::F32 {
        return Err(Error::argument(
            "pixels",
            format!("{:?}", pixels.dtype()),
            "F32, from 0 to 1 and then normalised: .to_dtype(DType::F32)?, and model.normalisation().apply(&pixels)?",
        ));
    }
    let total = pixels.sum_all()?.to_scalar::<f32>()?;
    match total.is_finite() {
        true => Ok(()),
        false => Err(Error::argument(
            "pixels",
            total,
            "finite values only; they hold NaN or infinity, so look at the images and at how they were normalised",
        )),
    }
}

fn check_block(model: &dyn ImageEncoder, first: Block) -> Result<()> {
    let blocks = model.blocks();
    if blocks
        .iter()
        .any(|block| *block == first || block.whole() == first)
    {
        return Ok(());
    }
    let known = match (blocks.first(), blocks.last()) {
        (Some(a), Some(b)) => format!("blocks of this model go from {a} to {b}"),
        _ => "this model has no blocks".into(),
    };
    Err(Error::argument("first_block", first, known))
}
