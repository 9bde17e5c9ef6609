//! Weights files into memory: safetensors, and PyTorch's zip archives by candle's reader of pickles, which runs no
//! code. Tensors are read side by side, straight to where they stay, and half precision becomes f32 on the way.

use crate::{Error, Result};
use candle_core::{DType, Device, Tensor, pickle};
use rayon::prelude::*;
use safetensors::tensor::{Metadata, TensorInfo};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A weights file in memory.
pub(super) struct Contents {
    /// blake3 of the file.
    pub hash: String,
    pub metadata: HashMap<String, String>,
    pub tensors: BTreeMap<String, Tensor>,
}

/// Where bytes come from.
enum Source<'a> {
    Bytes(&'a [u8]),
    File(File, &'a Path),
}

impl Source<'_> {
    fn len(&self) -> std::io::Result<u64> {
        Ok(match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(file, _) => file.metadata()?.len(),
        })
    }

    fn read(&self, start: u64, to: &mut [u8]) -> std::io::Result<()> {
        match self {
            Self::File(file, _) => file.read_exact_at(to, start),
            Self::Bytes(bytes) => {
                let start = start as usize;
                let part = bytes.get(start..start + to.len());
                to.copy_from_slice(part.ok_or(std::io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }

    fn hash(&self) -> std::io::Result<String> {
        let mut hasher = blake3::Hasher::new();
        match self {
            Self::Bytes(bytes) => hasher.update_rayon(bytes),
            Self::File(_, path) => hasher.update_mmap_rayon(path)?,
        };
        Ok(hasher.finalize().to_hex().to_string())
    }
}

/// Read `path`, whichever of the two formats it is in.
pub(super) fn file(path: &Path) -> Result<Contents> {
    let io = |e| Error::io("reading", path, e);
    let file = File::open(path).map_err(io)?;
    let about = file.metadata().map_err(io)?;
    if about.is_dir() {
        return Err(io(std::io::ErrorKind::IsADirectory.into()));
    }
    let mut start = [0; 4];
    let is_zip =
        about.len() >= 4 && file.read_exact_at(&mut start, 0).is_ok() && start == *b"PK\x03\x04";
    match is_zip {
        true => pytorch(path, &Source::File(file, path)),
        false => safetensors(path, &Source::File(file, path)),
    }
}

/// The same for a safetensors file in memory, called `path` in messages.
pub(super) fn bytes(path: &Path, bytes: &[u8]) -> Result<Contents> {
    safetensors(path, &Source::Bytes(bytes))
}

fn safetensors(path: &Path, source: &Source) -> Result<Contents> {
    let io = |e| Error::io("reading", path, e);
    let length = source.len().map_err(io)?;
    let broken = |e: &dyn std::fmt::Display| {
        let legacy = ["bin", "pth", "pt", "ckpt"];
        let reason = match path.extension().and_then(|e| e.to_str()) {
            Some(e) if legacy.contains(&e) => {
                "neither safetensors nor a zip archive of PyTorch 1.6 or newer; in Python: safetensors.torch.save_file(torch.load(path), \"model.safetensors\")".to_string()
            }
            _ => format!("not a whole safetensors file ({e}); fetch it again"),
        };
        Error::weights(path, reason)
    };
    let mut start = [0; 8];
    if length < 8 {
        return Err(broken(&format!("{length} bytes")));
    }
    source.read(0, &mut start).map_err(io)?;
    let header = u64::from_le_bytes(start);
    if header > length - 8 {
        return Err(broken(&"its header does not end"));
    }
    let mut text = vec![0; header as usize];
    source.read(8, &mut text).map_err(io)?;
    // Reading it checks offsets against shapes.
    let about: Metadata = serde_json::from_slice(&text).map_err(|e| broken(&e))?;
    let data = header + 8;
    let said = data + about.data_len() as u64;
    if said != length {
        return Err(broken(&format!("{length} bytes of {said}")));
    }
    let (hash, tensors) = rayon::join(|| source.hash(), || tensors(&about, source, data));
    let tensors = tensors.map_err(|e| match e {
        Fault::Read(e) => io(e),
        Fault::Tensor(e) => broken(&e),
    })?;
    Ok(Contents {
        hash: hash.map_err(io)?,
        metadata: about.metadata().clone().unwrap_or_default(),
        tensors,
    })
}

enum Fault {
    Read(std::io::Error),
    Tensor(candle_core::Error),
}

fn tensors(
    about: &Metadata,
    source: &Source,
    data: u64,
) -> std::result::Result<BTreeMap<String, Tensor>, Fault> {
    let infos: Vec<_> = about.tensors().into_iter().collect();
    let read = |(name, info): (String, &TensorInfo)| {
        let start = data + info.data_offsets.0 as u64;
        let size = info.data_offsets.1 - info.data_offsets.0;
        Ok((name, tensor(info, start, size, source)?))
    };
    infos.into_par_iter().map(read).collect()
}

fn tensor(
    info: &TensorInfo,
    start: u64,
    size: usize,
    source: &Source,
) -> std::result::Result<Tensor, Fault> {
    let dtype = DType::try_from(info.dtype).map_err(Fault::Tensor)?;
    let shape = info.shape.as_slice();
    if dtype == DType::F32 {
        let mut values = vec![0f32; size / 4];
        let bytes = bytemuck::cast_slice_mut(&mut values);
        source.read(start, bytes).map_err(Fault::Read)?;
        return Tensor::from_vec(values, shape, &Device::Cpu).map_err(Fault::Tensor);
    }
    let mut bytes = vec![0; size];
    source.read(start, &mut bytes).map_err(Fault::Read)?;
    Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu)
        .and_then(widened)
        .map_err(Fault::Tensor)
}

/// Half precision as f32; other kinds of numbers as they are.
fn widened(tensor: Tensor) -> candle_core::Result<Tensor> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 => tensor.to_dtype(DType::F32),
        _ => Ok(tensor),
    }
}

/// What training code calls the weights in a dictionary of other things.
const INNER: [Option<&str>; 6] = [
    None,
    Some("state_dict"),
    Some("model"),
    Some("teacher"),
    Some("model_state"),
    Some("state_dict_ema"),
];

fn pytorch(path: &Path, source: &Source) -> Result<Contents> {
    let broken = |e: &dyn std::fmt::Display| {
        Error::weights(
            path,
            format!(
                "not a PyTorch state dict ({e}); in Python: safetensors.torch.save_file(model.state_dict(), \"model.safetensors\")"
            ),
        )
    };
    let hash = source.hash().map_err(|e| Error::io("reading", path, e))?;
    for inner in INNER {
        // A dictionary without this entry is an error there.
        let Ok(file) = pickle::PthTensors::new(path, inner) else {
            continue;
        };
        if file.tensor_infos().is_empty() {
            continue;
        }
        let names: Vec<_> = file.tensor_infos().keys().collect();
        let read = |name: &String| match file.get(name) {
            Ok(Some(tensor)) => Ok((name.clone(), widened(tensor)?)),
            Ok(None) => candle_core::bail!("no data for {name}"),
            Err(e) => Err(e),
        };
        let tensors = names.into_iter().map(read);
        return Ok(Contents {
            hash,
            metadata: HashMap::new(),
            tensors: tensors
                .collect::<candle_core::Result<_>>()
                .map_err(|e| broken(&e))?,
        });
    }
    Err(broken(&"it holds no tensors by name"))
}
