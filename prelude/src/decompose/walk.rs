//! The walk itself: carry a linear functional from the target down the trace of one batch.

use super::channel_map::ChannelMap;
use super::deferred::{Applied, Constant, Pending, Place, Share, Term};
use super::plan::{Plan, Route};
use super::precomputed::{Added, Precomputed};
use super::tokens::{TokenContributions, TokenFactors};
use super::{Component, Contributions, DecomposeOptions, Granularity, Sharing};
use crate::ops::{Slots, slot_sums, stacked_sums};
use crate::trace::{Kept, Node, NodeId, Op, Site};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use std::rc::Rc;

/// A linear functional of a node's value: pool the R tokens with `weights` (B x R, or 1 x R), each in its one of K `slots`,
/// then map the channels of the K rows to one. K is 1, or four times as many for each patch merging above.
#[derive(Clone)]
struct Functional {
    weights: Tensor,
    slots: Slots,
    map: ChannelMap,
}

impl Functional {
    /// The weighted sums over the tokens of each slot, B x R x c -> BK x c.
    fn pool(&self, value: &Tensor) -> candle_core::Result<Tensor> {
        let b = value.dim(0)?;
        let value = &value.to_dtype(self.weights.dtype())?;
        let weights = self.weights.broadcast_as((b, self.weights.dim(1)?))?;
        slot_sums(&value.unsqueeze(1)?, &weights, &self.slots)?.flatten(0, 2)
    }

    /// The sums of the weights of each slot, B x K (or 1 x K).
    fn totals(&self) -> candle_core::Result<Tensor> {
        if self.slots.count() == 1 {
            return self.weights.sum_keepdim(1);
        }
        let each = self.weights.reshape(((), 1, self.weights.dim(1)?, 1))?;
        slot_sums(&each, &self.weights.ones_like()?, &self.slots)?.flatten_from(1)
    }
}

/// A component before maps have been applied: rows of all heads of a layer, of which `part` are its own, or all rows; less
/// a constant, and with its share of the others.
struct Found {
    component: Component,
    place: Place,
    part: Option<(usize, usize)>,
    less: Constant,
    share: Option<Rc<Share>>,
}

impl Found {
    /// B x d (or 1 x d), and what is to be added of the constants.
    fn value(&self, applied: &Applied) -> Result<(Tensor, Option<Tensor>)> {
        let mut value = applied.get(self.place)?.clone();
        if let Some((part, of)) = self.part {
            let rows = value.dim(0)? / of;
            value = value.narrow(0, part * rows, rows)?;
        }
        if let Some(less) = self.less.value(applied)? {
            value = value.broadcast_sub(&less)?;
        }
        let share = self.share.as_ref().map(|share| share.value(applied));
        Ok((value, share.transpose()?))
    }
}

struct Walk<'a> {
    ops: &'a [Op],
    /// What was kept of each node. A component's values are let go once they are pooled.
    kept: Vec<Kept>,
    options: &'a DecomposeOptions,
    precomputed: Option<&'a Precomputed>,
    batch: usize,
    pending: Pending,
    /// In the order met.
    found: Vec<Found>,
    bias: Constant,
    /// Source tokens of layers, and the share of each of their heads.
    tokens: Vec<(TokenFactors, Option<Rc<Share>>)>,
}

