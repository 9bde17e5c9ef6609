//! CompAlign: linear maps from each component of a model to CLIP's image space (section 3.2 of "Decomposing and
//! Interpreting Image Representations via Text in ViTs Beyond CLIP", NeurIPS 2024).
//!
//! One map W_i for each component and a shared bias b are fitted so that sum_i c_i W_i + b points where CLIP's
//! image embedding does. The isometry term keeps each map near a rotation, so that what was a large
//! contribution stays one.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use vitrepl_prelude::align::{Aligner, FitOptions};
//!
//! // Two components of 200 images; the target is their sum, turned by a quarter.
//! let values: Vec<f32> = (0..1600).map(|i| (i as f32 * 0.7).sin()).collect();
//! let c = Tensor::from_vec(values, (2, 200, 4), &Device::Cpu)?;
//! let turn = Tensor::new(&[[0f32, 1., 0., 0.], [-1., 0., 0., 0.], [0., 0., 0., 1.], [0., 0., -1., 0.]], &Device::Cpu)?;
//! let targets = c.sum(0)?.matmul(&turn)?;
//! let (aligner, report) = Aligner::fit(&c, &targets, &FitOptions::default())?;
//! assert!(report.held_out_cosine > 0.98, "{report}");
//! assert_eq!(aligner.apply(&c)?.dims(), [2, 200, 4]);
//! # Ok::<(), vitrepl_prelude::Error>(())
//! ```

mod adam;
pub(crate) mod check;
mod fit;
mod options;
mod sealed;
mod start;
mod state;
mod trainer;

use std::path::Path;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

pub use options::{FitOptions, FitReport, Progress, Start};
pub use trainer::{Gradients, Loss, Trainer};

use crate::{Error, Result};
use sealed::Sealed;

/// Maps from components to CLIP space.
#[derive(Debug, Clone)]
pub struct Aligner {
    maps: Option<Maps>,
}

#[derive(Debug, Clone)]
struct Maps {
    /// n x d x D
    weights: Tensor,
    /// D
    bias: Tensor,
}

/// What an aligner file says of itself.
#[derive(Serialize, Deserialize)]
struct Description {
    kind: String,
    components: usize,
    width: usize,
    target: usize,
}

const KIND: &str = "aligner";
const IDENTITY: &str = "identity aligner";

impl Aligner {
    /// Fits maps for `contributions` (n x B x d) against CLIP's image embeddings `targets` (B x D) of the same
    /// images. Part of the images is held out; the maps with the best held-out cosine are returned.
    ///
    /// # Errors
    /// Shapes that do not fit, fewer than two images, NaN or infinity, settings outside their range, a
    /// checkpoint that is damaged or of another fit, a loss that diverged; [`Error::Interrupted`] when
    /// `options.stop` says so.
    pub fn fit(
        contributions: &Tensor,
        targets: &Tensor,
        options: &FitOptions,
    ) -> Result<(Self, FitReport)> {
        fit::fit(contributions, targets, options)
    }

    /// Leaves contributions as they are: for CLIP itself, whose components are in its space already.
    pub fn identity() -> Self {
        Self { maps: None }
    }

    /// Maps given outright: `weights` n x d x D and `bias` D.
    pub fn from_maps(weights: Tensor, bias: Tensor) -> Result<Self> {
        let (_, _, width) = check::stack("weights", &weights)?;
        check::same("bias", bias.elem_count(), width, "values")?;
        let bias = bias.flatten_all()?;
        Ok(Self {
            maps: Some(Maps { weights, bias }),
        })
    }

    /// Whether this is the identity.
    pub fn is_identity(&self) -> bool {
        self.maps.is_none()
    }

    /// The maps, n x d x D; none for the identity.
    pub fn weights(&self) -> Option<&Tensor> {
        self.maps.as_ref().map(|m| &m.weights)
    }

    /// The shared bias, D; none for the identity.
    pub fn bias(&self) -> Option<&Tensor> {
        self.maps.as_ref().map(|m| &m.bias)
    }

    /// Contributions (n x B x d) in CLIP space (n x B x D). The bias is shared out equally, so the aligned
    /// contributions still sum to the aligned representation.
    pub fn apply(&self, contributions: &Tensor) -> Result<Tensor> {
        let (n, _, d) = check::stack("contributions", contributions)?;
        let Some(maps) = &self.maps else {
            return Ok(contributions.clone());
        };
        let (components, width, _) = maps.weights.dims3()?;
        check::same("contributions", n, components, "components")?;
        check::same("contributions", d, width, "channels")?;
        let share = (&maps.bias / components as f64)?;
        Ok(check::f32(contributions)?
            .contiguous()?
            .matmul(&maps.weights)?
            .broadcast_add(&share)?)
    }

    /// Writes the aligner to `path` (safetensors with a checksum), whole or not at all.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut tensors = std::collections::BTreeMap::new();
        let mut about = Description {
            kind: IDENTITY.to_owned(),
            components: 0,
            width: 0,
            target: 0,
        };
        if let Some(maps) = &self.maps {
            let (components, width, target) = maps.weights.dims3()?;
            about = Description {
                kind: KIND.to_owned(),
                components,
                width,
                target,
            };
            tensors.insert("weights".to_owned(), maps.weights.clone());
            tensors.insert("bias".to_owned(), maps.bias.clone());
        }
        let description = describe(&about)?;
        Sealed {
            description,
            tensors,
        }
        .write(path.as_ref())
    }

    /// Reads an aligner from `path` onto `device`.
    ///
    /// # Errors
    /// A file that is missing, damaged (its checksum is verified), or not an aligner.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let mut file = Sealed::read(path)?;
        let about: Description = serde_json::from_str(&file.description)
            .map_err(|_| Error::weights(path, "holds something else than an aligner"))?;
        match about.kind.as_str() {
            IDENTITY => Ok(Self::identity()),
            KIND => {
                let shape = [about.components, about.width, about.target];
                let weights = file.take(path, "weights", &shape)?.to_device(device)?;
                let bias = file
                    .take(path, "bias", &[about.target])?
                    .to_device(device)?;
                Self::from_maps(weights, bias)
            }
            other => Err(Error::weights(
                path,
                format!("holds \"{other}\", not an aligner"),
            )),
        }
    }
}

fn describe(about: &impl Serialize) -> Result<String> {
    serde_json::to_string(about)
        .map_err(|e| Error::argument("description", e, "something JSON can hold"))
}
