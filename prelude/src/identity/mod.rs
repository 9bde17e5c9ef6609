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
//! | [`Contributions::ablation`](crate::decompose::Contributions::ablation) | model, options, components | images |
//!
//! Models are compared by the hash of their weights and by the size and preprocessing of the pictures they see, not by
//! the name they were loaded by, nor by their device. Images are compared by the key of their data set.

mod embeddings;
mod formats;
mod images;
mod model;

pub(crate) use embeddings::debug_as_display;
pub use embeddings::{ImageEmbeddings, ImageOrigin, Prompts, TextEmbeddings, TextOrigin};
pub(crate) use formats::Format;
pub use images::ImagesId;
pub use model::ModelId;
