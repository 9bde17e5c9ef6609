//! The library that cells see: its sources, how it is compiled, and the folder where all of that is kept.

pub mod build;
pub mod environment;
pub mod folder;
pub mod programs;
pub mod sources;
