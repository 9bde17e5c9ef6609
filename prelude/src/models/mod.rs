//! The models: forward passes over the traced tensor, and nothing else.
//!
//! A new architecture is one file here that implements [`ImageEncoder`], and one line in [`family::FAMILIES`].

mod assumed;
pub mod clip;
pub mod config;
pub mod family;
pub mod hub;
pub mod layers;
pub mod limits;
pub mod maxvit;
mod model;
pub mod place;
pub mod swin;
pub mod text;
mod told;
pub mod vit;
pub mod weights;
pub mod zoo;

pub use clip::{Clip, ClipConfig};
pub use family::Network;
pub use maxvit::{MaxVit, MaxVitConfig};
pub use model::Model;
pub use place::Place;
pub use swin::{Swin, SwinConfig};
pub use vit::{Vit, VitConfig};

use crate::trace::{Block, Tape, Traced};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use serde_json::Value;

/// Mean and standard deviation of each colour channel, as the model was trained with.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Normalisation {
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

impl Normalisation {
    /// timm's `IMAGENET_DEFAULT_MEAN` and `_STD`.
    pub const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    /// open_clip's `OPENAI_DATASET_MEAN` and `_STD`.
    pub const CLIP: Self = Self {
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
    };

    /// `(pixels - mean) / std` for pixels in [0, 1], B x 3 x H x W.
    ///
    /// # Errors
    /// When the pixels are not f32, or have not three channels.
    pub fn apply(&self, pixels: &Tensor) -> Result<Tensor> {
        let dims = pixels.dims();
        if pixels.dtype() != DType::F32 || dims.len() != 4 || dims[1] != 3 {
            return Err(Error::argument(
                "pixels",
                format!("{:?} of {dims:?}", pixels.dtype()),
                "f32 values in 0 to 1 of shape [batch, 3, height, width]; bytes become that by (pixels.to_dtype(DType::F32)? / 255.)?",
            ));
        }
        let device = pixels.device();
        let mean = Tensor::new(&self.mean, device)?.reshape((1, 3, 1, 1))?;
        let std = Tensor::new(&self.std, device)?.reshape((1, 3, 1, 1))?;
        Ok(pixels.broadcast_sub(&mean)?.broadcast_div(&std)?)
    }
}

/// What a forward pass gives, B images.
#[derive(Clone, Debug)]
pub struct Features {
    /// The last tokens after the final norm, where the model norms before pooling: B x T x C.
    pub tokens: Traced,
    /// The final representation z, B x d (timm `forward_head(pre_logits=True)`, open_clip `encode_image`).
    pub representation: Traced,
    /// The linear head's logits, B x classes, where the model has a head.
    pub logits: Option<Traced>,
}

/// What a forward pass is made of, besides shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct Anatomy {
    /// Heads of a block: one number, or one for each stage.
    pub heads: Vec<usize>,
    /// Of the MLPs.
    pub activation: layers::Activation,
    /// How tokens become one vector.
    pub pooling: &'static str,
    /// Of the transformer's norms.
    pub norm_eps: f64,
}

/// A model's own classifier.
#[derive(Clone, Debug)]
pub enum ClassHead<'m> {
    /// There is none.
    None,
    /// Linear in the representation: weight, classes x d, and bias, classes, where there is one.
    Linear(&'m Tensor, Option<&'m Tensor>),
    /// Something else: a norm, a hidden layer.
    Nonlinear,
}

/// A vision model whose representation can be decomposed.
pub trait ImageEncoder: Send + Sync {
    /// Side of the square input, in pixels.
    fn image_size(&self) -> usize;
    /// Width d of the representation.
    fn width(&self) -> usize;
    /// The blocks from input to output.
    fn blocks(&self) -> Vec<Block>;
    /// Patches a row of the token grid, and tokens that stand before the patches.
    fn token_grid(&self) -> (usize, usize);
    /// What the tokens before the patches are: by default the class token first, then registers.
    fn tokens_before(&self) -> Vec<String> {
        let name = |i: usize| match i {
            0 => "class token".to_string(),
            _ => format!("register {i}"),
        };
        (0..self.token_grid().1).map(name).collect()
    }
    /// How pixels are normalised.
    fn normalisation(&self) -> Normalisation;
    /// Where the weights are.
    fn device(&self) -> &Device;
    /// What the forward pass is made of.
    fn anatomy(&self) -> Anatomy;
    /// Its own classifier.
    fn head(&self) -> ClassHead<'_> {
        ClassHead::None
    }
    /// The logits that its own classifier gives representations, B x d -> B x classes; none where it has none.
    ///
    /// # Errors
    /// When the representations have another width.
    fn classify_representations(&self, representations: &Tensor) -> Result<Option<Tensor>> {
        let ClassHead::Linear(weight, bias) = self.head() else {
            return Ok(None);
        };
        let logits = representations.matmul(&weight.t()?)?;
        Ok(Some(match bias {
            Some(bias) => logits.broadcast_add(bias)?,
            None => logits,
        }))
    }
    /// The forward pass of normalised pixels, B x 3 x H x W, recorded on `tape`.
    ///
    /// # Errors
    /// When the pixels do not have the model's shape.
    fn forward(&self, pixels: &Tensor, tape: &Tape) -> Result<Features>;

    /// The representations of images with pixels in [0, 1], B x 3 x H x W -> B x d.
    ///
    /// # Errors
    /// As [`Self::forward`].
    fn encode(&self, pixels: &Tensor) -> Result<Tensor> {
        let pixels = self
            .normalisation()
            .apply(&pixels.to_device(self.device())?)?;
        let features = self.forward(&pixels, &Tape::off())?;
        Ok(features.representation.value().clone())
    }
}

/// The JSON object `base` with the fields of `given`, if that is an object, in place of its own; objects within are
/// overlaid in turn.
pub(crate) fn overlay(mut base: Value, given: &Value) -> Value {
    if let (Some(fields), Some(given)) = (base.as_object_mut(), given.as_object()) {
        for (name, value) in given {
            let value = match fields.remove(name) {
                Some(own) if own.is_object() && value.is_object() => overlay(own, value),
                _ => value.clone(),
            };
            fields.insert(name.clone(), value);
        }
    }
    base
}

/// The configuration `found` with the fields of the JSON object `given` in place of its own; `what` it is a
/// configuration of, for messages.
pub(crate) fn configured<C: serde::Serialize + serde::de::DeserializeOwned>(
    found: &C,
    given: &Value,
    what: &str,
) -> Result<C> {
    let refuse =
        |e: serde_json::Error| Error::argument("config", given, format!("not {what}: {e}"));
    let fields = overlay(serde_json::to_value(found).map_err(refuse)?, given);
    serde_json::from_value(fields).map_err(refuse)
}

/// Check that `pixels` are B x 3 x size x size.
pub(crate) fn check_pixels(pixels: &Tensor, size: usize) -> Result<usize> {
    match pixels.dims() {
        &[b, 3, h, w] if h == size && w == size && b > 0 => Ok(b),
        dims => Err(Error::argument(
            "pixels",
            format!("{dims:?}"),
            format!("this model takes images of shape [batch, 3, {size}, {size}]"),
        )),
    }
}
