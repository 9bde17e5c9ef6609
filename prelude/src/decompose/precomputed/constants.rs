//! What channel maps make of the vectors that an op adds to every token: no image changes it.

use super::Passed;
use crate::Result;
use crate::decompose::ChannelMap;
use crate::trace::{NodeId, Op};
use candle_core::Tensor;
use std::collections::HashMap;

/// A vector over channels by which an op adds something to every token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::decompose) enum Added {
    /// The bias of a linear layer, or a norm's beta.
    Bias,
    /// A norm's gamma, which it adds times `-mean * rstd` of a token.
    Gamma,
}

impl Added {
    /// The vectors of `op`.
    pub fn of(op: &Op) -> Vec<(Self, &Tensor)> {
        match op {
            Op::Linear {
                bias: Some(bias), ..
            } => vec![(Self::Bias, bias)],
            Op::LayerNorm { gamma, beta } => vec![(Self::Bias, beta), (Self::Gamma, gamma)],
            _ => Vec::new(),
        }
    }
}

/// What the map behind a node makes of each vector that it adds: K x d, a row for each of the K places that merges put side
/// by side.
#[derive(Debug)]
pub struct ConstantMaps(HashMap<(NodeId, Added), Tensor>);

impl ConstantMaps {
    /// Of the ops that a walk passes. `like` is a representation, B x d.
    pub(super) fn new(passed: &[Passed], like: &Tensor) -> Result<Self> {
        let (mut keys, mut rows) = (Vec::new(), Vec::new());
        for Passed { node, op, map } in passed {
            let places = map.merged();
            let unit = Tensor::eye(places, like.dtype(), like.device())?.unsqueeze(2)?;
            for (added, vector) in Added::of(op) {
                let vector = vector.to_dtype(like.dtype())?.reshape((1, 1, ()))?;
                // Row k has the vector at place k, and zeros at the others.
                let each = unit.broadcast_mul(&vector)?.flatten(0, 1)?;
                keys.push((*node, added));
                rows.push((each, map.clone()))
            }
        }
        let mapped = ChannelMap::apply_all(rows)?;
        // Copies, as these are parts of what they were mapped in.
        let mapped = mapped.iter().map(Tensor::force_contiguous);
        let mapped = mapped.collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Self(keys.into_iter().zip(mapped).collect()))
    }

    /// K x d for a vector of `node`.
    pub fn get(&self, node: NodeId, added: Added) -> Option<&Tensor> {
        self.0.get(&(node, added))
    }
}
