//! Named values on the way of a forward pass, which can be looked at and changed.

use super::{Block, Site};
use candle_core::{DType, Result, Tensor};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// What a named value is, within its block. The names are TransformerLens' (`hook_q`, `attn.hook_pattern`, ...) without
/// `hook_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookKind {
    /// What a convolution adds to the residual stream (MaxViT).
    ConvOut,
    /// The residual stream before a block's attention: B x T x C.
    ResidPre,
    /// The stream as attention reads it, after its norm: B x T x C.
    Ln1,
    /// Queries, before they are scaled: B x H x T x C/H.
    Q,
    /// Keys: B x H x T x C/H.
    K,
    /// Values: B x H x T x C/H.
    V,
    /// What goes into the softmax, position bias and mask included: B x H x T x T.
    AttnScores,
    /// Attention probabilities: B x H x T x T, queries by sources.
    Pattern,
    /// Each head's mix of values, before the output projection: B x H x T x C/H.
    Z,
    /// What attention adds to the residual stream, LayerScale included: B x T x C.
    AttnOut,
    /// The residual stream between attention and MLP: B x T x C.
    ResidMid,
    /// The stream as the MLP reads it, after its norm: B x T x C.
    Ln2,
    /// The MLP's units before the activation function: B x T x hidden.
    MlpPre,
    /// The MLP's units after it: B x T x hidden.
    MlpPost,
    /// What the MLP adds to the residual stream, LayerScale included: B x T x C.
    MlpOut,
    /// The residual stream after the block's MLP: B x T x C.
    ResidPost,
}

impl HookKind {
    /// Its name, as in `block 5 pattern`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConvOut => "conv_out",
            Self::ResidPre => "resid_pre",
            Self::Ln1 => "ln1",
            Self::Q => "q",
            Self::K => "k",
            Self::V => "v",
            Self::AttnScores => "attn_scores",
            Self::Pattern => "pattern",
            Self::Z => "z",
            Self::AttnOut => "attn_out",
            Self::ResidMid => "resid_mid",
            Self::Ln2 => "ln2",
            Self::MlpPre => "mlp_pre",
            Self::MlpPost => "mlp_post",
            Self::MlpOut => "mlp_out",
            Self::ResidPost => "resid_post",
        }
    }

    /// Whether it has one part for each head, along axis 1.
    pub fn has_heads(self) -> bool {
        matches!(
            self,
            Self::Q | Self::K | Self::V | Self::AttnScores | Self::Pattern | Self::Z
        )
    }

    /// Whether the tokens that attend to each other stand together: in a model with windows each image is then one
    /// row a window.
    pub fn is_windowed(self) -> bool {
        self.has_heads() && self != Self::Z
    }
}

/// A named value: `block 5 pattern`, `stage 2 block 1 window mlp_post`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HookPoint {
    pub block: Block,
    pub kind: HookKind,
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.block, self.kind.name())
    }
}

/// Takes each named value as it is computed, and gives what the forward pass goes on with.
pub type Hook = Box<dyn FnMut(HookPoint, Tensor) -> Result<Tensor>>;

/// The hook of a tape, and the residual branch that is being computed.
#[derive(Clone)]
pub(super) struct Watch {
    hook: Rc<RefCell<Hook>>,
    site: Rc<Cell<Option<Site>>>,
}

impl Watch {
    pub fn new(hook: Hook) -> Self {
        Self {
            hook: Rc::new(RefCell::new(hook)),
            site: Rc::default(),
        }
    }

    /// Runs `branch`, the branch at `site`.
    pub fn within<T>(&self, site: Site, branch: impl FnOnce() -> T) -> T {
        let outer = self.site.replace(Some(site));
        let made = branch();
        self.site.set(outer);
        made
    }

    /// Passes the `value` of `kind` in the branch that is being computed; a value outside any branch has no name.
    pub fn pass(&self, kind: HookKind, value: Tensor) -> Result<Tensor> {
        match self.site.get() {
            Some(site) => self.pass_at(site.block, kind, value),
            None => Ok(value),
        }
    }

    pub fn pass_at(&self, block: Block, kind: HookKind, value: Tensor) -> Result<Tensor> {
        let (shape, dtype) = (value.shape().clone(), value.dtype());
        let point = HookPoint { block, kind };
        // What is computed in half precision is shown in f32, which holds it exactly.
        let value = match dtype {
            DType::F16 | DType::BF16 => value.to_dtype(DType::F32)?,
            _ => value,
        };
        let given = (self.hook.borrow_mut())(point, value)?;
        if *given.shape() != shape {
            candle_core::bail!(
                "the hook at {point} gave {:?} in place of {shape:?}; a hook keeps the shape",
                given.shape()
            )
        }
        given.to_dtype(dtype)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({:?})", self.site.get())
    }
}
