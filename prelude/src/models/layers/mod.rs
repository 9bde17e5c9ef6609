//! The layers models are made of, once each, over the traced tensor.

mod attention;
mod block;
mod linear;
mod mlp;
mod norm;
mod patch_embed;

pub use attention::{Attention, causal_mask};
pub use block::{Block, BlockConfig};
pub use linear::Linear;
pub use mlp::{Activation, Mlp};
pub use norm::{LayerNorm, LayerScale};
pub use patch_embed::PatchEmbed;
