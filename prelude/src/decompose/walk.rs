//! The walk itself: carry a linear functional from the target down the trace of one batch.

use super::channel_map::ChannelMap;
use super::plan::{Plan, Route};
use super::tokens::{TokenContributions, TokenFactors};
use super::{Component, Contributions, DecomposeOptions, Granularity, Sharing};
use crate::trace::{Kept, Node, NodeId, Op};
use crate::{Error, Result};
use candle_core::{Device, Tensor};

/// A linear functional of a node's value: pool the R tokens with each of K `weights` (B x K x R, or 1 x K x R), then
/// map the channels of the K rows to one. K is 1, or four times as many for each patch merging above.
#[derive(Clone)]
struct Functional {
    weights: Tensor,
    map: ChannelMap,
}

impl Functional {
    /// Apply to the kept rows of a node, B x R x c -> B x d.
    fn of(&self, value: &Tensor) -> candle_core::Result<Tensor> {
        self.map.apply(&self.pool(value)?.flatten(0, 1)?)
    }

    /// The weighted sums over tokens, B x R x c -> B x K x c.
    fn pool(&self, value: &Tensor) -> candle_core::Result<Tensor> {
        let (b, r, _) = value.dims3()?;
        let (_, k, rows) = self.weights.dims3()?;
        if rows != r {
            candle_core::bail!("weights for {rows} tokens, {r} were kept")
        }
        if r == 1 {
            return value.broadcast_mul(&self.weights);
        }
        let weights = self.weights.broadcast_as((b, k, r))?;
        weights.contiguous()?.matmul(&value.contiguous()?)
    }

    /// The value on a vector that is the same at every token, c -> B x d (or 1 x d).
    fn of_constant(&self, vector: &Tensor) -> candle_core::Result<Tensor> {
        let totals = self.weights.sum(2)?;
        if totals.dim(1)? == 1 {
            return totals.matmul(&self.map.apply(&vector.unsqueeze(0)?)?);
        }
        let rows = totals.flatten_all()?.unsqueeze(1)?;
        self.map.apply(&rows.broadcast_mul(&vector.unsqueeze(0)?)?)
    }
}

struct Walk<'a> {
    nodes: &'a [Node],
    options: &'a DecomposeOptions,
    batch: usize,
    /// B x d (or 1 x d) for each component, in the order met.
    found: Vec<(Component, Tensor)>,
    bias: Option<Tensor>,
    tokens: Vec<TokenFactors>,
}

/// Walk the trace of one batch.
pub(super) fn evaluate(
    plan: &Plan,
    nodes: &[Node],
    options: &DecomposeOptions,
    representation: Tensor,
) -> Result<Contributions> {
    let (batch, width) = representation.dims2()?;
    let mut walk = Walk {
        nodes,
        options,
        batch,
        found: Vec::new(),
        bias: None,
        tokens: Vec::new(),
    };
    let device = representation.device();
    let start = Functional {
        weights: Tensor::ones((1, 1, 1), representation.dtype(), device)?,
        map: start_map(nodes, plan, options, device)?,
    };
    walk.go(&plan.route, &start, None)?;
    if options.sharing == Sharing::Own {
        let bias = match walk.bias.take() {
            Some(bias) => bias,
            None => Tensor::zeros((1, width), representation.dtype(), device)?,
        };
        walk.found.push((Component::Bias, bias))
    }
    walk.found.sort_by_key(|(component, _)| *component);
    let values = walk
        .found
        .iter()
        .map(|(_, value)| value.broadcast_as((batch, width)))
        .collect::<candle_core::Result<Vec<_>>>()?;
    let values = Tensor::stack(&values, 0)?;
    let tokens = match options.granularity {
        Granularity::Tokens => Some(TokenContributions::new(walk.tokens, width)),
        _ => None,
    };
    Contributions::new(plan.components().to_vec(), values, representation, tokens)
}

