//! The shape of a walk: found once from the structure of a trace, used for every batch.

use super::{Component, DecomposeOptions, DecomposeTarget, Granularity, Sharing};
use crate::trace::{Branch, Keep, Node, NodeId, Op, Rows, Site};
use crate::{Error, Result};
use std::sync::Arc;

/// What the walk does at a node, and below it.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// A residual sum: both sides get the functional.
    Split {
        stream: Box<Route>,
        branch: Box<Route>,
    },
    /// A linear op: absorb it and go on to its input.
    Through { node: NodeId, below: Box<Route> },
    /// The value of a node is one component. `constants` are the nodes of a branch down to where it stops being
    /// linear, whose biases do not belong to it under the rule `own`.
    Whole {
        node: NodeId,
        component: Component,
        constants: Vec<NodeId>,
    },
    /// The heads of an attention are components.
    Heads {
        node: NodeId,
        site: Site,
        heads: usize,
    },
}

impl Route {
    /// How many components arrive here.
    pub(super) fn leaves(&self) -> usize {
        match self {
            Self::Split { stream, branch } => stream.leaves() + branch.leaves(),
            Self::Through { below, .. } => below.leaves(),
            Self::Whole { .. } => 1,
            Self::Heads { heads, .. } => *heads,
        }
    }

    fn collect(&self, out: &mut Vec<Component>) {
        match self {
            Self::Split { stream, branch } => {
                stream.collect(out);
                branch.collect(out)
            }
            Self::Through { below, .. } => below.collect(out),
            Self::Whole { component, .. } => out.push(*component),
            Self::Heads { site, heads, .. } => {
                out.extend((0..*heads).map(|h| Component::head(*site, h)))
            }
        }
    }
}

/// The route of a walk, its components, and what the tape must keep for it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) route: Route,
    components: Vec<Component>,
    keep: Arc<[Keep]>,
}

impl Plan {
    /// Plan the walk from node `target` of a recorded forward pass.
    pub(super) fn new(
        nodes: Vec<Node>,
        target: NodeId,
        options: &DecomposeOptions,
    ) -> Result<Self> {
        let mut planner = Planner {
            keep: vec![Keep::Nothing; nodes.len()],
            nodes,
            options,
        };
        let route = planner.stream(target, Rows::All)?;
        let mut components = Vec::new();
        route.collect(&mut components);
        if options.sharing == Sharing::Own {
            components.push(Component::Bias)
        }
        components.sort();
        Ok(Self {
            route,
            components,
            keep: planner.keep.into(),
        })
    }

    /// The components in order.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// What a tape must keep, node by node.
    pub fn keep(&self) -> Arc<[Keep]> {
        self.keep.clone()
    }
}

struct Planner<'a> {
    nodes: Vec<Node>,
    keep: Vec<Keep>,
    options: &'a DecomposeOptions,
}

impl Planner<'_> {
    /// Down the residual stream from `node`, of whose tokens `rows` matter.
    fn stream(&mut self, node: NodeId, rows: Rows) -> Result<Route> {
        let inputs = self.nodes[node].inputs.clone();
        match self.nodes[node].op {
            Op::Residual(site) if !self.folded(site) => Ok(Route::Split {
                stream: Box::new(self.stream(inputs[0], rows)?),
                branch: Box::new(self.branch(inputs[1], rows, site)?),
            }),
            Op::Residual(_) | Op::Nonlinear => Ok(self.whole(node, rows, Component::Init)),
            Op::Attend { .. } => Err(Error::trace(
                "attention outside of a residual branch cannot be decomposed",
            )),
            _ => self.through(node, rows, |planner, input, rows| {
                planner.stream(input, rows)
            }),
        }
    }

    /// Down a branch whose output is `node`.
    fn branch(&mut self, node: NodeId, rows: Rows, site: Site) -> Result<Route> {
        if self.options.granularity == Granularity::Layers || site.branch != Branch::Attention {
            return Ok(self.whole(node, rows, Component::of(site)));
        }
        match self.nodes[node].op {
            Op::Attend { heads, .. } => {
                self.keep[node] = match self.options.granularity {
                    Granularity::Tokens => Keep::Attention(rows),
                    _ => Keep::Value(rows),
                };
                Ok(Route::Heads { node, site, heads })
            }
            Op::Nonlinear | Op::Residual(_) => Ok(self.whole(node, rows, Component::of(site))),
            _ => self.through(node, rows, |planner, input, rows| {
                planner.branch(input, rows, site)
            }),
        }
    }

    fn whole(&mut self, node: NodeId, rows: Rows, component: Component) -> Route {
        self.keep[node] = Keep::Value(rows);
        let mut constants = Vec::new();
        let mut at = node;
        // `init` keeps its own biases; a branch gives its away under the rule `own`.
        if component != Component::Init && self.options.sharing == Sharing::Own {
            while let Op::Linear { .. } | Op::Scale { .. } = self.nodes[at].op {
                constants.push(at);
                at = self.nodes[at].inputs[0];
            }
        }
        Route::Whole {
            node,
            component,
            constants,
        }
    }

    /// Through a linear op to its input, and on with `next`.
    fn through(
        &mut self,
        node: NodeId,
        rows: Rows,
        next: impl FnOnce(&mut Self, NodeId, Rows) -> Result<Route>,
    ) -> Result<Route> {
        let rows_below = match self.nodes[node].op {
            Op::SelectToken { index } => Rows::Range {
                start: index,
                len: 1,
            },
            Op::MeanTokens { start, len } => Rows::Range { start, len },
            // Each token is made of four: where some matter, all are kept.
            Op::MergeTokens { .. } | Op::PoolTokens { .. } => Rows::All,
            _ => rows,
        };
        if let Op::LayerNorm { .. } = self.nodes[node].op {
            self.keep[node] = Keep::Statistics(rows)
        }
        let input = self.nodes[node].inputs[0];
        Ok(Route::Through {
            node,
            below: Box::new(next(self, input, rows_below)?),
        })
    }

    /// Whether a site lies before the first decomposed block.
    fn folded(&self, site: Site) -> bool {
        self.options
            .first_block
            .is_some_and(|first| site.block < first)
    }
}

impl DecomposeTarget {
    /// The logit a walk starts from, if it does.
    pub(super) fn logit(self) -> Option<usize> {
        match self {
            Self::Representation => None,
            Self::Logit(k) => Some(k),
        }
    }
}
