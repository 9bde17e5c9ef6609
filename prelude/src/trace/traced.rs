//! The traced tensor and its operations.

use super::hook::HookKind;
use super::op::{Keep, Kept, Op, Rows};
use super::tape::{Node, NodeId, Tape};
use super::{Branch, Site, Windows};
use crate::ops;
use candle_core::{Result, Tensor};
use std::sync::Arc;

/// A tensor with its place on a tape. Shapes are B x T x C, or B x C once tokens are pooled.
#[derive(Clone, Debug)]
pub struct Traced {
    value: Tensor,
    tape: Tape,
    node: NodeId,
}

impl Tape {
    /// Start a trace from `value`: what came before it is one component, `init`.
    pub fn source(&self, value: Tensor) -> Result<Traced> {
        Traced::record(self, value, Op::Nonlinear, &[])
    }
}

impl Traced {
    fn record(tape: &Tape, value: Tensor, op: Op, from: &[&Self]) -> Result<Self> {
        Self::record_keeping(tape, value, op, from, |_, _| Ok(Kept::Nothing))
    }

    /// Record a node, keeping its value where the tape asks for it, and `special` where it asks for more.
    fn record_keeping(
        tape: &Tape,
        value: Tensor,
        op: Op,
        from: &[&Self],
        special: impl FnOnce(Keep, &Tensor) -> Result<Kept>,
    ) -> Result<Self> {
        tape.check()?;
        let mut node = 0;
        if let Some(record) = &tape.record {
            let mut record = record.borrow_mut();
            let kept = match record.next_keep() {
                Keep::Nothing => Kept::Nothing,
                Keep::Value(rows) => Kept::Value(rows.of(&value)?),
                keep => special(keep, &value)?,
            };
            let inputs = from.iter().map(|x| x.node).collect();
            node = record.push(Node { op, inputs, kept });
        }
        Ok(Self {
            value,
            tape: tape.clone(),
            node,
        })
    }

    /// The tape this tensor is on.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// The plain tensor.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The node this tensor is, on the tape it was recorded on.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Any operation that is not linear in its input; the walk stops here.
    pub fn nonlinear(&self, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Self::record(&self.tape, f(&self.value)?, Op::Nonlinear, &[self])
    }

    /// A linear layer and an activation that `f` computes in one pass: both are recorded, and nothing is kept of the value
    /// between them, which is never made. The walk stops behind it.
    pub fn linear_nonlinear(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        f: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        let value = f(&self.value)?;
        let op = Op::Linear {
            weight: weight.clone(),
            bias: bias.cloned(),
        };
        if let Some(record) = &self.tape.record
            && record.borrow().next_keep() != Keep::Nothing
        {
            candle_core::bail!("the value between a linear layer and its activation is never made")
        }
        let linear = Self::record(&self.tape, value.clone(), op, &[self])?;
        Self::record(&self.tape, value, Op::Nonlinear, &[&linear])
    }

    /// `self + branch(self)`, the branch's contributions carrying the name of `site`.
    pub fn residual(&self, site: Site, branch: impl FnOnce(&Self) -> Result<Self>) -> Result<Self> {
        let Some(watch) = &self.tape.watch else {
            return self.plus(site, &branch(self)?);
        };
        let stream = match site.branch {
            Branch::Attention => self.passed(site, HookKind::ResidPre)?,
            Branch::Conv | Branch::Mlp => self.clone(),
        };
        stream.plus(site, &watch.within(site, || branch(&stream))?)
    }

    /// This traced tensor, with the value that the tape's hook gives for it.
    pub fn hooked(&self, kind: HookKind) -> Result<Self> {
        Ok(Self {
            value: self.tape.pass(kind, self.value.clone())?,
            ..self.clone()
        })
    }

