use super::{Activation, BatchNorm, Linear};
use crate::ops::{
    add_bias, depthwise::Placement, depthwise::depthwise_conv_then, depthwise_conv, gate,
    mean_over_tokens,
};
use crate::trace::{Block, Site, Tape, Traced};
use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use std::sync::OnceLock;

/// The shape of an inverted bottleneck.
#[derive(Clone, Copy, Debug)]
pub struct MbConvConfig {
    pub input: usize,
    pub output: usize,
    /// Side of the token grid that comes in.
    pub side: usize,
    pub stride: usize,
    pub activation: Activation,
    pub eps: f64,
}

/// Widening of the hidden channels, over the output's.
const EXPANSION: usize = 4;
const KERNEL: usize = 3;

/// The inverted bottleneck convolution with squeeze-and-excitation, on tokens B x T x C in place of images (timm
/// `MbConvBlock` with `same` padding).
#[derive(Clone, Debug)]
pub struct MbConv {
    at: Block,
    config: MbConvConfig,
    expand: Option<Linear>,
    pre_norm: BatchNorm,
    conv1: Tensor,
    norm1: BatchNorm,
    conv2: Tensor,
    norm2: BatchNorm,
    squeeze: (Linear, Linear),
    conv3: Linear,
    folded: OnceLock<Folded>,
}

/// Convolutions with the norms around them.
#[derive(Clone, Debug)]
struct Folded {
    conv1: Tensor,
    bias1: Tensor,
    taps: Tensor,
    bias2: Tensor,
}

impl MbConv {
    /// Weights under timm's names.
    pub fn new(vb: VarBuilder, config: MbConvConfig, at: Block) -> Result<Self> {
        let c = &config;
        let hidden = EXPANSION * c.output;
        let norm = |name: &str, width| BatchNorm::new(vb.pp(name), width, c.eps);
        let reduced = c.output / 4;
        let conv = |name: &str, shape: (usize, usize, usize, usize), fan: usize| {
            let init = Init::Randn {
                mean: 0.0,
                stdev: (fan as f64).powf(-0.5),
            };
            vb.pp(name).get_with_hints(shape, "weight", init)
        };
        let expand = match c.stride > 1 && c.input != c.output {
            true => Some(pointwise(vb.pp("shortcut.expand"), c.input, c.output)?),
            false => None,
        };
        Ok(Self {
            at,
            expand,
            pre_norm: norm("pre_norm", c.input)?,
            conv1: conv("conv1_1x1", (hidden, c.input, 1, 1), c.input)?.flatten_from(1)?,
            norm1: norm("norm1", hidden)?,
            conv2: conv("conv2_kxk", (hidden, 1, KERNEL, KERNEL), KERNEL * KERNEL)?
                .flatten_from(1)?,
            norm2: norm("norm2", hidden)?,
            squeeze: (
                pointwise(vb.pp("se.fc1"), hidden, reduced)?,
                pointwise(vb.pp("se.fc2"), reduced, hidden)?,
            ),
            conv3: pointwise(vb.pp("conv3_1x1"), hidden, c.output)?,
            folded: OnceLock::new(),
            config,
        })
    }

    /// B x T x C -> B x T' x C', with T' = T / stride^2.
    pub fn forward(&self, x: &Traced) -> Result<Traced> {
        let mut stream = match self.config.stride {
            1 => x.clone(),
            _ => x.pool_tokens(self.config.side)?,
        };
        if let Some(expand) = &self.expand {
            stream = expand.forward(&stream)?
        }
        let hidden = x.nonlinear(|value| self.hidden(value, x.tape()))?;
        stream.plus(Site::conv(self.at), &self.conv3.forward(&hidden)?)
    }

    /// Everything before the last convolution: B x T x C -> B x T' x hidden.
    fn hidden(&self, x: &Tensor, tape: &Tape) -> Result<Tensor> {
        let (b, t, c) = x.dims3()?;
        let MbConvConfig {
            side,
            stride,
            activation,
            ..
        } = self.config;
        let placement = Placement::same(side, KERNEL, stride);
        let image = |x: &Tensor| x.reshape((b, side, side, ()));
        let y = if tape.is_training() {
            let y = self.pre_norm.train(x, tape)?;
            let y = y.reshape((b * t, c))?.matmul(&self.conv1.t()?)?;
            let y = activation.apply(&self.norm1.train(&y, tape)?)?;
            let y = depthwise_conv(&image(&y)?, &self.conv2.t()?, placement)?;
            activation.apply(&self.norm2.train(&y, tape)?)?
        } else {
            let folded = self.folded()?;
            let y = activation.after_linear(x, &folded.conv1, Some(&folded.bias1))?;
            match activation.kernel() {
                Some(kernel) => depthwise_conv_then(
                    &image(&y)?,
                    &folded.taps,
                    placement,
                    &folded.bias2,
                    kernel,
                )?,
                None => {
                    let y = depthwise_conv(&image(&y)?, &folded.taps, placement)?;
                    activation.apply(&add_bias(&y, &folded.bias2)?)?
                }
            }
        };
        let y = y.flatten(1, 2)?;
        self.excite(&y)
    }

    /// The first two convolutions with the norms before and after them, which are linear while their statistics are fixed.
    /// Made once, unless a weight is a variable, which may change.
    fn folded(&self) -> Result<Folded> {
        if let Some(folded) = self.folded.get() {
            return Ok(folded.clone());
        }
        let (s0, t0) = self.pre_norm.affine()?;
        let (s1, t1) = self.norm1.affine()?;
        let (s2, t2) = self.norm2.affine()?;
        let conv1 = self.conv1.broadcast_mul(&s0)?;
        let from_shift = self.conv1.matmul(&t0.unsqueeze(1)?)?.squeeze(1)?;
        let folded = Folded {
            conv1: conv1.broadcast_mul(&s1.unsqueeze(1)?)?,
            bias1: ((from_shift * &s1)? + t1)?,
            taps: self.conv2.t()?.broadcast_mul(&s2)?,
            bias2: t2,
        };
        let made = [&folded.conv1, &folded.bias1, &folded.taps, &folded.bias2];
        if made.iter().all(|t| !t.track_op()) {
            // Another thread may have been first, with the same values.
            let _ = self.folded.set(folded.clone());
        }
        Ok(folded)
    }

    /// Each channel weighted by what the whole image says of it (squeeze-and-excitation).
    fn excite(&self, x: &Tensor) -> Result<Tensor> {
        let mean = Tape::off().source(mean_over_tokens(x)?)?;
        let inner = self.squeeze.0.forward(&mean)?.nonlinear(Tensor::silu)?;
        let factors = candle_nn::ops::sigmoid(self.squeeze.1.forward(&inner)?.value())?;
        gate(x, &factors)
    }
}

/// A convolution with a kernel of one pixel.
fn pointwise(vb: VarBuilder, input: usize, output: usize) -> Result<Linear> {
    let init = Init::Randn {
        mean: 0.0,
        stdev: (input as f64).powf(-0.5),
    };
    let weight = vb.get_with_hints((output, input, 1, 1), "weight", init)?;
    let bias = vb.get_with_hints(output, "bias", Init::Const(0.0))?;
    Ok(Linear::from_tensors(weight.flatten_from(1)?, Some(bias)))
}
