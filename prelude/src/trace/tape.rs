//! The record of a forward pass.

use super::op::{Keep, Kept, Op};
use super::traced::Traced;
use candle_core::Tensor;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// The place of a node on its tape.
pub type NodeId = usize;

/// One recorded operation.
#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    pub inputs: Vec<NodeId>,
    pub kept: Kept,
}

/// The nodes of one forward pass, in the order they were computed.
#[derive(Debug)]
pub struct Record {
    pub nodes: Vec<Node>,
    keep: Arc<[Keep]>,
}

impl Record {
    /// What to keep of the node that comes next.
    pub(super) fn next_keep(&self) -> Keep {
        self.keep.get(self.nodes.len()).copied().unwrap_or_default()
    }

    pub(super) fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }
}

/// A handle to a record, or to none: then tracing costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Tape(pub(super) Option<Rc<RefCell<Record>>>);

impl Tape {
    /// Record nothing: a plain forward pass.
    pub fn off() -> Self {
        Self(None)
    }

    /// Record operations but no values.
    pub fn structure() -> Self {
        Self::keeping(Arc::from([]))
    }

    /// Record operations and, of node i, what `keep[i]` says.
    pub fn keeping(keep: Arc<[Keep]>) -> Self {
        Self(Some(Rc::new(RefCell::new(Record {
            nodes: Vec::new(),
            keep,
        }))))
    }

    /// Start a trace from `value`: what came before it is one component, `init`.
    pub fn source(&self, value: Tensor) -> candle_core::Result<Traced> {
        Traced::record(self, value, Op::Nonlinear, &[])
    }

    /// The nodes recorded so far; none when the tape is off.
    pub fn take_nodes(&self) -> Vec<Node> {
        match &self.0 {
            None => Vec::new(),
            Some(record) => std::mem::take(&mut record.borrow_mut().nodes),
        }
    }
}
