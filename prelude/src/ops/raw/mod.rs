//! The only module with `unsafe` in it: matrix products of slices, buffers that are not zeroed before they are filled, and
//! kernels on a GPU. All check what they are given, so that no caller can break them.

#![allow(unsafe_code)]

#[cfg(feature = "cuda")]
pub mod cuda;
mod filled;
mod product;

pub use filled::{filled_in_blocks, filled_in_chunks, three_filled_in_chunks};
pub use product::{Cut, Matrix, MatrixMut, product, product_in_blocks, sizes};

#[cfg(test)]
pub use product::tests::assert_product;