/// Walk the trace of one batch, which is let go on the way, with what was multiplied out before where it is given.
pub(super) fn evaluate(
    plan: &Plan,
    nodes: Vec<Node>,
    options: &DecomposeOptions,
    precomputed: Option<&Precomputed>,
    representation: Tensor,
) -> Result<Contributions> {
    let (batch, width) = representation.dims2()?;
    let device = representation.device();
    let map = start_map(&nodes, plan, options, device)?;
    let (ops, kept): (Vec<Op>, Vec<Kept>) =
        nodes.into_iter().map(|node| (node.op, node.kept)).unzip();
    let mut walk = Walk {
        ops: &ops,
        kept,
        options,
        precomputed,
        batch,
        pending: Pending::default(),
        found: Vec::new(),
        bias: Constant::default(),
        tokens: Vec::new(),
    };
    let start = Functional {
        weights: Tensor::ones((1, 1), representation.dtype(), device)?,
        slots: Slots::one(1),
        map,
    };
    walk.go(&plan.route, &start, None)?;
    let applied = walk.pending.apply()?;
    let mut found = walk
        .found
        .iter()
        .map(|found| Ok((found.component, found.value(&applied)?)))
        .collect::<Result<Vec<_>>>()?;
    if options.sharing == Sharing::Own {
        let bias = match walk.bias.value(&applied)? {
            Some(bias) => bias,
            None => Tensor::zeros((1, width), representation.dtype(), device)?,
        };
        found.push((Component::Bias, (bias, None)))
    }
    found.sort_by_key(|(component, _)| *component);
    let pairs: Vec<_> = found.into_iter().map(|(_, pair)| pair).collect();
    let values = stacked_sums(&pairs, (batch, width))?;
    let mut tokens = Vec::with_capacity(walk.tokens.len());
    for (factors, share) in walk.tokens {
        let share = share.map(|share| share.value(&applied)).transpose()?;
        tokens.push(factors.with_share(batch, share)?);
    }
    let tokens = match options.granularity {
        Granularity::Tokens => Some(TokenContributions::new(tokens, width)),
        _ => None,
    };
    Contributions::new(plan.components().to_vec(), values, representation, tokens)
}

/// The identity, or the pick of one logit.
pub(super) fn start_map(
    nodes: &[Node],
    plan: &Plan,
    options: &DecomposeOptions,
    device: &Device,
) -> candle_core::Result<ChannelMap> {
    let Some(logit) = options.target.logit() else {
        return Ok(ChannelMap::default());
    };
    let Route::Through { node, .. } = &plan.route else {
        candle_core::bail!("a logit must come from a linear head")
    };
    let Op::Linear { weight, .. } = &nodes[*node].op else {
        candle_core::bail!("a logit must come from a linear head")
    };
    let mut pick = vec![0f32; weight.dim(0)?];
    pick[logit] = 1.0;
    let pick = Tensor::new(pick, device)?.to_dtype(weight.dtype())?;
    Ok(ChannelMap::default().after_dense(&pick.unsqueeze(0)?))
}

