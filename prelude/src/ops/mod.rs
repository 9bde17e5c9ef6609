//! The few kernels candle runs slowly on a CPU, fused and parallel, each with its backward pass.
//!
//! On other devices the same functions call candle's own kernels, so a caller never asks where it runs.

pub mod activation;
pub mod layer_norm;
mod rows;
pub mod softmax;

pub use activation::{gelu, quick_gelu};
pub use layer_norm::layer_norm;
pub use softmax::softmax_last_dim;
