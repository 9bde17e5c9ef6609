//! A safetensors file with a blake3 checksum of its content in the header, written whole or not at all.
//!
//! Any reader of safetensors can open it; ours also notices a flipped bit or a truncated tail.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::files::write_whole;
use crate::{Error, Result};

/// Named f32 tensors and a JSON text that describes them.
pub(crate) struct Sealed {
    pub description: String,
    pub tensors: BTreeMap<String, Tensor>,
}

const DESCRIPTION: &str = "vitrepl";
const CHECKSUM: &str = "blake3";

impl Sealed {
    /// Writes to `path` through a temporary file beside it and a rename, so that a reader never sees a part.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_whole(path, &self.bytes(path)?)
    }

    fn bytes(&self, path: &Path) -> Result<Vec<u8>> {
        let data = self
            .tensors
            .iter()
            .map(|(name, t)| {
                let values = t.flatten_all()?.to_vec1::<f32>()?;
                Ok((name, t.dims().to_vec(), values))
            })
            .collect::<Result<Vec<_>>>()?;
        let views = data
            .iter()
            .map(|(name, shape, values)| {
                let bytes = bytemuck::cast_slice(values);
                let view = TensorView::new(Dtype::F32, shape.clone(), bytes)
                    .map_err(|e| Error::weights(path, e.to_string()))?;
                Ok((name.as_str(), view))
            })
            .collect::<Result<Vec<_>>>()?;
        let parts = views.iter().map(|(name, v)| (*name, v.shape(), v.data()));
        let header = HashMap::from([
            (CHECKSUM.to_owned(), checksum(&self.description, parts)),
            (DESCRIPTION.to_owned(), self.description.clone()),
        ]);
        safetensors::serialize(views, Some(header)).map_err(|e| Error::weights(path, e.to_string()))
    }

    /// Reads `path` and verifies its checksum.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, e))?;
        let bad = |e: safetensors::SafeTensorError| {
            Error::weights(
                path,
                format!("not a whole safetensors file ({e}); delete it and make it again"),
            )
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(bad)?;
        let file = SafeTensors::deserialize(&bytes).map_err(bad)?;
        let entry = |key: &str| {
            let value = header.metadata().as_ref().and_then(|m| m.get(key)).cloned();
            value.ok_or_else(|| {
                Error::weights(
                    path,
                    format!("no \"{key}\" in its header: not a file of vitrepl's"),
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
            return Err(Error::weights(
                path,
                "its blake3 checksum does not match its content: the file is damaged; delete it and make it again",
            ));
        }
        let tensors = views
            .into_iter()
            .map(|(name, v)| {
                if v.dtype() != Dtype::F32 {
                    let reason = format!("tensor \"{name}\" is {:?}, not f32", v.dtype());
                    return Err(Error::weights(path, reason));
                }
                let values: Vec<f32> = bytemuck::pod_collect_to_vec(v.data());
                let t = Tensor::from_vec(values, v.shape(), &Device::Cpu)?;
                Ok((name, t))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            description,
            tensors,
        })
    }

    /// Takes the tensor `name` out, if it has the shape `shape`.
    pub fn take(&mut self, path: &Path, name: &str, shape: &[usize]) -> Result<Tensor> {
        let t = self
            .tensors
            .remove(name)
            .ok_or_else(|| Error::weights(path, format!("tensor \"{name}\" is missing")))?;
        if t.dims() != shape {
            let reason = format!(
                "tensor \"{name}\" has shape {:?}, and {shape:?} is wanted",
                t.dims()
            );
            return Err(Error::weights(path, reason));
        }
        Ok(t)
    }
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
