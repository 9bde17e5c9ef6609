//! What an aligner was fitted for and on.

use serde::{Deserialize, Serialize};

use crate::decompose::{Component, Origin, Side};
use crate::identity::ModelId;

/// The components an aligner maps, the contributions it was fitted on, and the CLIP it maps to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlignerOrigin {
    /// The components, in the order of the maps.
    pub components: Vec<Component>,
    /// Model, options and images of the contributions it was fitted on; none where these were put together by hand.
    pub source: Option<Origin>,
    /// The model in whose image space the maps end; none where the targets were put together by hand.
    pub clip: Option<ModelId>,
}

impl AlignerOrigin {
    /// The aligner as one of two values that are used together.
    pub(super) fn side(&self) -> Side<'_> {
        Side {
            what: "the aligner",
            components: Some(&self.components),
            origin: self.source.as_ref(),
        }
    }
}
