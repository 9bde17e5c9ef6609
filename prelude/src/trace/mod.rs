//! A tensor that remembers how it was made.
//!
//! A model is written once, as a forward pass over [`Traced`]. With the tape off a `Traced` is a plain tensor
//! with nothing added; with the tape on, every operation leaves a [`Node`] behind: what it was, what it was made
//! of and, where asked, the values needed to walk back through it later. The decomposition (paper section 3,
//! RepDecompose) is one walk over those nodes, in [`crate::decompose`]; no model knows of it.
//!
//! Operations that are linear in their input, or linear once a nonlinear factor of theirs is frozen (attention
//! probabilities, the statistics of a norm), are recorded as what they are. Everything else is [`Op::Nonlinear`],
//! where the walk stops.

mod hook;
mod op;
mod site;
mod tape;
mod traced;
mod windows;

pub use hook::{Hook, HookKind, HookPoint};
pub use op::{Keep, Kept, Op, Rows};
pub use site::{Block, Branch, Partition, Site};
pub use tape::{BatchStatistics, Node, NodeId, Record, Tape};
pub use traced::Traced;
pub use windows::{Division, Windows};
