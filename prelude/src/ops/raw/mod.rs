//! The only module with `unsafe` in it: matrix products of slices, and buffers that are not zeroed before they are
//! filled. Both check what they are given, so that no caller can break them.

#![allow(unsafe_code)]

mod filled;
mod product;

pub use filled::{filled_in_chunks, three_filled_in_chunks};
pub use product::{Matrix, MatrixMut, product, product_in_blocks};