/// The identity, or the pick of one logit.
fn start_map(
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
    fn go(&mut self, route: &Route, functional: &Functional, share: Option<&Tensor>) -> Result<()> {
        match route {
            Route::Split { stream, branch } => {
                self.go(branch, functional, share)?;
                self.go(stream, functional, share)
            }
            Route::Through { node, below } => {
                let constant = self.constant(*node, functional)?;
                let below_functional = self.pull(*node, functional)?;
                let share = self.give(constant, below.leaves(), share)?;
                self.go(below, &below_functional, share.as_ref())
            }
            Route::Whole {
                node,
                component,
                constants,
            } => {
                let mut value = functional.of(self.value(*node)?)?;
                if let Some(constant) = self.chain_constant(constants, functional)? {
                    value = value.broadcast_sub(&constant)?;
                    self.give(Some(constant), 1, None)?;
                }
                self.push(*component, value, share)
            }
            Route::Heads { node, site, heads } => {
                let mixed = match &self.nodes[*node].kept {
                    Kept::Attention { mixed, .. } => mixed,
                    _ => self.value(*node)?,
                };
                let pooled = functional.pool(mixed)?.flatten(0, 1)?;
                let (rows, width) = pooled.dims2()?;
                let by_head = pooled.reshape((rows, *heads, width / heads))?;
                let by_head = by_head.transpose(0, 1)?.contiguous()?;
                let values = functional.map.apply_heads(&by_head)?;
                for h in 0..*heads {
                    self.push(Component::head(*site, h), values.get(h)?, share)?
                }
                if let (Kept::Attention { probs, v, .. }, Op::Attend { windows, .. }) =
                    (&self.nodes[*node].kept, &self.nodes[*node].op)
                {
                    self.tokens.push(TokenFactors::new(
                        *site,
                        self.batch,
                        &functional.weights,
                        (probs, v.clone()),
                        windows.clone(),
                        functional.map.clone(),
                        share.cloned(),
                    )?)
                }
                Ok(())
            }
        }
    }

    fn push(&mut self, component: Component, value: Tensor, share: Option<&Tensor>) -> Result<()> {
        let value = match share {
            Some(share) => value.broadcast_add(share)?,
            None => value,
        };
        self.found.push((component, value));
        Ok(())
    }

    /// The kept value of a node, B x R x C.
    fn value(&self, node: NodeId) -> Result<&Tensor> {
        match &self.nodes[node].kept {
            Kept::Value(value) => Ok(value),
            _ => Err(Error::trace(format!("node {node} was not kept"))),
        }
    }

    /// Mean and reciprocal standard deviation a layer norm had, each B x R.
    fn statistics(&self, node: NodeId) -> Result<(&Tensor, &Tensor)> {
        match &self.nodes[node].kept {
            Kept::Statistics { mean, rstd } => Ok((mean, rstd)),
            _ => Err(Error::trace(format!("node {node} was not kept"))),
        }
    }

    /// What the op of `node` adds whatever its input is, seen through `functional`.
    fn constant(&self, node: NodeId, functional: &Functional) -> Result<Option<Tensor>> {
        match &self.nodes[node].op {
            Op::Linear {
                bias: Some(bias), ..
            } => Ok(Some(functional.of_constant(bias)?)),
            Op::LayerNorm { gamma, beta } => {
                let beta = functional.of_constant(beta)?;
                if self.options.sharing == Sharing::Own {
                    return Ok(Some(beta));
                }
                let (mean, rstd) = self.statistics(node)?;
                let centre = Functional {
                    weights: functional
                        .weights
                        .broadcast_mul(&(mean * rstd)?.unsqueeze(1)?)?,
                    map: functional.map.clone(),
                };
                Ok(Some(beta.broadcast_sub(&centre.of_constant(gamma)?)?))
            }
            _ => Ok(None),
        }
    }

    /// The functional of the op's input that `functional` is of its output.
    fn pull(&self, node: NodeId, functional: &Functional) -> Result<Functional> {
        let Functional { weights, map } = functional.clone();
        Ok(match &self.nodes[node].op {
            Op::Linear { weight, .. } => Functional {
                map: map.after_dense(weight),
                weights,
            },
            Op::Scale { gamma } => Functional {
                map: map.after_diagonal(gamma),
                weights,
            },
            Op::LayerNorm { gamma, .. } => {
                let (_, rstd) = self.statistics(node)?;
                let map = map.after_diagonal(gamma);
                Functional {
                    weights: weights.broadcast_mul(&rstd.unsqueeze(1)?)?,
                    map: match self.options.sharing {
                        Sharing::Own => map.after_centring(),
                        Sharing::Equal => map,
                    },
                }
            }
            Op::MeanTokens { len, .. } => {
                let (b, k, _) = weights.dims3()?;
                let each = (weights / *len as f64)?;
                Functional {
                    weights: each.broadcast_as((b, k, *len))?.contiguous()?,
                    map,
                }
            }
            Op::PoolTokens { side } => {
                let (parent, _) = quarters(*side, weights.device())?;
                Functional {
                    weights: (weights.contiguous()?.index_select(&parent, 2)? * 0.25)?,
                    map,
                }
            }
            Op::MergeTokens { side } => {
                let (parent, slot) = quarters(*side, weights.device())?;
                let (b, k, _) = weights.dims3()?;
                let spread = weights.contiguous()?.index_select(&parent, 2)?;
                let slots = Tensor::arange(0u32, 4, weights.device())?.unsqueeze(1)?;
                let chosen = slots.broadcast_eq(&slot.unsqueeze(0)?)?;
                let chosen = chosen
                    .to_dtype(weights.dtype())?
                    .unsqueeze(0)?
                    .unsqueeze(0)?;
                let spread = spread.unsqueeze(2)?.broadcast_mul(&chosen)?;
                Functional {
                    weights: spread.reshape((b, 4 * k, side * side))?,
                    map: map.after_merge(4),
                }
            }
            Op::SelectToken { .. } => Functional { weights, map },
            op => return Err(Error::trace(format!("{op:?} is not linear"))),
        })
    }

    /// The biases along a branch, seen through `functional`.
    fn chain_constant(&self, chain: &[NodeId], functional: &Functional) -> Result<Option<Tensor>> {
        let mut functional = functional.clone();
        let mut total: Option<Tensor> = None;
        for &node in chain {
            if let Some(constant) = self.constant(node, &functional)? {
                total = Some(add(total, constant)?)
            }
            functional = self.pull(node, &functional)?
        }
        Ok(total)
    }

    /// Hand `constant` out by the sharing rule; returns each component's share below.
    fn give(
        &mut self,
        constant: Option<Tensor>,
        leaves: usize,
        share: Option<&Tensor>,
    ) -> Result<Option<Tensor>> {
        let Some(constant) = constant else {
            return Ok(share.cloned());
        };
        match self.options.sharing {
            Sharing::Own => {
                self.bias = Some(add(self.bias.take(), constant)?);
                Ok(None)
            }
            Sharing::Equal => {
                let part = (constant / leaves as f64)?;
                Ok(Some(add(share.cloned(), part)?))
            }
        }
    }
}

/// For each token of a `side` x `side` grid: the token its 2 x 2 neighbours become, and its place among them in the
/// order of [`crate::trace::Traced::merge_tokens`].
fn quarters(side: usize, device: &Device) -> candle_core::Result<(Tensor, Tensor)> {
    let half = side / 2;
    let tokens = (0..side * side).map(|t| (t / side, t % side));
    let (parent, slot): (Vec<_>, Vec<_>) = tokens
        .map(|(y, x)| {
            let parent = y / 2 * half + x / 2;
            (parent as u32, (x % 2 * 2 + y % 2) as u32)
        })
        .unzip();
    Ok((Tensor::new(parent, device)?, Tensor::new(slot, device)?))
}

fn add(total: Option<Tensor>, x: Tensor) -> candle_core::Result<Tensor> {
    match total {
        Some(total) => total.broadcast_add(&x),
        None => Ok(x),
    }
}