impl Walk<'_> {
    /// Take `route` with `functional`; `share` is each component's part of the constants met above.
    fn go(
        &mut self,
        route: &Route,
        functional: &Functional,
        share: Option<&Rc<Share>>,
    ) -> Result<()> {
        match route {
            Route::Split { stream, branch } => {
                self.go(branch, functional, share)?;
                self.go(stream, functional, share)
            }
            Route::Through { node, below } => {
                let constant = self.constant(*node, functional)?;
                let below_functional = self.pull(*node, functional)?;
                let share = self.give(constant, below.leaves(), share);
                self.go(below, &below_functional, share.as_ref())
            }
            Route::Whole {
                node,
                component,
                constants,
            } => {
                let pooled = functional.pool(&self.take(*node)?)?;
                let place = self.pending.push(pooled, functional.map.clone());
                let less = self.chain_constant(constants, functional)?;
                if !less.0.is_empty() {
                    self.give(less.clone(), 1, None);
                }
                self.found.push(Found {
                    component: *component,
                    place,
                    part: None,
                    less,
                    share: share.cloned(),
                });
                Ok(())
            }
            Route::Heads { node, site, heads } => {
                let (pooled, factors) = self.pooled_heads((*node, *site), functional)?;
                let mapped = match self.precomputed {
                    Some(known) => known.heads.apply(*node, self.batch, &pooled)?,
                    None => None,
                };
                let place = match mapped {
                    Some(values) => self.pending.push(values, ChannelMap::default()),
                    None => {
                        let (rows, width) = pooled.dims2()?;
                        let by_head = pooled.reshape((rows, *heads, width / heads))?;
                        let by_head = by_head.transpose(0, 1)?.contiguous()?;
                        let (rows, rest) = functional.map.begin_heads(&by_head)?;
                        self.pending.push(rows, rest)
                    }
                };
                for h in 0..*heads {
                    self.found.push(Found {
                        component: Component::head(*site, h),
                        place,
                        part: Some((h, *heads)),
                        less: Constant::default(),
                        share: share.cloned(),
                    })
                }
                if let Some(factors) = factors {
                    self.tokens.push((factors, share.cloned()))
                }
                Ok(())
            }
        }
    }

    /// What all heads of a layer mixed, pooled: BK x C; and their source tokens, where they were kept.
    fn pooled_heads(
        &mut self,
        (node, site): (NodeId, Site),
        functional: &Functional,
    ) -> Result<(Tensor, Option<TokenFactors>)> {
        let (mixed, probs, v) = match std::mem::take(&mut self.kept[node]) {
            Kept::Value(mixed) => return Ok((functional.pool(&mixed)?, None)),
            Kept::Attention { mixed, probs, v } => (mixed, probs, v),
            _ => return Err(not_kept(node)),
        };
        let Op::Attend { windows, .. } = &self.ops[node] else {
            return Err(not_kept(node));
        };
        let factors = TokenFactors::new(
            site,
            self.batch,
            (&functional.weights, &functional.slots),
            (&probs, v),
            windows.clone(),
            functional.map.clone(),
        )?;
        let pooled = match mixed {
            Some(mixed) => functional.pool(&mixed)?,
            None => factors.pooled()?,
        };
        Ok((pooled, Some(factors)))
    }

    /// The kept value of a node, B x R x C.
    fn take(&mut self, node: NodeId) -> Result<Tensor> {
        match std::mem::take(&mut self.kept[node]) {
            Kept::Value(value) => Ok(value),
            _ => Err(not_kept(node)),
        }
    }

    /// Mean and reciprocal standard deviation a layer norm had, each B x R.
    fn statistics(&self, node: NodeId) -> Result<(Tensor, Tensor)> {
        match &self.kept[node] {
            Kept::Statistics { mean, rstd } => Ok((mean.clone(), rstd.clone())),
            _ => Err(not_kept(node)),
        }
    }

    /// What the op of `node` adds whatever its input is, seen through `functional`; no terms where it adds nothing.
    fn constant(&mut self, node: NodeId, functional: &Functional) -> Result<Constant> {
        let op = &self.ops[node];
        let mut total = Constant::default();
        for (added, vector) in Added::of(op) {
            match added {
                Added::Bias => {
                    let part = self.of_vector((node, added), vector, functional)?;
                    total = total.plus(part)
                }
                Added::Gamma if self.options.sharing == Sharing::Own => {}
                Added::Gamma => {
                    let (mean, rstd) = self.statistics(node)?;
                    let centre = Functional {
                        weights: functional.weights.broadcast_mul(&(mean * &rstd)?)?,
                        ..functional.clone()
                    };
                    let part = self.of_vector((node, added), vector, &centre)?;
                    total = total.minus(part)
                }
            }
        }
        Ok(total)
    }

    /// `functional` of a vector of a node that is the same at every token.
    fn of_vector(
        &mut self,
        (node, added): (NodeId, Added),
        vector: &Tensor,
        functional: &Functional,
    ) -> Result<Constant> {
        let totals = functional.totals()?;
        let known = self.precomputed;
        let known = known.and_then(|known| known.constants.get(node, added));
        let (place, weights) = match known {
            Some(rows) => {
                let place = self.pending.push(rows.clone(), ChannelMap::default());
                (place, Some(totals))
            }
            None => {
                let vector = vector.to_dtype(totals.dtype())?.unsqueeze(0)?;
                let (rows, weights) = match functional.slots.count() {
                    1 => (vector, Some(totals)),
                    _ => {
                        let totals = totals.flatten_all()?.unsqueeze(1)?;
                        (totals.broadcast_mul(&vector)?, None)
                    }
                };
                (self.pending.push(rows, functional.map.clone()), weights)
            }
        };
        Ok(Constant(vec![Term {
            place,
            weights,
            factor: 1.0,
        }]))
    }

    /// The functional of the op's input that `functional` is of its output.
    fn pull(&self, node: NodeId, functional: &Functional) -> Result<Functional> {
        let op = &self.ops[node];
        let map = map_before(op, &functional.map, self.options.sharing)?;
        let weights = functional.weights.clone();
        let slots = functional.slots.clone();
        let (weights, slots) = match op {
            Op::LayerNorm { .. } => {
                let (_, rstd) = self.statistics(node)?;
                (weights.broadcast_mul(&rstd)?, slots)
            }
            Op::MeanTokens { len, .. } => {
                let each = (weights / *len as f64)?;
                let each = each.broadcast_as((each.dim(0)?, *len))?.contiguous()?;
                (each, Slots::one(*len))
            }
            Op::PoolTokens { side } => {
                let (parents, _) = quarters(*side);
                let of = slots_of(functional, &parents)?;
                let weights = (spread(&weights, &parents)? * 0.25)?;
                (weights, Slots::new(slots.count(), of)?)
            }
            Op::MergeTokens { side } => {
                let (parents, quarter) = quarters(*side);
                let of = slots_of(functional, &parents)?;
                let of = of.iter().zip(&quarter).map(|(slot, own)| 4 * slot + own);
                let slots = Slots::new(4 * slots.count(), of.collect())?;
                (spread(&weights, &parents)?, slots)
            }
            _ => (weights, slots),
        };
        Ok(Functional {
            weights,
            slots,
            map,
        })
    }

    /// The biases along a branch, seen through `functional`.
    fn chain_constant(&mut self, chain: &[NodeId], functional: &Functional) -> Result<Constant> {
        let mut functional = functional.clone();
        let mut total = Constant::default();
        for &node in chain {
            total = total.plus(self.constant(node, &functional)?);
            functional = self.pull(node, &functional)?
        }
        Ok(total)
    }

    /// Hand `constant` out by the sharing rule; returns each component's share below.
    fn give(
        &mut self,
        constant: Constant,
        leaves: usize,
        share: Option<&Rc<Share>>,
    ) -> Option<Rc<Share>> {
        if constant.0.is_empty() {
            return share.cloned();
        }
        match self.options.sharing {
            Sharing::Own => {
                self.bias = std::mem::take(&mut self.bias).plus(constant);
                None
            }
            Sharing::Equal => Some(Share::new(share.cloned(), constant, leaves)),
        }
    }
}

