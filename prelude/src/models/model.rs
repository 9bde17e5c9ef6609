//! A model as a person holds it: its network, name, and where it came from.

use super::config::Settings;
use super::family::{self, Network};
use super::hub::{self, Hub, Watch};
use super::text::TextPool;
use super::weights::{Checkpoint, folder};
use super::zoo::{self, Embedded};
use super::{Anatomy, Clip, ImageEncoder};
use crate::data::{Input, Preprocess, Tokenizer};
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
    preprocess: Preprocess,
    assumed: Vec<String>,
    /// Where its weights are, as [`Self::source`] shows it.
    source: String,
}

impl Model {
    /// Load an embedded model, one published on the Hugging Face hub ([`hub::named`]), or a local weights file or
    /// folder by path. `given` is as for [`family::build`].
    ///
    /// # Errors
    /// When the name is unknown, the hub cannot be had, or the file is missing, broken, or does not fit a model.
    pub fn open(name_or_path: &str, given: &Value, device: &Device) -> Result<Self> {
        Self::open_from(&Hub::from_env(), name_or_path, given, device, &())
    }

    /// [`Self::open`] with a hub of one's own choice, whose downloads `watch` is told of.
    ///
    /// # Errors
    /// As [`Self::open`], and when `watch` stops a download.
    pub fn open_from(
        hub: &Hub,
        name_or_path: &str,
        given: &Value,
        device: &Device,
        watch: &dyn Watch,
    ) -> Result<Self> {
        if let Some(embedded) = zoo::find(name_or_path) {
            return Self::embedded(embedded, given, device);
        }
        let path = Path::new(name_or_path);
        let ending = path.extension().and_then(|e| e.to_str());
        let file = ending.is_some_and(|e| folder::ENDINGS.contains(&e));
        // A folder of the same name as a model is taken by `./name`.
        let local = file || (name_or_path.contains('/') && path.exists());
        if local {
            return Self::local(name_or_path, path, &Settings::default(), given, device);
        }
        match hub::named(name_or_path) {
            Ok(Some(source)) => {
                let weights = hub.weights(&source, watch)?;
                Self::local(name_or_path, &weights, &source.settings, given, device)
            }
            _ if path.exists() => {
                Self::local(name_or_path, path, &Settings::default(), given, device)
            }
            Err(unknown) => Err(unknown),
            Ok(None) => {
                let mut known = zoo::names();
                known.extend(hub::ALIASES.iter().map(|(name, _)| *name));
                Err(Error::UnknownModel {
                    name: name_or_path.into(),
                    known: format!(
                        "{}, and timm's and open_clip's names of these families (vit_small_patch14_dinov2, ViT-L-14, timm/..., laion/...)",
                        known.join(", ")
                    ),
                })
            }
        }
    }

    /// The model in a file or folder. A CLIP takes the `tokenizer.json` beside its weights.
    fn local(
        name: &str,
        path: &Path,
        published: &Settings,
        given: &Value,
        device: &Device,
    ) -> Result<Self> {
        let path = match path.is_dir() {
            true => folder::weights(path)?,
            false => path.to_path_buf(),
        };
        let weights = Checkpoint::open(&path)?;
        let model = Self::from_checkpoint(name, weights, published, given, device)?;
        let tokenizer = path.with_file_name(folder::TOKENIZER);
        match &model.network {
            Network::Clip(_) if tokenizer.exists() => model.with_tokenizer(tokenizer),
            _ => Ok(model),
        }
    }

