//! What results were made of: which model, which images, which texts; so that two that do not belong together are never
//! used together without a word.
//!
//! Every result of a [`crate::session`] call carries this: [`crate::decompose::Contributions`], what an aligner makes of
//! them, means, scores, aligners, embeddings, and the files they are saved in. A value that was put together by hand
//! from plain tensors has no such origin. Then shapes and component names are checked, and nothing else can be.
//! What "belonging together" means for an operation is said at its type:
//!
//! | operation | must agree | may differ |
//! | --- | --- | --- |
//! | [`Contributions::concat`](crate::decompose::Contributions::concat) | model, options, components | images |
//! | [`Alignment::fit`](crate::align::Alignment::fit) | images, in their order | |
//! | [`Alignment::apply`](crate::align::Alignment::apply) | model, options, components | images |
//! | [`AlignedContributions::score`](crate::align::AlignedContributions::score) | CLIP | |
//! | [`Scores::minus`](crate::score::Scores::minus) | model, options, components, images, CLIP, measure | texts |
//! | [`Contributions::ablation`](crate::decompose::Contributions::ablation) | model, options, components; the head's model | images |
//! | [`LinearHead::predict`](crate::score::LinearHead::predict) | model | images |
//! | [`HeadTokens::along`](crate::decompose::HeadTokens::along) | model, or the CLIP aligned to | |
//!
//! Models are compared by the hash of their weights and by the size and preprocessing of the pictures they see, not by
//! the name they were loaded by, nor by their device. Images are compared by the key of their data set.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use vitrepl_prelude::data::{DataSet, GeneratedSet, GeneratedSpec};
//! use vitrepl_prelude::decompose::{Component, Contributions, DecomposeOptions, Origin};
//! use vitrepl_prelude::identity::{ImagesId, ModelId};
//!
//! let images = GeneratedSet::new(GeneratedSpec::unbiased(7, 4))?;
//! let contributions = |weights: &str| {
//!     let values = Tensor::rand(0f32, 1., (2, 4, 3), &Device::Cpu)?;
//!     let representation = values.sum(0)?;
//!     let model = ModelId {
//!         name: "vit".into(),
//!         family: "vit".into(),
//!         weights: weights.into(),
//!         size: 48,
//!         preprocess: String::new(),
//!     };
//!     let origin = Origin { model, options: DecomposeOptions::default(), images: ImagesId::of(&images) };
//!     let components = vec![Component::Init, Component::Bias];
//!     Contributions::new(components, values, representation, None)?.with_origin(origin)
//! };
//! let (before, after) = (contributions("1a2b3c4d")?, contributions("5e6f7a8b")?);
//! assert_eq!(before.image_names().unwrap()[3], "7:3");
//! assert!(before.ablate(&before.means()?, &["init"]).is_ok());
//! let error = after.ablate(&before.means()?, &["init"]).unwrap_err().to_string();
//! assert!(error.contains("vit had other weights at that time (5e6f7a8b and 1a2b3c4d)"), "{error}");
//! # Ok::<(), vitrepl_prelude::Error>(())
//! ```

mod embeddings;
mod export;
mod formats;
mod images;
mod model;
mod vectors;

pub(crate) use crate::facts::debug_as_display;
pub use embeddings::{ImageEmbeddings, ImageOrigin, Prompts, TextEmbeddings, TextOrigin};
pub(crate) use formats::Format;
pub use images::ImagesId;
pub use model::ModelId;
pub(crate) use model::short;
pub use vectors::Vectors;
