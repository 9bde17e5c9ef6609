//! The layers models are made of, once each, over the traced tensor.

mod attention;
mod batch_norm;
mod block;
mod linear;
mod mbconv;
mod mlp;
mod norm;
mod patch_embed;
mod patch_merging;
mod relative_position;

pub use attention::{Attention, causal_mask};
pub use batch_norm::BatchNorm;
pub use block::{Block, BlockConfig};
pub use linear::Linear;
pub use mbconv::{MbConv, MbConvConfig};
pub use mlp::{Activation, Mlp};
pub use norm::{LayerNorm, LayerScale};
pub use patch_embed::PatchEmbed;
pub use patch_merging::PatchMerging;
pub use relative_position::{RelativePosition, shift_mask};
