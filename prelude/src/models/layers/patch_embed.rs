use crate::models::weights::Checkpoint;
use crate::ops::linear;
use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// Non-overlapping patches, each mapped to a token (timm `PatchEmbed`). The convolution is a matrix product over
/// flattened patches: its stride is its kernel.
#[derive(Clone, Debug)]
pub struct PatchEmbed {
    weight: Tensor,
    bias: Option<Tensor>,
    patch: usize,
    side: usize,
}

impl PatchEmbed {
    /// `proj.weight`: width x 3 x patch x patch, `proj.bias`: width.
    pub fn new(
        vb: VarBuilder,
        image: usize,
        patch: usize,
        width: usize,
        bias: bool,
    ) -> Result<Self> {
        let vb = vb.pp("proj");
        let init = Init::Randn {
            mean: 0.0,
            stdev: (3.0 * (patch * patch) as f64).powf(-0.5),
        };
        let weight = vb.get_with_hints((width, 3, patch, patch), "weight", init)?;
        let bias = match bias {
            true => Some(vb.get_with_hints(width, "bias", Init::Const(0.0))?),
            false => None,
        };
        Ok(Self {
            weight: weight.flatten(1, 3)?,
            bias,
            patch,
            side: image / patch,
        })
    }

    /// B x 3 x H x W -> B x (H/p W/p) x C, row by row.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let (b, c, _, _) = pixels.dims4()?;
        let (side, p) = (self.side, self.patch);
        let covered = side * p;
        let pixels = pixels.narrow(2, 0, covered)?.narrow(3, 0, covered)?;
        let patches = pixels.contiguous()?.reshape(&[b, c, side, p, side, p])?;
        let patches = patches.permute([0, 2, 4, 1, 3, 5].to_vec())?;
        let patches = patches.reshape((b * side * side, c * p * p))?;
        let tokens = linear(&patches, &self.weight, self.bias.as_ref(), None)?;
        tokens.reshape((b, side * side, ()))
    }
}

impl Checkpoint {
    /// Check that the patches embedded by `key` are square and of three colours.
    ///
    /// # Errors
    /// When they are not.
    pub(in crate::models) fn square_patches(&self, key: &str) -> crate::Result<()> {
        match self.shape(key) {
            Some(&[_, 3, height, width]) if height == width && height > 0 => Ok(()),
            Some(dims) => {
                let key = &self.naming().to_file(key)[0].0;
                let reason = format!(
                    "\"{key}\" has shape {dims:?}: square patches of three colours are built"
                );
                Err(crate::Error::weights(self.path(), reason))
            }
            None => Ok(()),
        }
    }
}
