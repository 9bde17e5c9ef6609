//! GELU, exact (`torch.nn.GELU()`), by its tanh approximation, and quick (`open_clip.transformer.QuickGELU`).

use super::kernel::computed;
use super::rows::{erf, exp, f32_slice, map_rows, zip_rows};
use super::{Path, path, widened};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// Values a row of an elementwise kernel takes at once.
const WIDTH: usize = 1024;

/// sqrt(2 / pi), and the factor of x^3, of GELU's tanh approximation.
const ROOT_2_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

/// An activation that has a kernel here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Exact GELU.
    Gelu,
    /// GELU's tanh approximation.
    GeluTanh,
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
}

impl Activation {
    /// Elementwise, differentiable wherever `x` is tracked.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_tanh(x),
            Self::QuickGelu => quick_gelu(x),
        }
    }

    /// In place of each of `values`. To be called from within [`super::rows::vectorised`].
    #[inline(always)]
    pub(super) fn replace(self, values: &mut [f32]) {
        // The match stands outside of the loops, which are then ones that the compiler vectorises.
        match self {
            Self::Gelu => {
                for x in values {
                    *x = Self::Gelu.value(*x)
                }
            }
            Self::GeluTanh => {
                for x in values {
                    *x = Self::GeluTanh.value(*x)
                }
            }
            Self::QuickGelu => {
                for x in values {
                    *x = Self::QuickGelu.value(*x)
                }
            }
        }
    }

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        match self {
            Self::Gelu => 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
            // (1 + tanh(u)) / 2 is the logistic function of 2 u.
            Self::GeluTanh => x / (1.0 + exp(-2.0 * ROOT_2_PI * (x + CUBIC * x * x * x))),
            Self::QuickGelu => x / (1.0 + exp(-1.702 * x)),
        }
    }

    #[inline(always)]
    fn derivative(self, x: f32) -> f32 {
        match self {
            Self::Gelu => {
                // d/dx x Phi(x) = Phi(x) + x phi(x)
                const INV_SQRT_2PI: f32 = 0.398_942_3;
                let cdf = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
                cdf + x * INV_SQRT_2PI * exp(-0.5 * x * x)
            }
            Self::GeluTanh => {
                let s = 1.0 / (1.0 + exp(-2.0 * ROOT_2_PI * (x + CUBIC * x * x * x)));
                let slope = 2.0 * ROOT_2_PI * (1.0 + 3.0 * CUBIC * x * x);
                s + x * s * (1.0 - s) * slope
            }
            Self::QuickGelu => {
                let s = 1.0 / (1.0 + exp(-1.702 * x));
                s + 1.702 * x * s * (1.0 - s)
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu-tanh",
            Self::QuickGelu => "quick-gelu",
        }
    }
}

struct Forward(Activation);

impl CustomOp1 for Forward {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = f32_slice(self.name(), x, l)?;
        let act = self.0;
        let out = map_rows(
            x,
            WIDTH,
            #[inline(always)]
            |x, out| {
                out.copy_from_slice(x);
                act.replace(out)
            },
        );
        Ok((CpuStorage::F32(out), l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let act = self.0;
        let dx = computed(self.name(), [x, grad], x.shape(), |[x, g]| {
            zip_rows(
                x,
                g,
                WIDTH,
                #[inline(always)]
                |x, g, out| {
                    for ((o, &x), &g) in out.iter_mut().zip(x).zip(g) {
                        *o = g * act.derivative(x)
                    }
                },
            )
        });
        Ok(Some(dx?))
    }
}

/// The kernel where there is one, `composed` where a gradient may be asked for, else `fused`.
fn apply(
    x: &Tensor,
    act: Activation,
    composed: fn(&Tensor) -> Result<Tensor>,
    fused: fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    match path(x, &[x]) {
        Path::Kernel => x.contiguous()?.apply_op1(Forward(act)),
        Path::Widened => {
            let wide = widened(x)?.contiguous()?;
            wide.apply_op1(Forward(act))?.to_dtype(x.dtype())
        }
        Path::Composed => composed(x),
        Path::Fused => fused(x),
    }
}

/// Exact GELU, x * Phi(x), elementwise.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    apply(x, Activation::Gelu, composed_gelu, Tensor::gelu_erf)
}

/// GELU's tanh approximation, `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2` (timm `gelu_tanh`), elementwise.
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    apply(x, Activation::GeluTanh, composed_gelu_tanh, Tensor::gelu)
}

/// Quick GELU, x * sigmoid(1.702 x), as OpenAI's CLIP weights use it, elementwise.
pub fn quick_gelu(x: &Tensor) -> Result<Tensor> {
    let composed = composed_quick_gelu;
    apply(x, Activation::QuickGelu, composed, composed)
}

// candle's own GELUs are differentiable too, but with constants of six digits in their backward passes.

pub(super) fn composed_gelu(x: &Tensor) -> Result<Tensor> {
    let phi = (((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)? * 0.5)?;
    x * phi
}

pub(super) fn composed_gelu_tanh(x: &Tensor) -> Result<Tensor> {
    let root = (2.0 / std::f64::consts::PI).sqrt();
    let slope = ((x.sqr()? * 0.044715)? + 1.0)?;
    let twice = ((x * slope)? * (2.0 * root))?;
    x * candle_nn::ops::sigmoid(&twice)?
}

pub(super) fn composed_quick_gelu(x: &Tensor) -> Result<Tensor> {
    x * candle_nn::ops::sigmoid(&(x * 1.702)?)?
}
