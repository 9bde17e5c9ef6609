//! The values between the operations of a forward pass: to look at, to change on the way, and to take gradients of.
//!
//! Values are named as in TransformerLens, with our blocks: `block 5 pattern`, `block 5 head 3 z`, `block * mlp_post`,
//! `stage 2 block 0 window q` ([`HookKind`](crate::trace::HookKind) lists them with their shapes). A model file knows
//! nothing of them: the layers that all models share pass them through the tape.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use vitrepl_prelude::activations::{ActivationChange, Intervention, hook_points, record, run_with, select};
//! use vitrepl_prelude::models::ImageEncoder;
//! use vitrepl_prelude::models::vit::{Vit, VitConfig};
//!
//! let config = VitConfig { img_size: 32, patch_size: 8, embed_dim: 32, depth: 2, num_heads: 4, ..Default::default() };
//! let model = Vit::random(&config, 0)?;
//! assert_eq!(hook_points(&model)?[5].to_string(), "block 0 attn_scores: 1 x 4 x 17 x 17");
//!
//! let pixels = Tensor::rand(-1f32, 1., (3, 3, 32, 32), &Device::Cpu)?;
//! let recorded = record(&model, &pixels, &select(&model, &["block * pattern"])?)?;
//! assert_eq!(recorded.names(), ["block 0 pattern", "block 1 pattern"]);
//! let pattern = recorded.get("block 1 pattern")?;
//! assert_eq!(pattern.dims(), [3, 4, 17, 17]);
//!
//! // Without its last MLP the model says something else.
//! let off = Intervention::on(&model, "block 1 mlp_out", ActivationChange::Zero)?;
//! let (z, changed) = (model.forward(&pixels, &Default::default())?, run_with(&model, &pixels, &[off])?);
//! assert_ne!(z.representation.value().to_vec2::<f32>()?, changed.representation.to_vec2::<f32>()?);
//! # Ok::<(), vitrepl_prelude::Error>(())
//! ```

mod export;
mod gradients;
mod intervention;
mod names;
mod record;
mod show;

pub use gradients::{Gradients, Objective, gradients};
pub(crate) use intervention::run_batch;
pub use intervention::{ActivationChange, Intervened, Intervention, run_with};
pub use names::{Named, Selected, hook_points, select};
pub use record::{ActivationCache, record};
pub use show::ActivationNames;
