//! Where in a model a residual branch stands.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A block, counted from the input.
///
/// The paper's code counts from the output (its `layer:00` is the last block); everything here counts from the
/// input, as timm does, so that `block 11` is the last of a ViT-B's twelve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Block {
    /// The stage of a hierarchical model (Swin, MaxViT); `None` in a plain ViT.
    pub stage: Option<usize>,
    /// The block within the stage or the model.
    pub index: usize,
}

impl Block {
    /// Block `index` of a model without stages.
    pub fn at(index: usize) -> Self {
        Self { stage: None, index }
    }

    /// Block `index` of stage `stage`.
    pub fn in_stage(stage: usize, index: usize) -> Self {
        Self {
            stage: Some(stage),
            index,
        }
    }
}

impl From<usize> for Block {
    fn from(index: usize) -> Self {
        Self::at(index)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stage) = self.stage {
            write!(f, "stage {stage} ")?
        }
        write!(f, "block {}", self.index)
    }
}

/// What kind of branch adds to the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Branch {
    /// Self-attention.
    Attention,
    /// The feed-forward network.
    Mlp,
}

/// One residual branch of a model: its contributions carry this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Site {
    pub block: Block,
    pub branch: Branch,
}

impl Site {
    /// The attention branch of `block`.
    pub fn attention(block: Block) -> Self {
        Self {
            block,
            branch: Branch::Attention,
        }
    }

    /// The feed-forward branch of `block`.
    pub fn mlp(block: Block) -> Self {
        Self {
            block,
            branch: Branch::Mlp,
        }
    }
}
