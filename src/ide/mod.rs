//! What helps whoever types: completion and documentation.

pub mod completion;
mod crate_docs;
pub mod docs;
pub mod elsewhere;
mod item_text;
mod macro_methods;
pub mod rust_docs;
pub mod std_methods;
