//! How well an aligner fits images it is given.

use candle_core::{D, DType, Tensor};

use super::{Aligner, Alignment, trainer};
use crate::check;
use crate::decompose::{ImageChunks, each_block};
use crate::identity::ImageEmbeddings;
use crate::{Error, Result};

impl Aligner {
    /// The mean over images of the cosine between the aligned sum of `contributions` (n x B x d) and `targets` (B x D),
    /// CLIP's embeddings of the same images: what a fit maximises, on any images.
    ///
    /// # Errors
    /// Shapes that do not fit, NaN or infinity.
    pub fn evaluate<C: ImageChunks + ?Sized>(
        &self,
        contributions: &C,
        targets: &Tensor,
    ) -> Result<f64> {
        let (n, images, d) = contributions.extent("contributions")?;
        let (rows, width) = check::matrix("targets", targets)?;
        check::same("targets", rows, images, "images")?;
        check::finite("targets", targets)?;
        match self.weights() {
            Some(maps) => {
                let (components, channels, target) = maps.dims3()?;
                check::same("contributions", n, components, "components")?;
                check::same("contributions", d, channels, "channels")?;
                check::same("targets", width, target, "channels")?;
            }
            None => check::same("targets", width, d, "channels")?,
        }
        let mut total = 0.0;
        each_block(contributions, |start, block| {
            let block = check::f32(block)?;
            let device = block.device();
            let z = match (self.weights(), self.bias()) {
                (Some(maps), Some(bias)) => {
                    let (maps, bias) = (maps.to_device(device)?, bias.to_device(device)?);
                    trainer::forward(&trainer::side_by_side(&block)?, &maps, &bias)?
                }
                _ => block.sum(0)?,
            };
            let y = targets.narrow(0, start, block.dim(1)?)?.to_device(device)?;
            let (z, y) = (z.to_dtype(DType::F64)?, y.to_dtype(DType::F64)?);
            let lengths = (z.sqr()?.sum(D::Minus1)? * y.sqr()?.sum(D::Minus1)?)?.sqrt()?;
            let cosines = ((z * y)?.sum(D::Minus1)? / lengths.maximum(f64::MIN_POSITIVE)?)?;
            total += cosines.sum_all()?.to_scalar::<f64>()?;
            check::finite_sum("contributions", total)
        })?;
        Ok(total / images as f64)
    }
}

impl Alignment {
    /// The mean over images of the cosine between the aligned sum of `contributions` and CLIP's `targets` of the same
    /// images, as [`Aligner::evaluate`].
    ///
    /// # Errors
    /// When the contributions are not those of the model and options that it was fitted for, the targets of another CLIP
    /// or of another number of images; as [`Aligner::evaluate`].
    pub fn evaluate<C: super::Alignable + ImageChunks + ?Sized>(
        &self,
        contributions: &C,
        targets: impl AsRef<ImageEmbeddings>,
    ) -> Result<f64> {
        let targets = targets.as_ref();
        self.check(contributions)?;
        let clip = self
            .aligner
            .origin()
            .and_then(|origin| origin.clip.as_ref());
        if let (Some(clip), Some(of)) = (clip, targets.origin())
            && let Some(reason) = clip.weights_differ(&of.model)
        {
            return Err(Error::Mismatch {
                doing: "evaluating an aligner",
                one: format!("the aligner to {clip}"),
                other: format!("targets of {}", of.model),
                reason,
                remedy: format!("embed the images with {clip}"),
            });
        }
        self.aligner.evaluate(contributions, targets)
    }
}
