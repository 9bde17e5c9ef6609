//! A weights file in memory: read whole, checked whole, before any model is built from it.

use super::keys::{Naming, TIMM};
use super::precision::Precision;
use super::read;
use super::unwrap::{Refused, Unwrapped, unwrap};
use crate::facts::{self, Facts};
use crate::{Error, Result, files};
use candle_core::Tensor;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// The tensors of a weights file, by name; half precision, doubles and eight-bit floats as f32.
pub struct Checkpoint {
    pub(super) path: PathBuf,
    hash: String,
    metadata: HashMap<String, String>,
    pub(super) tensors: BTreeMap<String, Tensor>,
    /// How the file names them.
    pub(super) naming: Naming,
    /// Whether keys are those of one model, without its wrapper.
    pub(super) unwrapped: bool,
    /// Tensors that are no weights.
    pub(super) odd: BTreeMap<String, read::Odd>,
    /// Numbers of a tensor that are NaN or infinite, where there are any.
    pub(super) nonfinite: BTreeMap<String, usize>,
    /// What renaming has found wrong, for the list of all faults.
    pub(super) faults: Vec<String>,
    /// Names that are missing for a fault already noted.
    pub(super) excused: BTreeSet<String>,
    /// The type in which a model built from it takes its large products.
    pub(super) precision: Precision,
    /// What was chosen where the file leaves a choice, one sentence each, with the argument that changes it.
    assumed: Vec<String>,
}

facts::shows!(Checkpoint, |it| Facts::new(format!(
    "weights of {}",
    it.path.display()
))
.row("tensors", it.tensors.len())
.row("numbers", it.elements())
.row("assumed", facts::list(&it.assumed, 110)));

