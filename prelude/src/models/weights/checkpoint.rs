//! A weights file in memory: read whole, checked whole, before any model is built from it.

use super::keys::Naming;
use super::read;
use crate::{Error, Result};
use candle_core::Tensor;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// The tensors of a weights file, by name; half precision as f32.
pub struct Checkpoint {
    pub(super) path: PathBuf,
    hash: String,
    metadata: HashMap<String, String>,
    pub(super) tensors: BTreeMap<String, Tensor>,
    /// How the file names them.
    pub(super) naming: Naming,
    /// What renaming has found wrong, for the list of all faults.
    pub(super) faults: Vec<String>,
    /// Names that are missing for a fault already noted.
    pub(super) excused: BTreeSet<String>,
    /// What was chosen where the file leaves a choice, one sentence each, with the argument that changes it.
    assumed: Vec<String>,
}

impl Checkpoint {
    /// Read a `.safetensors` file, or a PyTorch `.bin`, `.pt` or `.pth` file.
    ///
    /// # Errors
    /// When it is missing, unreadable, truncated, or neither of the two.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Ok(Self::of(path, read::file(path)?))
    }

    /// The same from the bytes of a safetensors file in memory, called `path` in messages.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let path = path.as_ref();
        Ok(Self::of(path, read::bytes(path, bytes)?))
    }

    fn of(path: &Path, contents: read::Contents) -> Self {
        Self {
            path: path.to_path_buf(),
            hash: contents.hash,
            metadata: contents.metadata,
            tensors: contents.tensors,
            naming: Naming::HOUSE,
            faults: Vec::new(),
            excused: BTreeSet::new(),
            assumed: Vec::new(),
        }
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

    /// blake3 of the file.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The header's metadata.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// How the file names its tensors: known after [`Self::renamed`].
    pub fn naming(&self) -> Naming {
        self.naming
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

    /// With `tensor` under `key`.
    pub(crate) fn with(mut self, key: &str, tensor: Tensor) -> Self {
        self.tensors.insert(key.into(), tensor);
        self
    }
}
