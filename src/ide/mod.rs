//! What helps whoever types: completion and documentation.

pub mod completion;
pub mod docs;
pub mod rust_docs;
