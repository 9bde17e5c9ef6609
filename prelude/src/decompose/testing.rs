//! What tests of decompositions have in common.

use crate::Result;
use crate::models::{Vit, VitConfig};

/// Two blocks of four heads, for images of 16 pixels; random weights.
pub fn small_vit() -> Result<Vit> {
    let config = VitConfig {
        img_size: 16,
        patch_size: 8,
        embed_dim: 16,
        depth: 2,
        num_heads: 4,
        ..VitConfig::default()
    };
    Vit::random(&config, 0)
}
