//! The few kernels candle runs slowly on a CPU, fused and parallel, each with its backward pass.
//!
//! On other devices the same functions call candle's own kernels, so a caller never asks where it runs.

pub mod activation;
pub mod batch_norm;
pub mod bias;
pub mod depthwise;
pub mod layer_norm;
mod rows;
pub mod softmax;
pub mod unfold;

pub use activation::{gelu, gelu_tanh, quick_gelu};
pub use batch_norm::batch_norm;
pub use bias::{add_bias, mean_over_tokens};
pub use depthwise::depthwise_conv;
pub use layer_norm::layer_norm;
pub use softmax::softmax_last_dim;
pub use unfold::conv;
