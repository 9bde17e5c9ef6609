//! Grad-CAM ("Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", Selvaraju et al. 2017).

use crate::check;
use crate::facts::{self, Facts};
use crate::{Error, Result};
use candle_core::Tensor;

/// What Grad-CAM finds in a layer of tokens.
#[derive(Clone)]
pub struct GradCam {
    /// The mean over patches of the gradient: B x C.
    pub weights: Tensor,
    /// The sum over channels of weight times value, before ReLU: B x h x w.
    pub raw: Tensor,
}

impl std::fmt::Display for GradCam {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = Facts::new("Grad-CAM of a layer")
            .row("weights", facts::tensor(&self.weights))
            .row("maps before ReLU", facts::tensor(&self.raw));
        write!(f, "{shown}")
    }
}

crate::identity::debug_as_display!(GradCam);

/// Grad-CAM of a layer's `values` and their `gradients`, both B x T x C, of which the first `prefix` tokens are no
/// patches.
///
/// # Errors
/// When the shapes differ, or the patches are no square.
pub fn grad_cam(values: &Tensor, gradients: &Tensor, prefix: usize) -> Result<GradCam> {
    let (b, tokens, _) = check::stack("values", values)?;
    if gradients.dims() != values.dims() {
        let expected = format!("{:?}, as the values", values.dims());
        return Err(Error::argument(
            "gradients",
            format!("{:?}", gradients.dims()),
            expected,
        ));
    }
    let patches = tokens.saturating_sub(prefix);
    let side = (patches as f64).sqrt().round() as usize;
    if patches == 0 || side * side != patches {
        let expected = format!("a square number behind {prefix} others");
        return Err(Error::argument("tokens", tokens, expected));
    }
    let of_patches = |t: &Tensor| t.narrow(1, prefix, patches);
    let weights = of_patches(gradients)?.mean(1)?;
    let raw = of_patches(values)?
        .broadcast_mul(&weights.unsqueeze(1)?)?
        .sum(2)?
        .reshape((b, side, side))?;
    Ok(GradCam { weights, raw })
}

/// Each map of B x h x w brought to 0 to 1 as `pytorch-grad-cam` does: less its least value, over its largest one then
/// (and 1e-7).
///
/// # Errors
/// When the maps are not B x h x w.
pub fn scaled_to_unit(maps: &Tensor) -> Result<Tensor> {
    let (b, h, w) = check::stack("maps", maps)?;
    let flat = maps.reshape((b, h * w))?;
    let from_least = flat.broadcast_sub(&flat.min_keepdim(1)?)?;
    let most = (from_least.max_keepdim(1)? + 1e-7)?;
    Ok(from_least.broadcast_div(&most)?.reshape((b, h, w))?)
}
