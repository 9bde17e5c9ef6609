//! A model as a person holds it: its network, name, and where it came from.

use super::config::Settings;
use super::family::{self, Network};
use super::hub::{Hub, Watch};
use super::place::Place;
use super::text::TextPool;
use super::weights::{Checkpoint, Precision, folder};
use super::zoo::Embedded;
use super::{Anatomy, Clip, ImageEncoder};
use crate::data::{ModelInput, Preprocess, Tokenizer};
use crate::facts::debug_as_display;
use crate::{Error, Result, files};
use candle_core::{Device, Tensor};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// What is asked for besides a configuration.
struct Asked {
    /// Which weights of several in a file.
    weights: Option<String>,
    /// The path of a `tokenizer.json`.
    tokenizer: Option<String>,
    /// The type of its large products.
    precision: Precision,
}

impl Asked {
    /// Take these fields out of `given`, and leave the rest.
    fn split(given: &Value) -> Result<(Self, Value)> {
        let mut rest = given.clone();
        let mut text = |name: &'static str| match rest
            .as_object_mut()
            .and_then(|fields| fields.remove(name))
        {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(Error::argument(name, other, "a text")),
        };
        let (weights, tokenizer) = (text("weights")?, text("tokenizer")?);
        let precision = text("dtype")?.map(|name| Precision::named(&name));
        let asked = Self {
            weights,
            tokenizer,
            precision: precision.transpose()?.unwrap_or_default(),
        };
        Ok((asked, rest))
    }
}

/// A loaded model.
pub struct Model {
    name: String,
    family: &'static str,
    hash: String,
    parameters: usize,
    precision: Precision,
    network: Arc<Network>,
    tokenizer: Option<Tokenizer>,
    card: Option<Value>,
    preprocess: Preprocess,
    assumed: Vec<String>,
    /// Where its weights are, as [`Self::source`] shows it.
    source: String,
}

impl AsRef<Model> for Model {
    fn as_ref(&self) -> &Model {
        self
    }
}

