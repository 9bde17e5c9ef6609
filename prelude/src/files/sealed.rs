//! A safetensors file with a blake3 checksum of its content in the header, written whole or not at all.
//!
//! Any reader of safetensors can open it; ours also notices a flipped bit or a truncated tail, and what the file says of
//! itself: its kind, its format number, and what it was made of. Lists of names are tensors of bytes (a JSON array),
//! because a header is read whole by whoever wants to know what a file is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::write_whole;
use crate::{Error, Result};

/// A kind of file and the format number of its layout and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// What messages call it: "aligner".
    pub kind: &'static str,
    pub format: u32,
    /// What a person does about a file of another format.
    pub remedy: &'static str,
}

/// Named tensors (f32, f64 or bytes) and what they are.
pub(crate) struct Sealed {
    description: Value,
    tensors: BTreeMap<String, Tensor>,
}

/// What a description says of every file.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    kind: String,
    format: u32,
    /// For listings: what the file is of.
    label: String,
    #[serde(flatten)]
    about: T,
}

const DESCRIPTION: &str = "vitrepl";
const CHECKSUM: &str = "blake3";
/// The limit that safetensors puts on a header.
const HEADER: u64 = 100_000_000;
/// Files from before there were format numbers.
const UNNUMBERED: u64 = 1;

impl Sealed {
    /// A file of `layout`, called `label` in listings, that says `about` of itself.
    pub fn new(layout: Layout, label: &str, about: &impl Serialize) -> Result<Self> {
        let envelope = Envelope {
            kind: layout.kind.to_string(),
            format: layout.format,
            label: label.to_string(),
            about,
        };
        let description = serde_json::to_value(&envelope)
            .map_err(|e| Error::argument("description", e, "something JSON can hold"))?;
        Ok(Self {
            description,
            tensors: BTreeMap::new(),
        })
    }

    /// Adds a tensor.
    pub fn put(&mut self, name: &str, tensor: &Tensor) {
        self.tensors.insert(name.to_string(), tensor.clone());
    }

    /// Adds a list of names.
    pub fn put_names(&mut self, name: &str, names: &[impl AsRef<str>]) -> Result<()> {
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let bytes = serde_json::to_vec(&names)
            .map_err(|e| Error::argument("names", e, "something JSON can hold"))?;
        let length = bytes.len();
        self.put(name, &Tensor::from_vec(bytes, length, &Device::Cpu)?);
        Ok(())
    }

