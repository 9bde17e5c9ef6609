//! The record of a forward pass.

use super::hook::{Hook, HookKind, Watch};
use super::op::{Keep, Kept, Op};
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

/// Mean and variance (unbiased) of each channel of a batch, as one batch norm saw it.
#[derive(Clone, Debug)]
pub struct BatchStatistics {
    /// The batch norm's name among the parameters.
    pub norm: String,
    pub mean: Tensor,
    pub var: Tensor,
}

/// A handle to a record, or to none: then tracing costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    pub(super) record: Option<Rc<RefCell<Record>>>,
    statistics: Option<Rc<RefCell<Vec<BatchStatistics>>>>,
    stop: Option<fn() -> bool>,
    pub(super) watch: Option<Watch>,
}

impl Tape {
    /// Record nothing: a plain forward pass.
    pub fn off() -> Self {
        Self::default()
    }

    /// Record nothing, but let batch norms take their statistics from the batch and note them, as training does.
    pub fn training() -> Self {
        Self {
            statistics: Some(Rc::default()),
            ..Self::default()
        }
    }

    /// Record operations but no values.
    pub fn structure() -> Self {
        Self::keeping(Arc::from([]))
    }

    /// Record operations and, of node i, what `keep[i]` says.
    pub fn keeping(keep: Arc<[Keep]>) -> Self {
        Self {
            record: Some(Rc::new(RefCell::new(Record {
                nodes: Vec::new(),
                keep,
            }))),
            ..Self::default()
        }
    }

    /// The same tape, on which the forward pass ends with an error at the first operation for which `stop` is true: a
    /// large model takes seconds for a batch.
    pub fn until(mut self, stop: fn() -> bool) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Record nothing, and pass every named value ([`super::HookPoint`]) through `hook`.
    pub fn hooked(hook: Hook) -> Self {
        Self {
            watch: Some(Watch::new(hook)),
            ..Self::default()
        }
    }

    /// Whether named values pass through a hook.
    pub fn is_hooked(&self) -> bool {
        self.watch.is_some()
    }

    /// The `value` of `kind` in the residual branch that is being computed, as the hook gives it back.
    ///
    /// # Errors
    /// When the hook fails, or gives another shape.
    pub fn pass(&self, kind: HookKind, value: Tensor) -> candle_core::Result<Tensor> {
        match &self.watch {
            Some(watch) => watch.pass(kind, value),
            None => Ok(value),
        }
    }

    /// Fails where the forward pass is to stop.
    pub(super) fn check(&self) -> candle_core::Result<()> {
        match self.stop {
            Some(stop) if stop() => candle_core::bail!("the forward pass was stopped"),
            _ => Ok(()),
        }
    }

    /// The nodes recorded so far; none when the tape is off.
    pub fn take_nodes(&self) -> Vec<Node> {
        match &self.record {
            None => Vec::new(),
            Some(record) => std::mem::take(&mut record.borrow_mut().nodes),
        }
    }

    /// Whether batch norms take their statistics from the batch.
    pub fn is_training(&self) -> bool {
        self.statistics.is_some()
    }

    /// Note the statistics a batch norm saw.
    pub fn note(&self, seen: BatchStatistics) {
        if let Some(statistics) = &self.statistics {
            statistics.borrow_mut().push(seen)
        }
    }

    /// The statistics noted so far, in the order of the forward pass.
    pub fn take_statistics(&self) -> Vec<BatchStatistics> {
        match &self.statistics {
            None => Vec::new(),
            Some(statistics) => std::mem::take(&mut statistics.borrow_mut()),
        }
    }
}