    /// [`Self::hooked`] for a value whose `heads` stand side by side in the channels, B x T x C: the hook has it as
    /// B x H x T x C/H.
    pub fn heads_hooked(&self, kind: HookKind, heads: usize) -> Result<Self> {
        if !self.tape.is_hooked() {
            return Ok(self.clone());
        }
        let (b, t, width) = self.value.dims3()?;
        let apart = self.value.reshape((b, t, heads, width / heads))?;
        let value = self.tape.pass(kind, apart.transpose(1, 2)?)?;
        Ok(Self {
            value: value.transpose(1, 2)?.reshape((b, t, width))?,
            ..self.clone()
        })
    }

    fn passed(&self, site: Site, kind: HookKind) -> Result<Self> {
        let value = match &self.tape.watch {
            Some(watch) => watch.pass_at(site.block, kind, self.value.clone())?,
            None => return Ok(self.clone()),
        };
        Ok(Self {
            value,
            ..self.clone()
        })
    }

    /// `self + branch`, where `self` is the stream after whatever leads past the branch.
    pub fn plus(&self, site: Site, branch: &Self) -> Result<Self> {
        let (out, after) = match site.branch {
            Branch::Conv => (HookKind::ConvOut, None),
            Branch::Attention => (HookKind::AttnOut, Some(HookKind::ResidMid)),
            Branch::Mlp => (HookKind::MlpOut, Some(HookKind::ResidPost)),
        };
        let branch = branch.passed(site, out)?;
        let value = ops::add(&self.value, &branch.value)?;
        let sum = Self::record(&self.tape, value, Op::Residual(site), &[self, &branch])?;
        match after {
            Some(kind) => sum.passed(site, kind),
            None => Ok(sum),
        }
    }

