//! A linear map over channels, kept as the list of steps it came from.

mod copies;
mod steps;

pub(crate) use copies::MapCopies;
pub(crate) use steps::{MapStep, MapSteps};

use crate::ops::{batched_linear, linear, scale};
use candle_core::{D, Result, Tensor};
use std::sync::Arc;

/// One step on the way from a node to the target.
#[derive(Debug)]
enum Step {
    /// `x W^T`, `W`: out x in.
    Dense(Tensor),
    /// `gamma * x`.
    Diagonal(Tensor),
    /// `x - mean(x)` over channels.
    Centre,
    /// This many rows side by side in the channels of one (patch merging): `KN x c` to `N x Kc`.
    Merge(usize),
}

impl Step {
    /// Apply to the rows of `x`.
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => linear(x, weight, None, None),
            Self::Diagonal(gamma) => scale(x, gamma),
            Self::Centre => x.broadcast_sub(&x.mean_keepdim(D::Minus1)?),
            Self::Merge(slots) => x.reshape((x.dim(0)? / slots, slots * x.dim(1)?)),
        }
    }

    /// Apply the transposed step to directions, the rows of `x`: a direction's product with what the step makes of a row is
    /// that of these with the row.
    fn transpose(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => linear(x, &weight.t()?, None, None),
            Self::Diagonal(gamma) => scale(x, gamma),
            Self::Centre => x.broadcast_sub(&x.mean_keepdim(D::Minus1)?),
            Self::Merge(slots) => x.reshape((x.dim(0)? * slots, x.dim(1)? / slots)),
        }
    }

    /// The rows that so many become by [`Self::transpose`].
    fn rows_back(&self, of: usize) -> usize {
        match self {
            Self::Merge(slots) => of * slots,
            _ => of,
        }
    }

    /// The rows that so many become.
    fn rows(&self, of: usize) -> usize {
        match self {
            Self::Merge(slots) => of / slots,
            _ => of,
        }
    }
}

/// Rows enough that reading a step's matrix is little beside the product with them: more go through it in parts, which take
/// less memory.
const MANY_ROWS: usize = 1024;

/// A linear map from a node's channels to the target's, as a list whose head is applied first.
///
/// Nodes are far fewer than tokens and a map is applied to pooled vectors, so the steps are never multiplied out.
#[derive(Clone, Debug, Default)]
pub struct ChannelMap(Option<Arc<(Step, ChannelMap)>>);

impl ChannelMap {
    fn push(&self, step: Step) -> Self {
        Self(Some(Arc::new((step, self.clone()))))
    }

    /// This map after `x W^T`.
    pub fn after_dense(&self, weight: &Tensor) -> Self {
        self.push(Step::Dense(weight.clone()))
    }

    /// This map after `gamma * x`.
    pub fn after_diagonal(&self, gamma: &Tensor) -> Self {
        self.push(Step::Diagonal(gamma.clone()))
    }

    /// This map after centring over channels.
    pub fn after_centring(&self) -> Self {
        self.push(Step::Centre)
    }

    /// This map after `slots` rows have been put side by side.
    pub fn after_merge(&self, slots: usize) -> Self {
        self.push(Step::Merge(slots))
    }

    /// Rows of a value that become one of the target, K: 1 without merges.
    pub fn merged(&self) -> usize {
        self.nodes()
            .iter()
            .map(|node| node.0.rows_back(1))
            .product()
    }

    /// Apply to the last dimension of `x`, N x c -> N x d; with merges of K rows in all, KN x c -> N x d.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        let mut map = self;
        while let Some(step) = &map.0 {
            x = step.0.apply(&x)?;
            map = &step.1;
        }
        Ok(x)
    }

    /// Apply the first step to heads that lie side by side in the channels, each alone, H x R x c/H -> HR x out, one head's
    /// rows after the other; and the rest of the map, which is to be applied to these.
    pub fn begin_heads(&self, x: &Tensor) -> Result<(Tensor, Self)> {
        let (heads, _, width) = x.dims3()?;
        let (mapped, rest) = match self.0.as_deref() {
            Some((Step::Dense(weight), rest)) => {
                let out = weight.dim(0)?;
                // W_O, one slice a head: H x out x c/H.
                let slices = weight.reshape((out, heads, width))?.transpose(0, 1)?;
                (batched_linear(x, &slices)?, rest)
            }
            _ => (embed_heads(x)?, self),
        };
        Ok((mapped.flatten(0, 1)?, rest.clone()))
    }

    /// Apply a map to each of several: the rows that come to the same step go through it, and all that follow, together, as
    /// long as there are not many. A product with few rows takes as long as it takes to read the matrix, and what is below
    /// one block of a stage is below all of it. Rows are let go once a step has been applied to them.
    pub fn apply_all(of: Vec<(Tensor, Self)>) -> Result<Vec<Tensor>> {
        let mut applied = vec![None; of.len()];
        let mut left: Vec<Together> = of.into_iter().enumerate().map(Together::one).collect();
        // Those with most steps to go have not come to the steps that they share with others.
        let next = |left: &[Together]| left.iter().max_by_key(|rows| rows.steps)?.map.0.clone();
        while let Some(node) = next(&left) {
            let (here, others): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|rows| rows.is_at(&node));
            left = others;
            for some in Together::shared_out(here) {
                left.push(Together::after(some, &node)?)
            }
        }
        for together in left {
            let mut start = 0;
            for (place, rows) in together.members {
                applied[place] = Some(together.rows.narrow(0, start, rows)?);
                start += rows
            }
        }
        Ok(applied.into_iter().flatten().collect())
    }

    /// Apply to head `head` of `heads` alone: N x c/H -> N x d.
    pub fn apply_head(&self, x: &Tensor, head: usize, heads: usize) -> Result<Tensor> {
        let width = x.dim(1)?;
        match self.0.as_deref() {
            Some((Step::Dense(weight), rest)) => {
                let slice = weight.narrow(1, head * width, width)?;
                rest.apply(&x.matmul(&slice.t()?.contiguous()?)?)
            }
            _ => {
                let x = x.pad_with_zeros(1, head * width, (heads - 1 - head) * width)?;
                self.apply(&x)
            }
        }
    }
}

