//! The experiments on pictures: retrieval, token importance, segmentation, heads. Ground truth is that of the generated
//! images. Pictures are left in `target/tmp/images` to be looked at.

#[path = "../common/mod.rs"]
mod common;
mod heads;
mod heatmaps;
mod memory;
mod retrieval;
mod segmentation;
mod support;
mod tokens;