fn not_kept(node: NodeId) -> Error {
    Error::trace(format!("node {node} was not kept, or was taken before"))
}

/// The map of the op's input that `map` is of its output.
///
/// # Errors
/// When the op is not linear.
pub(super) fn map_before(op: &Op, map: &ChannelMap, sharing: Sharing) -> Result<ChannelMap> {
    Ok(match op {
        Op::Linear { weight, .. } => map.after_dense(weight),
        Op::Scale { gamma } => map.after_diagonal(gamma),
        Op::LayerNorm { gamma, .. } => {
            let map = map.after_diagonal(gamma);
            match sharing {
                Sharing::Own => map.after_centring(),
                Sharing::Equal => map,
            }
        }
        Op::MergeTokens { .. } => map.after_merge(4),
        Op::MeanTokens { .. } | Op::PoolTokens { .. } | Op::SelectToken { .. } => map.clone(),
        Op::Nonlinear | Op::Residual(_) | Op::Attend { .. } => {
            return Err(Error::trace(format!("{op:?} is not linear")));
        }
    })
}

/// For each token of a `side` x `side` grid: the token its 2 x 2 neighbours become, and its place among them in the
/// order of [`crate::trace::Traced::merge_tokens`].
fn quarters(side: usize) -> (Vec<u32>, Vec<u32>) {
    let half = side / 2;
    let tokens = (0..side * side).map(|t| (t / side, t % side));
    tokens
        .map(|(y, x)| {
            let parent = y / 2 * half + x / 2;
            (parent as u32, (x % 2 * 2 + y % 2) as u32)
        })
        .unzip()
}

/// The weights of tokens whose parents have `weights`, B x R.
fn spread(weights: &Tensor, parents: &[u32]) -> Result<Tensor> {
    let parents = Tensor::new(parents, weights.device())?;
    Ok(weights.contiguous()?.index_select(&parents, 1)?)
}

/// The slot of each token that becomes a part of a token of `functional`'s: that of its parent.
fn slots_of(functional: &Functional, parents: &[u32]) -> Result<Vec<u32>> {
    let of = functional.slots.of();
    let slots = parents
        .iter()
        .map(|&parent| of.get(parent as usize).copied());
    let slots: Option<Vec<u32>> = slots.collect();
    slots.ok_or_else(|| {
        Error::trace(format!(
            "{} tokens were kept where {} are made from {}",
            of.len(),
            parents.len() / 4,
            parents.len()
        ))
    })
}