impl ChannelMap {
    /// `directions` of the target (k x d each) brought back to the channels of their own node, k x K x c with K rows to one
    /// where merges put so many side by side: what the directions give of [`Self::apply`] is the sum over the K rows of a
    /// token's products with these. Maps share their ends, and those that come by the same step go through it together, the
    /// same directions once.
    pub fn pull_back_all(of: &[(Tensor, Self)]) -> Result<Vec<Tensor>> {
        let mut nodes: Vec<Vec<&Arc<(Step, Self)>>> =
            of.iter().map(|(_, map)| map.nodes()).collect();
        let mut all: Vec<Tensor> = of
            .iter()
            .map(|(directions, _)| directions.clone())
            .collect();
        // The last step of a map is the first that directions come to.
        while let Some(node) = nodes.iter().find_map(|left| left.last().copied()) {
            let here: Vec<usize> = (0..nodes.len())
                .filter(|&i| nodes[i].last().is_some_and(|own| Arc::ptr_eq(own, node)))
                .collect();
            let mut distinct: Vec<&Tensor> = Vec::new();
            let mut which = Vec::new();
            for &i in &here {
                let known = distinct.iter().position(|x| x.id() == all[i].id());
                which.push(known.unwrap_or_else(|| {
                    distinct.push(&all[i]);
                    distinct.len() - 1
                }));
            }
            let together = node.0.transpose(&Tensor::cat(&distinct, 0)?)?;
            let mut start = 0;
            let parts = distinct.iter().map(|x| {
                let rows = node.0.rows_back(x.dim(0)?);
                start += rows;
                together.narrow(0, start - rows, rows)
            });
            let parts = parts.collect::<Result<Vec<_>>>()?;
            for (&i, part) in here.iter().zip(which) {
                all[i] = parts[part].clone();
                nodes[i].pop();
            }
        }
        let shaped = all.into_iter().zip(of).map(|(x, (directions, _))| {
            let ((rows, width), count) = (x.dims2()?, directions.dim(0)?);
            x.reshape((count, rows / count, width))
        });
        shaped.collect()
    }

    /// The steps, the first one first.
    fn nodes(&self) -> Vec<&Arc<(Step, Self)>> {
        let mut nodes = Vec::new();
        let mut map = self;
        while let Some(node) = &map.0 {
            nodes.push(node);
            map = &node.1;
        }
        nodes
    }
}

/// Rows that the same map is to be applied to.
struct Together {
    rows: Tensor,
    map: ChannelMap,
    /// Of the map.
    steps: usize,
    /// Whose rows these are, one's after the other's, and how many.
    members: Vec<(usize, usize)>,
}

impl Together {
    fn one((place, (rows, map)): (usize, (Tensor, ChannelMap))) -> Self {
        Self {
            steps: map.nodes().len(),
            members: vec![(place, rows.dims()[0])],
            rows,
            map,
        }
    }

    fn is_at(&self, node: &Arc<(Step, ChannelMap)>) -> bool {
        self.map
            .0
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, node))
    }

    /// Parts of at least [`MANY_ROWS`] rows, as far as there are so many.
    fn shared_out(all: Vec<Self>) -> Vec<Vec<Self>> {
        let mut parts: Vec<Vec<Self>> = Vec::new();
        let mut rows = MANY_ROWS;
        for one in all {
            if rows >= MANY_ROWS {
                parts.push(Vec::new());
                rows = 0
            }
            rows += one.rows.dims()[0];
            if let Some(part) = parts.last_mut() {
                part.push(one)
            }
        }
        parts
    }

    /// What the first step of their map makes of several, which are all at `node`.
    fn after(several: Vec<Self>, node: &Arc<(Step, ChannelMap)>) -> Result<Self> {
        let members = several.iter().flat_map(|rows| &rows.members);
        let members = members.map(|(place, rows)| (*place, node.0.rows(*rows)));
        let members = members.collect();
        let rows = {
            let rows: Vec<Tensor> = several.into_iter().map(|part| part.rows).collect();
            match &rows[..] {
                [rows] => rows.clone(),
                _ => Tensor::cat(&rows, 0)?,
            }
        };
        Ok(Self {
            rows: node.0.apply(&rows)?,
            steps: node.1.nodes().len(),
            map: node.1.clone(),
            members,
        })
    }
}

/// Put each head at its own channels, zeros elsewhere: H x N x c/H -> H x N x c.
fn embed_heads(x: &Tensor) -> Result<Tensor> {
    let heads = x.dim(0)?;
    let embedded = (0..heads)
        .map(|h| {
            let width = x.dim(2)?;
            x.get(h)?
                .pad_with_zeros(1, h * width, (heads - 1 - h) * width)
        })
        .collect::<Result<Vec<_>>>()?;
    Tensor::stack(&embedded, 0)
}
