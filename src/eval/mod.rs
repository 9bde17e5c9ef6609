//! The process that runs the cells, and the pipes between it and the process of the session.

pub mod channels;
pub mod run_loop;