    /// Writes to `path` through a temporary file beside it and a rename, so that a reader never sees a part.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_whole(path, &self.bytes(path)?)
    }

    fn bytes(&self, path: &Path) -> Result<Vec<u8>> {
        let unusable = |e: safetensors::SafeTensorError| Error::saved(path, e.to_string());
        let data = self
            .tensors
            .iter()
            .map(|(name, t)| Ok((name.as_str(), t.dims().to_vec(), content(t)?)))
            .collect::<Result<Vec<_>>>()?;
        let views = data
            .iter()
            .map(|(name, shape, (dtype, bytes))| {
                let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(unusable)?;
                Ok((*name, view))
            })
            .collect::<Result<Vec<_>>>()?;
        let description = self.description.to_string();
        let parts = views.iter().map(|(name, v)| (*name, v.shape(), v.data()));
        let header = HashMap::from([
            (CHECKSUM.to_owned(), checksum(&description, parts)),
            (DESCRIPTION.to_owned(), description),
        ]);
        safetensors::serialize(views, Some(header)).map_err(unusable)
    }

    /// Reads `path` and verifies its checksum.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::Saved`] when what was read is damaged or no file of ours.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, e))?;
        let bad = |e: safetensors::SafeTensorError| {
            Error::saved(path, format!("not a whole safetensors file ({e})"))
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(bad)?;
        let file = SafeTensors::deserialize(&bytes).map_err(bad)?;
        let entry = |key: &str| {
            let value = header.metadata().as_ref().and_then(|m| m.get(key)).cloned();
            value.ok_or_else(|| {
                Error::unfit(
                    path,
                    format!("no \"{key}\" in its header: not a file of vitrepl's"),
                    "name another file",
                )
            })
        };
        let (description, sum) = (entry(DESCRIPTION)?, entry(CHECKSUM)?);
        let mut views = file.tensors();
        views.sort_by(|a, b| a.0.cmp(&b.0));
        let parts = views
            .iter()
            .map(|(name, v)| (name.as_str(), v.shape(), v.data()));
        if checksum(&description, parts) != sum {
            return Err(Error::saved(
                path,
                "its blake3 checksum does not match its content: the file is damaged",
            ));
        }
        let tensors = views
            .into_iter()
            .map(|(name, v)| Ok((name.clone(), tensor(path, &name, &v)?)))
            .collect::<Result<_>>()?;
        let description = serde_json::from_str(&description)
            .map_err(|e| Error::saved(path, format!("its description is no JSON: {e}")))?;
        Ok(Self {
            description,
            tensors,
        })
    }

    /// What the file says of itself, if it is of `layout`.
    ///
    /// # Errors
    /// [`Error::Saved`] when it is of another kind or format, with the remedy.
    pub fn about<T: DeserializeOwned>(&self, path: &Path, layout: Layout) -> Result<T> {
        let Layout {
            kind,
            format,
            remedy,
        } = layout;
        let found = self.description["kind"]
            .as_str()
            .unwrap_or("something else");
        if found != kind {
            let reason = format!("holds \"{found}\", not \"{kind}\"");
            return Err(Error::unfit(path, reason, "name another file"));
        }
        let number = self.description["format"].as_u64().unwrap_or(UNNUMBERED);
        if number != u64::from(format) {
            let reason = format!("\"{kind}\" of format {number}, and this version reads {format}");
            return Err(Error::unfit(path, reason, remedy));
        }
        let envelope: Envelope<T> =
            serde_json::from_value(self.description.clone()).map_err(|e| {
                Error::saved(path, format!("its description is not of \"{kind}\": {e}"))
            })?;
        Ok(envelope.about)
    }

    /// Takes the tensor `name` out.
    pub fn take(&mut self, path: &Path, name: &str) -> Result<Tensor> {
        let found = self.tensors.remove(name);
        found.ok_or_else(|| Error::saved(path, format!("tensor \"{name}\" is missing")))
    }

    /// Takes the tensor `name` out, if it has the shape `shape`.
    pub fn take_shaped(&mut self, path: &Path, name: &str, shape: &[usize]) -> Result<Tensor> {
        let t = self.take(path, name)?;
        if t.dims() != shape {
            let reason = format!(
                "tensor \"{name}\" has shape {:?}, and {shape:?} is wanted",
                t.dims()
            );
            return Err(Error::saved(path, reason));
        }
        Ok(t)
    }

    /// Takes a list of names out.
    pub fn take_names(&mut self, path: &Path, name: &str) -> Result<Vec<String>> {
        let t = self.take(path, name)?;
        let bytes = match t.dtype() {
            DType::U8 => t.flatten_all()?.to_vec1::<u8>()?,
            _ => Vec::new(),
        };
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::saved(path, format!("\"{name}\" is no list of names: {e}")))
    }
}

/// The kind, format and label of the file at `path`, of which only the beginning is read; none when it is not a file of
/// ours. Nothing is verified.
pub(crate) fn label(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut file = std::fs::File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(length).min(HEADER))
        .read_to_end(&mut header)
        .ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    let description = header["__metadata__"][DESCRIPTION].as_str()?;
    let description: Value = serde_json::from_str(description).ok()?;
    Some(description["label"].as_str()?.to_string())
}

/// The values of a tensor as a file holds them.
fn content(t: &Tensor) -> Result<(Dtype, Vec<u8>)> {
    let flat = t.flatten_all()?;
    Ok(match t.dtype() {
        DType::U8 => (Dtype::U8, flat.to_vec1::<u8>()?),
        DType::F64 => {
            let values = flat.to_vec1::<f64>()?;
            (Dtype::F64, bytemuck::cast_slice(&values).to_vec())
        }
        _ => {
            let values = flat.to_dtype(DType::F32)?.to_vec1::<f32>()?;
            (Dtype::F32, bytemuck::cast_slice(&values).to_vec())
        }
    })
}

fn tensor(path: &Path, name: &str, view: &TensorView) -> Result<Tensor> {
    let (shape, data) = (view.shape(), view.data());
    Ok(match view.dtype() {
        Dtype::U8 => Tensor::from_slice(data, shape, &Device::Cpu)?,
        Dtype::F32 => {
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(data);
            Tensor::from_vec(values, shape, &Device::Cpu)?
        }
        Dtype::F64 => {
            let values: Vec<f64> = bytemuck::pod_collect_to_vec(data);
            Tensor::from_vec(values, shape, &Device::Cpu)?
        }
        other => {
            let reason = format!("tensor \"{name}\" is {other:?}, not f32, f64 or bytes");
            return Err(Error::saved(path, reason));
        }
    })
}

/// The hash of everything the file says: description, names, shapes and values, in order of names.
fn checksum<'a>(
    description: &str,
    parts: impl Iterator<Item = (&'a str, &'a [usize], &'a [u8])>,
) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(description.as_bytes());
    for (name, shape, data) in parts {
        hasher.update(format!("\0{name}\0{shape:?}\0").as_bytes());
        hasher.update(data);
    }
    hasher.finalize().to_hex().to_string()
}
