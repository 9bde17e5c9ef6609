//! The laboratory's library: load a vision transformer, decompose its image representation into the
//! contributions of attention heads, MLPs and tokens, align them with CLIP, score and rank them by text,
//! and switch off what carries a spurious correlation.

pub mod align;
pub mod charts;
pub mod error;
pub mod score;

pub use error::{Error, Result};