    /// `self W^T + b` over channels; `weight`: out x in.
    pub fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let y = ops::linear(&self.value, weight, bias, None)?;
        let op = Op::Linear {
            weight: weight.clone(),
            bias: bias.cloned(),
        };
        Self::record(&self.tape, y, op, &[self])
    }

    /// `gamma * self`, channel by channel.
    pub fn scale(&self, gamma: &Tensor) -> Result<Self> {
        let value = ops::scale(&self.value, gamma)?;
        let gamma = gamma.clone();
        Self::record(&self.tape, value, Op::Scale { gamma }, &[self])
    }

    /// Layer norm over channels.
    pub fn layer_norm(&self, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<Self> {
        let value = ops::layer_norm(&self.value, gamma, beta, eps)?;
        let op = Op::LayerNorm {
            gamma: gamma.clone(),
            beta: beta.clone(),
        };
        Self::record_keeping(&self.tape, value, op, &[self], |keep, _| match keep {
            Keep::Statistics(rows) => {
                let (mean, rstd) = ops::layer_norm_statistics(&rows.of(&self.value)?, eps)?;
                Ok(Kept::Statistics { mean, rstd })
            }
            _ => Ok(Kept::Nothing),
        })
    }

    /// Token `index`: B x T x C -> B x C.
    pub fn select_token(&self, index: usize) -> Result<Self> {
        let value = self.value.narrow(1, index, 1)?.squeeze(1)?.contiguous()?;
        Self::record(&self.tape, value, Op::SelectToken { index }, &[self])
    }

    /// The mean over tokens `start ..`: B x T x C -> B x C.
    pub fn mean_tokens(&self, start: usize) -> Result<Self> {
        let len = self.value.dim(1)? - start;
        let value = ops::mean_over_tokens(&self.value.narrow(1, start, len)?)?;
        Self::record(&self.tape, value, Op::MeanTokens { start, len }, &[self])
    }

    /// The mean of each 2 x 2 neighbours of a `side` x `side` grid: B x T x C -> B x T/4 x C (average pooling with
    /// kernel and stride 2).
    pub fn pool_tokens(&self, side: usize) -> Result<Self> {
        let (b, _, c) = self.value.dims3()?;
        let half = side / 2;
        let value = self.value.reshape((b * half, 2, half, 2, c))?;
        let value = (value.sum((1, 3))? * 0.25)?.reshape((b, half * half, c))?;
        Self::record(&self.tape, value, Op::PoolTokens { side }, &[self])
    }

    /// Each 2 x 2 neighbours of a `side` x `side` grid side by side in the channels, B x T x C -> B x T/4 x 4C: upper
    /// left, lower left, upper right, lower right (timm `PatchMerging`).
    pub fn merge_tokens(&self, side: usize) -> Result<Self> {
        let (b, _, c) = self.value.dims3()?;
        let half = side / 2;
        let value = self.value.reshape((b * half, 2, half, 2, c))?;
        let value = value.permute((0, 2, 3, 1, 4))?;
        let value = value.reshape((b, half * half, 4 * c))?;
        Self::record(&self.tape, value, Op::MergeTokens { side }, &[self])
    }

    /// Attention's weighted sum with the probabilities taken as given: `probs` B x H x T x S, `v` B x H x S x C/H;
    /// gives B x T x C with the heads side by side. With `windows` both have windows in place of images.
    pub fn attend(&self, probs: Tensor, v: Tensor, windows: Option<&Arc<Windows>>) -> Result<Self> {
        let (b, heads, t, _) = probs.dims4()?;
        let mixed = ops::matmul(&probs, &v)?;
        let width = heads * v.dim(3)?;
        let value = mixed.transpose(1, 2)?.reshape((b, t, width))?;
        let value = match windows {
            Some(windows) => windows.join(&value)?,
            None => value,
        };
        let op = Op::Attend {
            heads,
            windows: windows.cloned(),
        };
        Self::record_keeping(&self.tape, value, op, &[self], |keep, value| match keep {
            Keep::Attention(rows) => Ok(Kept::Attention {
                mixed: Some(rows.of(value)?),
                probs: match windows {
                    Some(windows) => {
                        check_window_rows(rows, value.dim(1)?, Some(windows))?;
                        probs.clone()
                    }
                    None => rows.along(&probs, 2)?,
                },
                // v is a view of q, k and v together, of which two would be kept for nothing.
                v: v.force_contiguous()?,
            }),
            _ => Ok(Kept::Nothing),
        })
    }

    /// Attention of q, k and v side by side, B x T x 3C, in one kernel: the same as [`Self::attend`] with the
    /// probabilities made of them, of which those that the tape is to keep are written out. `bias` as for
    /// [`ops::attention::attention`].
    pub fn attend_fused(
        &self,
        heads: usize,
        bias: Option<&Tensor>,
        windows: Option<&Arc<Windows>>,
    ) -> Result<Self> {
        let t = self.value.dim(1)?;
        let keep = match &self.tape.record {
            Some(record) => record.borrow().next_keep(),
            None => Keep::Nothing,
        };
        let asked = match (keep, windows) {
            (Keep::Attention(Rows::Range { start, len }), None) => Some(start..start + len),
            (Keep::Attention(Rows::All), None) => Some(0..t),
            (Keep::Attention(_), Some(windows)) => Some(0..windows.size()),
            _ => None,
        };
        let groups = windows.map(|windows| windows.groups());
        let made = ops::attention::attention(&self.value, heads, bias, groups, asked)?;
        let op = Op::Attend {
            heads,
            windows: windows.cloned(),
        };
        Self::record_keeping(&self.tape, made.mixed, op, &[self], |keep, _| {
            let (Keep::Attention(rows), Some(ops::attention::Factors { probs, v })) =
                (keep, made.kept)
            else {
                return Ok(Kept::Nothing);
            };
            check_window_rows(rows, t, windows)?;
            let mixed = None;
            Ok(Kept::Attention { mixed, probs, v })
        })
    }
}

/// Windows hold all tokens, so that all must matter where they are told apart.
fn check_window_rows(rows: Rows, tokens: usize, windows: Option<&Arc<Windows>>) -> Result<()> {
    match (windows, rows) {
        (Some(_), Rows::Range { len, .. }) if len != tokens => {
            candle_core::bail!("windows are split over source tokens only where all tokens matter")
        }
        _ => Ok(()),
    }
}
