//! The names of components.

use crate::trace::{Block, Branch, Site};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A component of a representation. Blocks count from the input; the paper's `layer:00` is the last one here.
///
/// Ordered as the computation is: `init`, then block by block, convolution, attention, MLP; `bias` last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Component {
    /// Everything before the first decomposed block.
    Init,
    /// A part of a block.
    Part { block: Block, part: BlockPart },
    /// All biases on the way to the representation (rule `own` only).
    Bias,
}

/// A part of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BlockPart {
    /// The convolution.
    Conv,
    /// All heads together.
    Attention,
    /// One head.
    Head(usize),
    /// The feed-forward network.
    Mlp,
}

impl Component {
    /// A whole branch as a component.
    pub fn of(site: Site) -> Self {
        Self::Part {
            block: site.block,
            part: match site.branch {
                Branch::Conv => BlockPart::Conv,
                Branch::Attention => BlockPart::Attention,
                Branch::Mlp => BlockPart::Mlp,
            },
        }
    }

    /// One head of a branch.
    pub fn head(site: Site, head: usize) -> Self {
        Self::Part {
            block: site.block,
            part: BlockPart::Head(head),
        }
    }

    /// Whether this is an attention head.
    pub fn is_head(&self) -> bool {
        matches!(
            self,
            Self::Part {
                part: BlockPart::Head(_),
                ..
            }
        )
    }

    /// The layer this component is of: a head's attention; anything else is its own.
    pub fn layer(&self) -> Self {
        match *self {
            Self::Part {
                block,
                part: BlockPart::Head(_),
            } => Self::Part {
                block,
                part: BlockPart::Attention,
            },
            other => other,
        }
    }

    /// The block this component belongs to.
    pub fn block(&self) -> Option<Block> {
        match self {
            Self::Part { block, .. } => Some(*block),
            _ => None,
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init => write!(f, "init"),
            Self::Bias => write!(f, "bias"),
            Self::Part { block, part } => match part {
                BlockPart::Conv => write!(f, "{block} conv"),
                BlockPart::Attention => write!(f, "{block} attn"),
                BlockPart::Head(h) => write!(f, "{block} head {h}"),
                BlockPart::Mlp => write!(f, "{block} mlp"),
            },
        }
    }
}
