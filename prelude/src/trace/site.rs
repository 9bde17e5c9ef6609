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
    /// Which of a MaxViT block's two transformers, each with an attention and an MLP; `None` elsewhere, and for the
    /// block as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
}

/// How a MaxViT block's transformer groups the tokens that see each other ("MaxViT", Tu et al. 2022, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partition {
    /// Neighbours: timm's `attn_block`.
    Window,
    /// Tokens at equal distances over the whole image: timm's `attn_grid`.
    Grid,
}

impl Block {
    /// Block `index` of a model without stages.
    pub fn at(index: usize) -> Self {
        Self {
            stage: None,
            index,
            partition: None,
        }
    }

    /// Block `index` of stage `stage`.
    pub fn in_stage(stage: usize, index: usize) -> Self {
        Self {
            stage: Some(stage),
            index,
            partition: None,
        }
    }

    /// The window or grid transformer of this block.
    pub fn part(self, partition: Partition) -> Self {
        Self {
            partition: Some(partition),
            ..self
        }
    }

    /// The block as a whole, without regard to its partitions.
    pub fn whole(self) -> Self {
        Self {
            partition: None,
            ..self
        }
    }
}

impl From<usize> for Block {
    fn from(index: usize) -> Self {
        Self::at(index)
    }
}

/// Stage and block: `(2, 14)`.
impl From<(usize, usize)> for Block {
    fn from((stage, index): (usize, usize)) -> Self {
        Self::in_stage(stage, index)
    }
}

/// Stage, block and which of its transformers: `(2, 3, Partition::Grid)`.
impl From<(usize, usize, Partition)> for Block {
    fn from((stage, index, partition): (usize, usize, Partition)) -> Self {
        Self::in_stage(stage, index).part(partition)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stage) = self.stage {
            write!(f, "stage {stage} ")?
        }
        write!(f, "block {}", self.index)?;
        match self.partition {
            Some(Partition::Window) => write!(f, " window"),
            Some(Partition::Grid) => write!(f, " grid"),
            None => Ok(()),
        }
    }
}

/// What kind of branch adds to the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Branch {
    /// A convolution (MaxViT's MBConv).
    Conv,
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
    /// The convolution branch of `block`.
    pub fn conv(block: Block) -> Self {
        Self {
            block,
            branch: Branch::Conv,
        }
    }

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
