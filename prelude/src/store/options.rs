//! How contributions are stored.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Bytes of a chunk where its images are not said: large enough for an object store, small enough that a few are in
/// memory at once.
const CHUNK: usize = 16 << 20;

/// The same where source tokens are kept, which a chunk has in two or three arrays a layer.
const TOKEN_CHUNK: usize = 64 << 20;

/// The type of stored values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreType {
    /// As computed.
    #[default]
    F32,
    /// Half the bytes; a value is off by at most 1 / 2048 of itself, and none may be beyond 65,504.
    F16,
}

impl StoreType {
    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

impl std::str::FromStr for StoreType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "f32" | "float32" => Ok(Self::F32),
            "f16" | "float16" => Ok(Self::F16),
            _ => Err(Error::argument(
                "dtype",
                name,
                "f32, or f16 for half the bytes",
            )),
        }
    }
}

/// How contributions are stored: `StoreOptions { dtype: StoreType::F16, ..Default::default() }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// The type of the values.
    pub dtype: StoreType,
    /// Images of a chunk; as many as 16 MB hold where it is not said, or 64 MB with source tokens.
    pub chunk: Option<usize>,
}

impl StoreOptions {
    /// The images of a chunk, for so many `images` that have `numbers` each in their contributions, and `tokens` in their
    /// source tokens, where these are kept.
    pub(super) fn images_of_chunk(
        &self,
        numbers: usize,
        tokens: Option<usize>,
        images: usize,
    ) -> Result<usize> {
        let (bytes, most) = match tokens {
            None => (numbers, CHUNK),
            Some(tokens) => (numbers + tokens, TOKEN_CHUNK),
        };
        let fitting = most / (self.dtype.bytes() * bytes.max(1));
        let chunk = match self.chunk {
            Some(0) => return Err(Error::argument("chunk", 0, "one image or more")),
            Some(images) => images,
            None => fitting.clamp(1, 4096),
        };
        // All chunks of a Zarr array have one size, so a larger one would hold nothing but filling.
        Ok(chunk.min(images.max(1)))
    }
}
