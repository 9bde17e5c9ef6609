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
mod aligned;
mod alignment;
mod checkpoint;
mod chunked;
mod evaluate;
mod export;
pub(crate) mod file;
mod fit;
mod isometry;
mod options;
mod origin;
mod part;
mod pool;
mod read_ahead;
mod show;
mod start;
mod state;
mod trainer;

use std::path::Path;

use candle_core::{Device, Tensor};

pub use aligned::AlignedContributions;
pub use alignment::Alignment;
pub use chunked::{Alignable, AlignedStack, ChunkedAligned};
use pool::Drawn;

pub use isometry::Isometry;
pub use options::{FitOptions, FitReport, Progress, Start};
pub use origin::AlignerOrigin;
pub use trainer::{Gradients, Loss, Trainer};

pub(crate) use crate::check;
use crate::decompose::part::rows;
use crate::{Error, Result};

/// Maps from components to CLIP space, on plain tensors. [`Alignment`] is one with its report, which checks what it is
/// applied to.
///
/// One of [`crate::session::align`] or [`Alignment::fit`] knows what it was fitted for and on ([`Self::origin`]), and so
/// does its file.
#[derive(Clone)]
pub struct Aligner {
    maps: Option<Maps>,
    origin: Option<AlignerOrigin>,
}

#[derive(Clone)]
struct Maps {
    /// n x d x D
    weights: Tensor,
    /// D
    bias: Tensor,
}

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
        fit::fit(
            Drawn::Whole(contributions),
            targets,
            options,
            "plain tensors",
            None,
        )
    }

    /// [`Self::fit`] of maps called `what` in messages, with the checkpoint at `cache` where `options` name none. Nothing
    /// that is wrong with that file fails the call.
    pub(crate) fn fit_in_cache(
        contributions: Drawn,
        targets: &Tensor,
        options: &FitOptions,
        what: &str,
        cache: Option<&Path>,
    ) -> Result<(Self, FitReport)> {
        fit::fit(contributions, targets, options, what, cache)
    }

    /// Leaves contributions as they are: for CLIP itself, whose components are in its space already.
    pub fn identity() -> Self {
        Self {
            maps: None,
            origin: None,
        }
    }

    /// Maps given outright: `weights` n x d x D and `bias` D.
    pub fn from_maps(weights: Tensor, bias: Tensor) -> Result<Self> {
        let (_, _, width) = check::stack("weights", &weights)?;
        check::same("bias", bias.elem_count(), width, "values")?;
        let bias = bias.flatten_all()?;
        Ok(Self {
            maps: Some(Maps { weights, bias }),
            origin: None,
        })
    }

    /// This value, marked as being of `origin`.
    ///
    /// # Errors
    /// When the origin has another number of components.
    pub fn with_origin(self, origin: AlignerOrigin) -> Result<Self> {
        if let Some(maps) = &self.maps {
            let (n, _, _) = maps.weights.dims3()?;
            check::same("components", origin.components.len(), n, "components")?;
        }
        Ok(Self {
            origin: Some(origin),
            ..self
        })
    }

    /// What it was fitted for and on; none where it was fitted on plain tensors or put together by hand.
    pub fn origin(&self) -> Option<&AlignerOrigin> {
        self.origin.as_ref()
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
        let device = contributions.device();
        let share = (&maps.bias / components as f64)?.to_device(device)?;
        Ok(check::f32(contributions)?
            .contiguous()?
            .matmul(&maps.weights.to_device(device)?)?
            .broadcast_add(&share)?)
    }

    /// The components at `chosen` of contributions (n x B x d) in CLIP space.
    pub(crate) fn apply_some(&self, contributions: &Tensor, chosen: &[usize]) -> Result<Tensor> {
        let (n, _, _) = check::stack("contributions", contributions)?;
        let some = rows(contributions, 0, chosen)?;
        let Some(maps) = &self.maps else {
            return Ok(some);
        };
        let (components, _, _) = maps.weights.dims3()?;
        check::same("contributions", n, components, "components")?;
        let device = contributions.device();
        let weights = rows(&maps.weights, 0, chosen)?.to_device(device)?;
        let share = (&maps.bias / components as f64)?.to_device(device)?;
        Ok(check::f32(&some)?
            .contiguous()?
            .matmul(&weights)?
            .broadcast_add(&share)?)
    }

    /// `directions` of CLIP's space (k x D) brought to the space of component `index`, k x d: each is W t, so that
    /// c W . t = c . W t.
    ///
    /// # Errors
    /// A component that is not there, directions of another width.
    pub fn pull_back(&self, index: usize, directions: &Tensor) -> Result<Tensor> {
        let (_, width) = check::matrix("directions", directions)?;
        let Some(maps) = &self.maps else {
            return Ok(directions.clone());
        };
        let (components, _, target) = maps.weights.dims3()?;
        check::same("directions", width, target, "channels")?;
        if index >= components {
            let expected = format!("below {components}, the number of components");
            return Err(Error::argument("component", index, expected));
        }
        let map = maps.weights.get(index)?.to_device(directions.device())?;
        Ok(check::f32(directions)?.matmul(&map.t()?)?)
    }

    /// Writes the aligner and its origin to `path` (safetensors with a checksum), whole or not at all.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        file::write(path.as_ref(), "", self, None)
    }

    /// Reads an aligner from `path` onto `device`.
    ///
    /// # Errors
    /// A file that is missing, damaged (its checksum is verified), not an aligner, or of another format.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Ok(file::read(path.as_ref(), device)?.0)
    }
}
