//! Arrays for other programs, with the names of their rows beside: NumPy's `.npy` and safetensors.

use super::rows::{ending, unknown};
use super::write_whole;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// An array by its name, and what its axes count.
pub(crate) struct Array<'a> {
    pub name: &'a str,
    pub values: &'a Tensor,
    pub axes: &'a [&'a str],
}

/// Arrays as they are exported.
pub(crate) struct Arrays<'a> {
    /// The first is the one that a file of a single array holds.
    pub arrays: Vec<Array<'a>>,
    /// The names along an axis, by the axis.
    pub names: Vec<(&'a str, Vec<String>)>,
    /// What else there is to say: model, data set, options.
    pub about: Vec<(&'a str, String)>,
}

impl Arrays<'_> {
    /// Writes to `path`: `.npy`, the first array, with a file `<path>.json` beside it that names axes, components, images
    /// and origin; `.safetensors`, all arrays, the same in its header.
    ///
    /// # Errors
    /// Another ending, a type that neither has, or a file that cannot be written.
    pub fn export(&self, path: &Path) -> Result<()> {
        match ending(path).as_str() {
            "npy" => {
                let Some(first) = self.arrays.first() else {
                    return Err(Error::argument(
                        "path",
                        path.display(),
                        "there is no array to write",
                    ));
                };
                let about = serde_json::to_vec_pretty(&self.about(&[first]));
                let about = about
                    .map_err(|e| Error::unfit(path, e.to_string(), "write to another file"))?;
                let content = npy(first.values)?;
                write_whole(&beside(path), &about)?;
                write_whole(path, &content)
            }
            "safetensors" => write_whole(path, &self.safetensors(path)?),
            other => Err(unknown(path, other, &["npy", "safetensors"])),
        }
    }

    fn about(&self, arrays: &[&Array]) -> Value {
        let axes = arrays
            .iter()
            .map(|array| (array.name.to_string(), json!(array.axes)));
        let mut about = Map::from_iter([("axes".to_string(), Value::Object(axes.collect()))]);
        about.extend(
            self.about
                .iter()
                .map(|(name, what)| (name.to_string(), json!(what))),
        );
        about.extend(
            self.names
                .iter()
                .map(|(axis, names)| (axis.to_string(), json!(names))),
        );
        Value::Object(about)
    }

    fn safetensors(&self, path: &Path) -> Result<Vec<u8>> {
        let failed =
            |e: &dyn std::fmt::Display| Error::unfit(path, e.to_string(), "write to another file");
        let mut data = Vec::new();
        for array in &self.arrays {
            let (kind, bytes) = bytes(array.values)?;
            let dtype = match kind {
                DType::F64 => Dtype::F64,
                DType::U8 => Dtype::U8,
                DType::U32 => Dtype::U32,
                DType::I64 => Dtype::I64,
                _ => Dtype::F32,
            };
            data.push((array.name, dtype, array.values.dims().to_vec(), bytes));
        }
        let views = data
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| failed(&e))?;
                Ok((*name, view))
            })
            .collect::<Result<Vec<_>>>()?;
        let all: Vec<&Array> = self.arrays.iter().collect();
        // A header holds texts: a list is one as JSON.
        let header: HashMap<String, String> = match self.about(&all) {
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| match value {
                    Value::String(text) => (name, text),
                    other => (name, other.to_string()),
                })
                .collect(),
            _ => HashMap::new(),
        };
        safetensors::serialize(views, Some(header)).map_err(|e| failed(&e))
    }
}

/// The file of names beside `path`: `x.npy.json`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

/// The bytes of a tensor, little end first, in its own type or, for those that NumPy has not, f32.
fn bytes(t: &Tensor) -> Result<(DType, Vec<u8>)> {
    let dtype = match t.dtype() {
        DType::F64 | DType::U8 | DType::U32 | DType::I64 => t.dtype(),
        _ => DType::F32,
    };
    let t = t.to_device(&Device::Cpu)?.to_dtype(dtype)?.flatten_all()?;
    let bytes = match dtype {
        DType::F64 => t
            .to_vec1::<f64>()?
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DType::U8 => t.to_vec1::<u8>()?,
        DType::U32 => t
            .to_vec1::<u32>()?
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DType::I64 => t
            .to_vec1::<i64>()?
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        _ => t
            .to_vec1::<f32>()?
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
    };
    Ok((dtype, bytes))
}

/// A tensor as NumPy's format 1.0.
fn npy(t: &Tensor) -> Result<Vec<u8>> {
    let (dtype, bytes) = bytes(t)?;
    let kind = match dtype {
        DType::F64 => "<f8",
        DType::U8 => "|u1",
        DType::U32 => "<u4",
        DType::I64 => "<i8",
        _ => "<f4",
    };
    let dims: String = t.dims().iter().map(|d| format!("{d}, ")).collect();
    let shape = match t.dims() {
        // A tuple of one keeps its comma.
        [_] => dims.trim_end().to_string(),
        _ => dims.trim_end_matches(", ").to_string(),
    };
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    // Magic, length and header end at a multiple of 64, the header with a line feed.
    let unpadded = MAGIC.len() + 2 + header.len() + 1;
    header += &" ".repeat(unpadded.next_multiple_of(64) - unpadded);
    header.push('\n');
    let length = u16::try_from(header.len())
        .map_err(|_| Error::argument("array", t.dims().len(), "fewer axes"))?;
    Ok([MAGIC, &length.to_le_bytes(), header.as_bytes(), &bytes].concat())
}
