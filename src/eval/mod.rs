//! The process that runs the cells, and the pipes between it and the process of the session.

pub mod cell;
pub mod channels;
pub mod compiler;
pub mod environment;
pub mod items;
pub mod objections;
mod places;
pub mod plan;
pub mod run_loop;
mod statics;
