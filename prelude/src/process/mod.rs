//! The process that calls run in: how far they are, whether they are to stop, and the memory that is left.

pub(crate) mod beside;
pub(crate) mod memory;
pub(crate) mod progress;
pub(crate) mod stop;