impl Checkpoint {
    /// Read all tensors of a file: `.safetensors`, or a `.bin`, `.pt`, `.pth` or `.ckpt` of PyTorch's, with all its
    /// shards where it is one of several files. Those in dictionaries have the way to them before their name, with
    /// dots between.
    ///
    /// # Errors
    /// When it is missing, unreadable, cut, or something else: the message says what it is.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = &files::expand(path)?;
        Self::whole(path, &read::file(path)?)
    }

    /// Read all tensors from the bytes of a safetensors file in memory, called `path` in messages.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let path = path.as_ref();
        Self::whole(path, &read::bytes(path, bytes)?)
    }

    fn whole(path: &Path, opened: &read::Opened) -> Result<Self> {
        let name = |(entry, key): (&[String], &str)| match entry {
            [] => key.to_string(),
            entry => format!("{}.{key}", entry.join(".")),
        };
        let names = opened.listing.names().into_iter().map(name);
        let wanted: Vec<_> = names.enumerate().collect();
        let (hash, read) = rayon::join(|| opened.hash(), || opened.read(&wanted, false));
        Ok(Self::of(
            path,
            hash?,
            opened.listing.metadata.clone(),
            read?,
        ))
    }

    /// Read the weights of one model: of several in the file the one called `asked`, by the dictionary it is in or by
    /// what stands before its keys (`"state_dict"`, `"student.backbone"`), or the one that its authors evaluate. Other
    /// tensors, such as an optimiser's, are not read. What was chosen and what was left out is [`Self::assumed`].
    ///
    /// The hash is that of the file, and where the file has several models of the choice as well.
    ///
    /// # Errors
    /// As [`Self::open`], and when no model is in it, listing what is, or several would do.
    pub fn model(path: impl AsRef<Path>, asked: Option<&str>) -> Result<Self> {
        let path = &files::expand(path)?;
        let opened = read::file(path)?;
        let listing = &opened.listing;
        let file = path.display().to_string();
        let same = |one: &[usize], other: &[usize]| listing.same(one, other);
        let one = match unwrap(&listing.names(), asked, &file, same) {
            Ok(one) => one,
            // The library's own files say what they are.
            Err(Refused::Unknown) if listing.metadata.contains_key("family") => {
                return Self::whole(path, &opened);
            }
            Err(Refused::Unknown) => return Err(opened.no_model(path)),
            Err(Refused::Because(reason)) => return Err(Error::weights(path, reason)),
        };
        let (hash, read) = rayon::join(|| opened.hash(), || opened.read(&one.tensors, true));
        let hash = match &one.label {
            Some(label) => blake3::hash(format!("{} {label}", hash?).as_bytes())
                .to_hex()
                .to_string(),
            None => hash?,
        };
        let checkpoint = Self::of(path, hash, listing.metadata.clone(), read?);
        Ok(checkpoint.named(one))
    }

    fn of(path: &Path, hash: String, metadata: HashMap<String, String>, read: read::Read) -> Self {
        Self {
            path: path.to_path_buf(),
            hash,
            metadata,
            tensors: read.tensors,
            naming: Naming::bare(&TIMM, ""),
            unwrapped: false,
            odd: read.odd,
            nonfinite: read.nonfinite,
            faults: Vec::new(),
            excused: BTreeSet::new(),
            precision: Precision::default(),
            assumed: Vec::new(),
        }
    }

    /// With what was found of the model whose tensors these are.
    fn named(mut self, one: Unwrapped) -> Self {
        self.unwrapped = true;
        self.naming = one.naming;
        self.assumed.extend(one.remarks);
        let twice = one.twice.into_iter();
        self.faults
            .extend(twice.map(|key| format!("twice, under another name: {key}")));
        self
    }

    /// Of several models the one that is taken, without its wrapper, where that is not done yet. A file that is no
    /// known model stays as it is.
    pub(super) fn unwrapped(mut self) -> Result<Self> {
        if self.unwrapped {
            return Ok(self);
        }
        let keys: Vec<String> = (self.tensors.keys())
            .chain(self.odd.keys())
            .cloned()
            .collect();
        let names: Vec<(&[String], &str)> =
            keys.iter().map(|key| (&[][..], key.as_str())).collect();
        let file = self.path.display().to_string();
        let one = match unwrap(&names, None, &file, |_, _| false) {
            Ok(one) => one,
            Err(Refused::Unknown) => return Ok(self),
            Err(Refused::Because(reason)) => return Err(Error::weights(&self.path, reason)),
        };
        if let Some(label) = &one.label {
            self.hash = blake3::hash(format!("{} {label}", self.hash).as_bytes())
                .to_hex()
                .to_string()
        }
        let (mut tensors, mut odd, mut nonfinite) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (n, key) in &one.tensors {
            let file = &keys[*n];
            if let Some(tensor) = self.tensors.remove(file) {
                tensors.insert(key.clone(), tensor);
            }
            if let Some(why) = self.odd.remove(file) {
                odd.insert(key.clone(), why);
            }
            if let Some(count) = self.nonfinite.remove(file) {
                nonfinite.insert(key.clone(), count);
            }
        }
        (self.tensors, self.odd, self.nonfinite) = (tensors, odd, nonfinite);
        Ok(self.named(one))
    }

    /// Note a choice that the file did not decide: it is said when the model is loaded. `what` is a sentence that
    /// names the choice and the argument that changes it.
    pub fn assume(&mut self, what: impl Into<String>) {
        self.assumed.push(what.into())
    }

    /// The choices that the file did not decide, one sentence each.
    pub fn assumed(&self) -> &[String] {
        &self.assumed
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// blake3 of the file, or of those of all shards, and of the choice where the file has several models.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The header's metadata.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// How the file names its tensors: known after [`Self::renamed`].
    pub fn naming(&self) -> &Naming {
        &self.naming
    }

    /// The names of the tensors, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The first few names, for messages.
    pub fn sample_keys(&self) -> String {
        let keys: Vec<_> = self.keys().take(3).map(|k| format!("\"{k}\"")).collect();
        match keys.is_empty() {
            true => "nothing: the file is empty".into(),
            false => keys.join(", "),
        }
    }

    /// The shape of a tensor, if there is one of this name.
    pub fn shape(&self, key: &str) -> Option<&[usize]> {
        self.tensors.get(key).map(|t| t.dims())
    }

    /// Numbers in all tensors together.
    pub fn elements(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }

    /// A tensor by name.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn tensor(&self, key: &str) -> Result<&Tensor> {
        self.tensors.get(key).ok_or_else(|| {
            let keys: Vec<_> = self
                .naming
                .to_file(key)
                .into_iter()
                .map(|(key, _)| key)
                .collect();
            let reason = format!(
                "no tensor \"{}\"; it has {}",
                keys.join("\", \""),
                self.sample_keys()
            );
            Error::weights(&self.path, reason)
        })
    }

    /// The tensors whose names begin with `prefix`, without it.
    pub fn under(self, prefix: &str) -> Self {
        let tensors = self
            .tensors
            .into_iter()
            .filter_map(|(k, t)| Some((k.strip_prefix(prefix)?.to_string(), t)))
            .collect();
        Self { tensors, ..self }
    }

    /// Without the tensors whose names begin with any of `prefixes`.
    pub fn without(mut self, prefixes: &[&str]) -> Self {
        self.tensors
            .retain(|key, _| !prefixes.iter().any(|p| key.starts_with(p)));
        self
    }

    /// The type in which a model built from it takes its large products.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// For models that take their large products in `precision`. Another than f32 is another model to every cache.
    pub fn in_precision(mut self, precision: Precision) -> Self {
        if precision != self.precision {
            let both = format!("{} {}", self.hash, precision.name());
            self.hash = blake3::hash(both.as_bytes()).to_hex().to_string();
            self.precision = precision;
        }
        self
    }

    /// With `tensor` under `key`.
    pub(crate) fn with(mut self, key: &str, tensor: Tensor) -> Self {
        self.tensors.insert(key.into(), tensor);
        self
    }
}
