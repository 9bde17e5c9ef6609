//! A safetensors file in memory: read whole, checked whole, before any model is built from it.

use super::keys;
use crate::{Error, Result};
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The tensors of a weights file, by name.
pub struct Checkpoint {
    path: PathBuf,
    hash: String,
    metadata: HashMap<String, String>,
    tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Read a `.safetensors` file.
    ///
    /// # Errors
    /// When it is missing, unreadable, truncated, or not safetensors.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, e))?;
        Self::from_bytes(path, &bytes)
    }

    /// The same from bytes in memory, called `path` in messages.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let broken = |e: &dyn std::fmt::Display| {
            Error::weights(
                &path,
                format!("not a whole safetensors file ({e}); fetch it again"),
            )
        };
        let (_, header) = safetensors::SafeTensors::read_metadata(bytes).map_err(|e| broken(&e))?;
        let file = safetensors::SafeTensors::deserialize(bytes).map_err(|e| broken(&e))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let dtype = DType::try_from(view.dtype()).map_err(|e| broken(&e))?;
            let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
            tensors.insert(name, tensor);
        }
        Ok(Self {
            hash: blake3::hash(bytes).to_hex().to_string(),
            metadata: header.metadata().clone().unwrap_or_default(),
            path,
            tensors,
        })
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
            Error::weights(
                &self.path,
                format!("no tensor \"{key}\"; it has {}", self.sample_keys()),
            )
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

    /// Turn open_clip's names into the house's; other files stay as they are.
    ///
    /// # Errors
    /// When a tensor cannot be reshaped as its name says.
    pub fn renamed(self) -> Result<Self> {
        if !keys::is_open_clip(self.keys()) {
            return Ok(self);
        }
        let mut tensors = BTreeMap::new();
        for (key, tensor) in self.tensors {
            let (name, reshape) = keys::from_open_clip(&key);
            let dims = tensor.dims().to_vec();
            let tensor = reshape.apply(tensor)?.ok_or_else(|| {
                let reason = format!("\"{key}\" has shape {dims:?}, not open_clip's");
                Error::weights(&self.path, reason)
            })?;
            tensors.insert(name, tensor);
        }
        Ok(Self { tensors, ..self })
    }

    /// Build a model from these tensors in f32 on `device`. All names and shapes are checked, and every one that
    /// is missing, mis-shaped or not used is listed.
    ///
    /// # Errors
    /// When the tensors do not fit the model.
    pub fn build<M>(
        &self,
        model: &str,
        device: &Device,
        new: impl FnOnce(VarBuilder<'static>) -> Result<M>,
    ) -> Result<M> {
        let fit = Fit {
            tensors: Arc::new(self.tensors.clone()),
            asked: Arc::default(),
            faults: Arc::default(),
        };
        let backend: Box<dyn SimpleBackend> = Box::new(fit.clone());
        let built = new(VarBuilder::from_backend(
            backend,
            DType::F32,
            device.clone(),
        ))?;
        let faults = fit.report();
        if faults.is_empty() {
            return Ok(built);
        }
        Err(Error::Keys {
            path: self.path.clone(),
            model: model.to_string(),
            details: faults,
        })
    }
}

/// Hands tensors to a model and notes what does not fit.
#[derive(Clone)]
struct Fit {
    tensors: Arc<BTreeMap<String, Tensor>>,
    asked: Arc<Mutex<BTreeSet<String>>>,
    faults: Arc<Mutex<Vec<String>>>,
}

/// Names listed of each kind of fault; a wrong file would have hundreds.
const LISTED: usize = 12;

impl Fit {
    fn report(&self) -> String {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = self.tensors.keys().filter(|key| !asked.contains(*key));
        faults.extend(unused.map(|key| format!("not part of the model: {key}")));
        let mut lines: Vec<_> = faults
            .iter()
            .take(LISTED)
            .map(|f| format!("\n  {f}"))
            .collect();
        if faults.len() > LISTED {
            lines.push(format!("\n  and {} more", faults.len() - LISTED))
        }
        lines.concat()
    }

    fn fault(&self, text: String) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push(text)
    }
}

impl SimpleBackend for Fit {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(name.to_string());
        drop(asked);
        match self.tensors.get(name) {
            Some(t) if t.shape() == &shape => return t.to_dtype(dtype)?.to_device(device),
            Some(t) => self.fault(format!(
                "shape of {name}: {:?}, the model has {:?}",
                t.dims(),
                shape.dims()
            )),
            None => self.fault(format!("missing: {name} {:?}", shape.dims())),
        }
        // The model is thrown away, but building it to the end finds every fault at once.
        Tensor::zeros(shape, dtype, device)
    }

    fn get_unchecked(
        &self,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        match self.tensors.get(name) {
            Some(t) => t.to_dtype(dtype)?.to_device(device),
            None => candle_core::bail!("no tensor {name}"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}
