//! Images found by the components that carry one feature (paper section 5.1): by a text, and by a probe image with
//! respect to a feature ("images in the same place as this one").
//!
//! The pictures that are shown are those that were scored: results know their images by the data set's key, and pictures
//! of another set or in another order are refused. (The published code takes contributions from a shuffled loader and
//! pictures by file order, so that most of the pictures it shows are not those it found.)

mod by_image;
mod by_text;
mod found;
mod nearest;
mod precision;
mod precision_results;

pub use by_image::{FeatureComponents, feature_components, retrieve_by_image};
pub use by_text::{retrieve_by_groups, retrieve_by_text};
pub use found::{Retrieved, RetrievedImage, RetrievedRow};
pub use precision::{PrecisionSettings, RetrievalFeature, retrieval_precision};
pub use precision_results::{PrecisionRow, RetrievalPrecision};
