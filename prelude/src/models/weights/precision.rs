//! The type in which a model takes its large products.

use crate::{Error, Result};
use candle_core::DType;

/// The type of a block's large products: queries, keys, values and their attention, and both layers of an MLP, with sums in
/// f32. The residual stream, norms, softmax, the attention's output layer, patch merging, convolutions, heads and a text tower
/// are in f32 whatever this says: what a component adds to the stream is then known exactly, and contributions sum up to the
/// representation as well as in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    #[default]
    F32,
    /// Eight bits of precision, the range of f32.
    Bf16,
    /// Eleven bits of precision, values up to 65504.
    F16,
}

/// What the layers in half precision are called, in every family.
const HALF: [&str; 3] = [".attn.qkv.", ".mlp.fc1.", ".mlp.fc2."];

impl Precision {
    /// By its name, as the argument `dtype` has it.
    ///
    /// # Errors
    /// When the name is none of `f32`, `bf16` and `f16`.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            _ => {
                let expected = "\"f32\", \"bf16\" or \"f16\"";
                Err(Error::argument("dtype", format!("\"{name}\""), expected))
            }
        }
    }

    /// As [`Self::named`] takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// The type of the tensor `name` of a model, by timm's name.
    pub(super) fn of(self, name: &str) -> DType {
        let half = HALF.iter().any(|part| name.contains(part)) && !name.starts_with("text.");
        match self {
            Self::Bf16 if half => DType::BF16,
            Self::F16 if half => DType::F16,
            _ => DType::F32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_layers_of_images_alone_are_in_half_precision() {
        let half = Precision::Bf16;
        for name in ["blocks.3.attn.qkv.weight", "visual.blocks.0.mlp.fc2.bias"] {
            assert_eq!(half.of(name), DType::BF16, "{name}");
            assert_eq!(Precision::F16.of(name), DType::F16, "{name}");
            assert_eq!(Precision::F32.of(name), DType::F32, "{name}");
        }
        for name in [
            "blocks.3.attn.proj.weight",
            "blocks.0.norm1.weight",
            "text.blocks.0.mlp.fc1.weight",
            "head.weight",
            "stages.0.blocks.0.conv.se.fc1.weight",
        ] {
            assert_eq!(half.of(name), DType::F32, "{name}");
        }
        for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
            assert_eq!(Precision::named(precision.name()).ok(), Some(precision));
        }
        assert!(Precision::named("half").is_err());
    }
}
