//! Models side by side: their components through one CLIP, their layers and representations by how images lie in them.
//!
//! | | asks |
//! | --- | --- |
//! | [`compare_components`] | which head of another model says the same of the same images: similarity in CLIP's space ([`score::component_similarity`](crate::score::component_similarity)), and the one-to-one matching with the greatest sum ([`score::best_assignment`](crate::score::best_assignment)) |
//! | [`representation_cka`], [`layer_cka`] | how alike the images lie, without any map between the models: linear CKA ([`score::linear_cka`](crate::score::linear_cka)) |
//!
//! ```no_run
//! use vitrepl_prelude::prelude::*;
//!
//! # fn main() -> Result<()> {
//! let (clip, images) = (load_clip("tiny_clip")?, GeneratedSet::new(GeneratedSpec::unbiased(77_000, 1000))?);
//! let (options, fit) = (DecomposeOptions::default(), FitOptions::default());
//! let mut heads = Vec::new();
//! for name in ["tiny_vit", "tiny_dinov2"] {
//!     let model = load(name)?;
//!     let aligned = align(&model, &clip, &images, &options, &fit)?.apply(&*decompose(&model, &images, &options)?)?;
//!     heads.push(aligned.select("* head *")?);
//! }
//! let compared = compare_components(&heads.iter().collect::<Vec<_>>(), &SimilarityOptions::default())?;
//! println!("{compared}");
//! # Ok(())
//! # }
//! ```

mod cka;
mod matching;
mod show;

pub use cka::{CkaMatrix, layer_cka, representation_cka};
pub use matching::{ComponentComparison, ComponentMatching, SimilarityOptions, compare_components};
