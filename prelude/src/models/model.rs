//! A model as a person holds it: its network, name, and where it came from.

use super::family::{self, Network};
use super::weights::Checkpoint;
use super::zoo::{self, Embedded};
use super::{Clip, ImageEncoder};
use crate::data::Tokenizer;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use serde_json::Value;
use std::path::Path;

/// A loaded model.
pub struct Model {
    name: String,
    family: &'static str,
    hash: String,
    parameters: usize,
    network: Network,
    tokenizer: Option<Tokenizer>,
    card: Option<Value>,
}

impl Model {
    /// Load an embedded model by name, or a local safetensors file by path. `given` is as for [`family::build`].
    ///
    /// # Errors
    /// When the name is unknown, or the file is missing, broken, or does not fit a model.
    pub fn open(name_or_path: &str, given: &Value, device: &Device) -> Result<Self> {
        if let Some(embedded) = zoo::find(name_or_path) {
            return Self::embedded(embedded, given, device);
        }
        let path = Path::new(name_or_path);
        if path.extension().is_none() && !path.exists() {
            return Err(Error::UnknownModel {
                name: name_or_path.into(),
                known: zoo::names().join(", "),
            });
        }
        Self::from_checkpoint(name_or_path, Checkpoint::open(path)?, given, device)
    }

    fn embedded(embedded: &Embedded, given: &Value, device: &Device) -> Result<Self> {
        let weights = Checkpoint::from_bytes(embedded.name, embedded.weights)?;
        let mut model = Self::from_checkpoint(embedded.name, weights, given, device)?;
        let card = serde_json::from_str(embedded.card);
        model.card =
            Some(card.map_err(|e| Error::weights(embedded.name, format!("its card: {e}")))?);
        if let Network::Clip(clip) = &model.network {
            model.tokenizer = Some(Tokenizer::embedded(clip.config().text_cfg.context_length)?)
        }
        Ok(model)
    }

    fn from_checkpoint(
        name: &str,
        weights: Checkpoint,
        given: &Value,
        device: &Device,
    ) -> Result<Self> {
        let hash = weights.hash().to_string();
        let parameters = weights.elements();
        let (family, network) = family::build(weights, given, device)?;
        Ok(Self {
            name: name.to_string(),
            family,
            hash,
            parameters,
            network,
            tokenizer: None,
            card: None,
        })
    }

    /// The name it was loaded by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The family of its architecture.
    pub fn family(&self) -> &str {
        self.family
    }

    /// blake3 of its weights file.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Numbers in its weights file.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// How an embedded model was trained and what it scored.
    pub fn card(&self) -> Option<&Value> {
        self.card.as_ref()
    }

    /// The image encoder.
    pub fn encoder(&self) -> &dyn ImageEncoder {
        match &self.network {
            Network::Image(encoder) => encoder.as_ref(),
            Network::Clip(clip) => clip.as_ref(),
        }
    }

    /// The CLIP model.
    ///
    /// # Errors
    /// When this model has no text tower.
    pub fn clip(&self) -> Result<&Clip> {
        match &self.network {
            Network::Clip(clip) => Ok(clip),
            Network::Image(_) => Err(Error::argument(
                "clip",
                &self.name,
                "this model has no text tower; load a CLIP, such as load_clip(\"tiny_clip\")",
            )),
        }
    }

    /// Give a CLIP the tokenizer of its `tokenizer.json`.
    ///
    /// # Errors
    /// When this model is no CLIP, or the file is no tokenizer.
    pub fn with_tokenizer(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let context = self.clip()?.config().text_cfg.context_length;
        self.tokenizer = Some(Tokenizer::from_file(path, context)?);
        Ok(self)
    }

    /// Text embeddings of `texts`, N x d, not normalised.
    ///
    /// # Errors
    /// When this model is no CLIP, has no tokenizer, or a text is too long.
    pub fn encode_text(&self, texts: &[impl AsRef<str>]) -> Result<Tensor> {
        let clip = self.clip()?;
        let tokenizer = self.tokenizer.as_ref().ok_or_else(|| {
            let remedy = "it has no tokenizer: give it one with with_tokenizer(\"tokenizer.json\")";
            Error::argument("clip", &self.name, remedy)
        })?;
        let tokens = tokenizer.encode(texts)?;
        clip.encode_text(&tokens.ids.to_device(self.encoder().device())?)
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let encoder = self.encoder();
        write!(
            f,
            "{} ({}): {} px, {} blocks, width {}, {:.2} M parameters",
            self.name,
            self.family,
            encoder.image_size(),
            encoder.blocks().len(),
            encoder.width(),
            self.parameters as f64 / 1e6
        )
    }
}
