//! The laboratory's library: load a vision transformer, decompose its image representation into the
//! contributions of attention heads, MLPs and tokens, align them with CLIP, score and rank them by text,
//! and switch off what carries a spurious correlation.
//!
//! Data flows one way, a folder a concern: [`data`] -> [`models`] (over [`trace`] and [`ops`]) -> [`identity`] ->
//! [`decompose`] (kept by [`store`]) -> [`align`] -> [`score`] -> [`experiments`] -> [`charts`]; [`session`] keeps what a person has asked for.

#![deny(missing_debug_implementations, unsafe_code)]

pub mod activations;
pub mod align;
pub mod charts;
mod check;
pub mod data;
pub mod decompose;
pub mod error;
pub mod experiments;
mod facts;
pub mod files;
pub mod identity;
pub mod models;
pub mod ops;
pub mod prelude;
mod process;
pub mod programs;
pub mod relevance;
pub mod report;
pub mod score;
pub mod session;
pub mod store;
pub mod trace;
pub mod train;

pub use candle_core;
pub use error::{Error, Result};