impl Model {
    /// Load an embedded model, one published on the Hugging Face hub ([`hub::named`]), or a local weights file or
    /// folder by path ([`Place::of`]). `given` is as for [`family::build`], and may name besides which `weights` of
    /// several in a file are taken ([`Checkpoint::model`]), the path of a `tokenizer`, and the type of its large products as
    /// `dtype` ([`Precision`]).
    ///
    /// # Errors
    /// When the name is unknown or of a model that is not built, the hub cannot be had, or the file is missing, broken,
    /// or does not fit a model.
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
        let place = Place::of(name_or_path)?;
        let (asked, given) = Asked::split(given)?;
        let model = match &place {
            Place::Embedded(embedded) => {
                if let Some(weights) = &asked.weights {
                    let expected = "left out: an embedded model has one set of weights";
                    return Err(Error::argument("weights", weights, expected));
                }
                Self::embedded(embedded, &asked, &given, device)?
            }
            Place::Local(path) => {
                let published = Settings::default();
                Self::local(name_or_path, path, &published, &asked, &given, device)?
            }
            Place::Published(source) => {
                let weights = hub.weights(source, watch)?;
                Self::local(
                    name_or_path,
                    &weights,
                    &source.settings,
                    &asked,
                    &given,
                    device,
                )?
            }
        };
        match asked.tokenizer {
            Some(tokenizer) => model.with_tokenizer(tokenizer),
            None => Ok(model),
        }
    }

    /// The model in a file or folder. A CLIP takes the `tokenizer.json` beside its weights.
    fn local(
        name: &str,
        path: &Path,
        published: &Settings,
        asked: &Asked,
        given: &Value,
        device: &Device,
    ) -> Result<Self> {
        let path = match path.is_dir() {
            true => folder::weights(path)?,
            false => path.to_path_buf(),
        };
        let weights = Checkpoint::model(&path, asked.weights.as_deref())?;
        let weights = weights.in_precision(asked.precision);
        let model = Self::from_checkpoint(name, weights, published, given, device)?;
        let tokenizer = path.with_file_name(folder::TOKENIZER);
        match &*model.network {
            Network::Clip(_) if asked.tokenizer.is_none() && tokenizer.exists() => {
                model.with_tokenizer(tokenizer)
            }
            _ => Ok(model),
        }
    }

    fn embedded(
        embedded: &Embedded,
        asked: &Asked,
        given: &Value,
        device: &Device,
    ) -> Result<Self> {
        let weights = Checkpoint::from_bytes(embedded.name, embedded.weights)?;
        let weights = weights.in_precision(asked.precision);
        let published = Settings::default();
        let mut model = Self::from_checkpoint(embedded.name, weights, &published, given, device)?;
        model.source = "embedded".into();
        let card = serde_json::from_str(embedded.card);
        model.card =
            Some(card.map_err(|e| Error::weights(embedded.name, format!("its card: {e}")))?);
        if let Network::Clip(clip) = &*model.network {
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
        let (parameters, precision) = (weights.elements(), weights.precision());
        let source = source(name, weights.path());
        let built = family::build(weights, published, given, device)?;
        Ok(Self {
            name: name.to_string(),
            family: built.family,
            hash: built.hash,
            parameters,
            precision,
            network: Arc::new(built.network),
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

    /// The type of its large products.
    pub fn precision(&self) -> Precision {
        self.precision
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
    pub fn input(&self) -> ModelInput {
        ModelInput::new(self.encoder().image_size(), self.preprocess())
    }

    /// The CLIP model.
    ///
    /// # Errors
    /// When this model has no text tower.
    pub fn clip(&self) -> Result<&Clip> {
        match &*self.network {
            Network::Clip(clip) => Ok(clip),
            Network::Image(_) => Err(Error::argument(
                "clip",
                &self.name,
                "this model has no text tower; load a CLIP, such as load_clip(\"tiny_clip\")",
            )),
        }
    }

    /// This CLIP with the tokenizer of a `tokenizer.json`; the weights are shared, and this one stays as it is.
    ///
    /// # Errors
    /// When this model is no CLIP, or the file is no tokenizer.
    pub fn with_tokenizer(&self, path: impl AsRef<Path>) -> Result<Self> {
        let context = self.clip()?.config().text_cfg.context_length;
        let tokenizer = Tokenizer::from_file(files::expand(path)?, context)?;
        Ok(Self {
            name: self.name.clone(),
            family: self.family,
            hash: self.hash.clone(),
            parameters: self.parameters,
            precision: self.precision,
            network: self.network.clone(),
            tokenizer: Some(tokenizer),
            card: self.card.clone(),
            preprocess: self.preprocess,
            assumed: self.assumed.clone(),
            source: self.source.clone(),
        })
    }

    /// The tokenizer of a CLIP that has one.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_ref()
    }

    /// A CLIP's text tower, for the model's one line.
    fn text_tower(&self) -> String {
        let Network::Clip(clip) = &*self.network else {
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
            let name = &self.name;
            let remedy = format!(
                "it has no tokenizer: put its tokenizer.json beside the weights and load it again, or load_with(\"{name}\", json!({{\"tokenizer\": \"FOLDER/tokenizer.json\"}})), or clip.with_tokenizer(\"FOLDER/tokenizer.json\")?"
            );
            Error::argument("clip", name, remedy)
        })
    }
}

debug_as_display!(Model);

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
            "{} ({}): {} px, {} blocks, {} heads, width {}, {activation}, {pooling}, norm eps {norm_eps:e}{}, {:.2} M parameters{}, {}",
            self.name,
            self.family,
            encoder.image_size(),
            encoder.blocks().len(),
            heads.join("/"),
            encoder.width(),
            self.text_tower(),
            self.parameters as f64 / 1e6,
            match self.precision {
                Precision::F32 => String::new(),
                half => format!(", large products in {}", half.name()),
            },
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
