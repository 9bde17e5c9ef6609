//! Programs that work without a prompt: `vitrepl decompose`, `vitrepl train`.
//!
//! They are here, and `src/bin` has their `main` alone, so that a program is compiled against the library as a cell is.

mod decompose;
mod train;

pub use decompose::decompose;
pub use train::train;