    fn embedded(embedded: &Embedded, given: &Value, device: &Device) -> Result<Self> {
        let weights = Checkpoint::from_bytes(embedded.name, embedded.weights)?;
        let published = Settings::default();
        let mut model = Self::from_checkpoint(embedded.name, weights, &published, given, device)?;
        model.source = "embedded".into();
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
        published: &Settings,
        given: &Value,
        device: &Device,
    ) -> Result<Self> {
        let parameters = weights.elements();
        let source = source(name, weights.path());
        let built = family::build(weights, published, given, device)?;
        Ok(Self {
            name: name.to_string(),
            family: built.family,
            hash: built.hash,
            parameters,
            network: built.network,
            tokenizer: None,
            card: None,
            preprocess: built.preprocess,
            assumed: built.assumed,
            source,
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

    /// blake3 of its weights file, and of the configuration it was built with where that is not in the file.
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

    /// Where its weights are: `embedded`, `hub OWNER/NAME`, or `file PATH`, of which only the name is shown where the
    /// model's name has the rest.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What was assumed where neither the weights nor a configuration decide: one sentence each, with the argument of
    /// [`crate::session::load_with`] that changes it.
    pub fn assumed(&self) -> &[String] {
        &self.assumed
    }

    /// The image encoder.
    pub fn encoder(&self) -> &dyn ImageEncoder {
        self.network.encoder()
    }

    /// How pictures are brought to this model's size.
    pub fn preprocess(&self) -> Preprocess {
        self.preprocess
    }

    /// What a data set is asked for: this model's size and preprocessing.
    pub fn input(&self) -> Input {
        Input::new(self.encoder().image_size(), self.preprocess())
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

    /// The tokenizer of a CLIP that has one.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_ref()
    }

    /// A CLIP's text tower, for the model's one line.
    fn text_tower(&self) -> String {
        let Network::Clip(clip) = &self.network else {
            return String::new();
        };
        let text = clip.text_anatomy();
        let by_id = clip.config().text_cfg.pool_type == TextPool::Argmax;
        let pooling = match &self.tokenizer {
            // The tokenizer knows the end token that the highest id stands for.
            Some(_) if by_id => "end token",
            _ => text.pooling,
        };
        let (heads, act, eps) = (text.heads[0], text.activation, text.norm_eps);
        format!("; texts: {heads} heads, {act}, {pooling}, eps {eps:e}")
    }

    /// Text embeddings of `texts`, N x d, not normalised.
    ///
    /// # Errors
    /// When this model is no CLIP or has no tokenizer; a text that is empty, has no word, is too long, or has a word
    /// that the tokenizer does not know ([`Self::vocabulary`]).
    pub fn encode_text(&self, texts: &[impl AsRef<str>]) -> Result<Tensor> {
        let clip = self.clip()?;
        let tokenizer = self.own_tokenizer()?;
        let ids = tokenizer.encode_known(texts)?;
        let ids = ids.to_device(self.encoder().device())?;
        match tokenizer.end()? {
            Some(end) => clip.encode_text_ending(&ids, end),
            None => clip.encode_text(&ids),
        }
    }

    /// Refuses texts that [`Self::encode_text`] would refuse, without embedding them: for a name before it is put into
    /// prompts, which would hide that it is empty.
    ///
    /// # Errors
    /// As [`Self::encode_text`].
    pub fn check_texts(&self, texts: &[impl AsRef<str>]) -> Result<()> {
        self.clip()?;
        self.own_tokenizer()?.encode_known(texts).map(drop)
    }

    /// The words that this CLIP knows, in alphabetical order, where its tokenizer is made of whole words, as the embedded
    /// one's is.
    ///
    /// # Errors
    /// When this model is no CLIP, has no tokenizer, or one that splits any word into pieces it knows.
    pub fn vocabulary(&self) -> Result<Vec<String>> {
        self.clip()?;
        self.own_tokenizer()?.words().ok_or_else(|| {
            let reason = "its tokenizer splits words into pieces, so it has no list of words: it takes any text";
            Error::argument("clip", &self.name, reason)
        })
    }

    fn own_tokenizer(&self) -> Result<&Tokenizer> {
        self.tokenizer.as_ref().ok_or_else(|| {
            let remedy = "it has no tokenizer: give it one with with_tokenizer(\"tokenizer.json\")";
            Error::argument("clip", &self.name, remedy)
        })
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
        let Anatomy {
            heads,
            activation,
            pooling,
            norm_eps,
        } = encoder.anatomy();
        let heads: Vec<_> = heads.iter().map(usize::to_string).collect();
        write!(
            f,
            "{} ({}): {} px, {} blocks, {} heads, width {}, {activation}, {pooling}, norm eps {norm_eps:e}{}, {:.2} M parameters, {}",
            self.name,
            self.family,
            encoder.image_size(),
            encoder.blocks().len(),
            heads.join("/"),
            encoder.width(),
            self.text_tower(),
            self.parameters as f64 / 1e6,
            self.source,
        )
    }
}

/// Where the weights in the file `path` come from, for a model called `name`.
fn source(name: &str, path: &Path) -> String {
    // The hub's cache has a folder `models--OWNER--NAME` for each repository.
    let folders = path.iter().filter_map(|part| part.to_str());
    let mut repositories = folders.filter_map(|part| part.strip_prefix("models--"));
    if let Some(repository) = repositories.next() {
        return format!("hub {}", repository.replacen("--", "/", 1));
    }
    let shown = match path.strip_prefix(name) {
        Ok(rest) if rest.as_os_str().is_empty() => path.file_name().map(Path::new).unwrap_or(path),
        Ok(rest) => rest,
        Err(_) => path,
    };
    format!("file {}", shown.display())
}
