//! The walk itself: carry a linear functional from the target down the trace of one batch.

use super::channel_map::ChannelMap;
use super::plan::{Plan, Route};
use super::tokens::{TokenContributions, TokenFactors};
use super::{Component, Contributions, Granularity, Options, Sharing};
use crate::trace::{Kept, Node, NodeId, Op};
use crate::{Error, Result};
use candle_core::{Device, Tensor};

/// A linear functional of a node's value: pool tokens with `weights` (B x R, or 1 x R), then map channels.
#[derive(Clone)]
struct Functional {
    weights: Tensor,
    map: ChannelMap,
}

impl Functional {
    /// Apply to the kept rows of a node, B x R x c -> B x d.
    fn of(&self, value: &Tensor) -> candle_core::Result<Tensor> {
        self.map.apply(&self.pool(value)?)
    }

    /// The weighted sum over tokens, B x R x c -> B x c.
    fn pool(&self, value: &Tensor) -> candle_core::Result<Tensor> {
        let (b, r, _) = value.dims3()?;
        if r == 1 {
            return value.squeeze(1)?.broadcast_mul(&self.weights);
        }
        let weights = self.weights.broadcast_as((b, r))?.unsqueeze(1)?;
        weights
            .contiguous()?
            .matmul(&value.contiguous()?)?
            .squeeze(1)
    }

    /// The value on a vector that is the same at every token, c -> B x d (or 1 x d).
    fn of_constant(&self, vector: &Tensor) -> candle_core::Result<Tensor> {
        let total = self.weights.sum_keepdim(1)?;
        total.matmul(&self.map.apply(&vector.unsqueeze(0)?)?)
    }
}

struct Walk<'a> {
    nodes: &'a [Node],
    options: &'a Options,
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
    options: &Options,
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
        weights: Tensor::ones((1, 1), representation.dtype(), device)?,
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
        Granularity::Tokens => Some(TokenContributions::new(walk.tokens)),
        _ => None,
    };
    Contributions::new(plan.components().to_vec(), values, representation, tokens)
}

/// The identity, or the pick of one logit.
fn start_map(
    nodes: &[Node],
    plan: &Plan,
    options: &Options,
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
                let pooled = functional.pool(mixed)?;
                let width = pooled.dim(1)? / heads;
                let by_head = pooled.reshape((self.batch, *heads, width))?;
                let by_head = by_head.transpose(0, 1)?.contiguous()?;
                let values = functional.map.apply_heads(&by_head)?;
                for h in 0..*heads {
                    self.push(Component::head(*site, h), values.get(h)?, share)?
                }
                if let Kept::Attention { probs, v, .. } = &self.nodes[*node].kept {
                    self.tokens.push(TokenFactors::new(
                        *site,
                        &functional.weights,
                        probs,
                        v.clone(),
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
                    weights: functional.weights.broadcast_mul(&(mean * rstd)?)?,
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
                    weights: weights.broadcast_mul(rstd)?,
                    map: match self.options.sharing {
                        Sharing::Own => map.after_centring(),
                        Sharing::Equal => map,
                    },
                }
            }
            Op::MeanTokens { len, .. } => {
                let (b, _) = weights.dims2()?;
                let each = (weights / *len as f64)?;
                Functional {
                    weights: each.broadcast_as((b, *len))?.contiguous()?,
                    map,
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

fn add(total: Option<Tensor>, x: Tensor) -> candle_core::Result<Tensor> {
    match total {
        Some(total) => total.broadcast_add(&x),
        None => Ok(x),
    }
}
