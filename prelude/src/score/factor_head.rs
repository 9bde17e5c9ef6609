//! The heads that the embedded backbones were trained with.

use super::LinearHead;
use crate::data::Factor;
use crate::identity::ModelId;
use crate::models::weights::Checkpoint;
use crate::models::{Model, zoo};
use crate::{Error, Result};

impl Model {
    /// The head for a factor of generated images that an embedded backbone was trained with: what its own classifier is
    /// for shape, say. It reads the representation and its classes are the factor's values.
    ///
    /// # Errors
    /// When the model is not embedded, or was trained on captions alone, as `tiny_clip`.
    pub fn factor_head(&self, factor: Factor) -> Result<LinearHead> {
        let none = |why: &str| {
            let expected = format!(
                "an embedded backbone, which was trained with a head for {}; this one {why}: score::fit_probe fits a head on \
                 embed_images(&model, &images)? and labels",
                factor.name()
            );
            Error::argument("model", self.name(), expected)
        };
        let embedded = match (self.source(), zoo::find(self.name())) {
            ("embedded", Some(embedded)) => embedded,
            _ => return Err(none("is not embedded")),
        };
        let weights = Checkpoint::from_bytes(embedded.name, embedded.bytes())?;
        let key = |what: &str| format!("head.{}.{what}", factor.name());
        if weights.shape(&key("weight")).is_none() {
            return Err(none("has no such head in its file"));
        }
        let device = self.encoder().device();
        let tensor =
            |what: &str| -> Result<_> { Ok(weights.tensor(&key(what))?.to_device(device)?) };
        LinearHead::new(tensor("weight")?, tensor("bias")?)?
            .reading(Some(ModelId::of(self)))
            .named(factor.names().iter().copied())
    }
}
