//! PyTorch's files since version 1.6: a zip archive of a pickle, `data.pkl`, and storages beside it, `data/0`, ...

use super::listing::Listing;
use super::objects;
use super::pickle::{Fault, Pickle};
use super::rebuild::Stored;
use super::slot::{Place, Slot};
use super::source::Source;
use super::{Remedy, not_weights};
use crate::{Error, Result};
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// A pickle of names and shapes is far smaller than this.
const LARGEST: u64 = 256 << 20;

/// A file of an archive, stored as it is.
struct Member {
    start: u64,
    size: u64,
    check: Option<u32>,
}

/// The tensors of the archive at `path`.
///
/// # Errors
/// When it is cut, damaged, or holds something else than tensors by name: the message says what.
pub(super) fn listing(path: &Path, source: &Source) -> Result<Listing> {
    let broken = |e: &dyn std::fmt::Display| {
        let reason = format!(
            "not a PyTorch state dict ({e}); fetch it again, or save it anew in Python: safetensors.torch.save_file(model.state_dict(), \"model.safetensors\")"
        );
        Error::weights(path, reason)
    };
    let io = |e| Error::io("reading", path, e);
    let length = source.len().map_err(io)?;
    let mut zip = zip::ZipArchive::new(Reader {
        source,
        at: 0,
        length,
    })
    .map_err(|e| broken(&e))?;
    let names: Vec<String> = (zip.file_names())
        .map(|name| name.map(|name| name.into_owned()))
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| broken(&e))?;
    if let Some(what) = no_state_dict(path, &names) {
        return Err(what);
    }
    let mut members = HashMap::new();
    for i in 0..zip.len() {
        let file = zip.by_index_raw(i).map_err(|e| broken(&e))?;
        let name = file.name().map_err(|e| broken(&e))?.into_owned();
        if file.compression() != zip::CompressionMethod::Stored || file.encrypted() {
            let reason = format!(
                "\"{name}\" in it is compressed or encrypted, which PyTorch never does; unpack it and pack it again without (zip -0 -r)"
            );
            return Err(Error::weights(path, reason));
        }
        let start = file.data_start().unwrap_or(u64::MAX);
        let (size, crc) = (file.size(), file.crc32());
        if file.compressed_size() != size || start.checked_add(size).is_none_or(|end| end > length)
        {
            return Err(broken(&format!("\"{name}\" in it is larger than the file")));
        }
        let member = Member {
            start,
            size,
            // PyTorch writes 0 where it was told not to compute it.
            check: (crc != 0).then_some(crc),
        };
        members.insert(name, member);
    }
    let bytes_of = |name: &str| -> Result<Option<Vec<u8>>> {
        let Some(member) = members.get(name) else {
            return Ok(None);
        };
        if member.size > LARGEST {
            return Err(broken(&format!(
                "\"{name}\" in it has {} bytes",
                member.size
            )));
        }
        let mut bytes = vec![0; member.size as usize];
        source.read(member.start, &mut bytes).map_err(io)?;
        match member.check {
            Some(check) if check != crc32fast::hash(&bytes) => {
                Err(broken(&format!("\"{name}\" in it is damaged")))
            }
            _ => Ok(Some(bytes)),
        }
    };
    let pickle = names
        .iter()
        .find(|name| name.ends_with("/data.pkl") || *name == "data.pkl");
    let pickle = pickle.ok_or_else(|| broken(&"it has no data.pkl"))?;
    let root = pickle.strip_suffix("data.pkl").unwrap_or("");
    if bytes_of(&format!("{root}byteorder"))?.is_some_and(|order| order.starts_with(b"big")) {
        let reason = format!(
            "its numbers are big-endian; save it on a common machine: {}",
            Remedy::resave(path)
        );
        return Err(Error::weights(path, reason));
    }
    let bytes = bytes_of(pickle)?.unwrap_or_default();
    let pickle = Pickle::read(&bytes).map_err(|fault| match fault {
        Fault::Short => broken(&"its pickle ends in the middle"),
        Fault::Wrong(what) => broken(&what),
    })?;
    let mut found = objects::find(&pickle).map_err(|e| broken(&e))?;
    let tensors = std::mem::take(&mut found.tensors);
    let slots = tensors.into_iter().map(|(slot, stored)| match stored {
        None => slot,
        Some(stored) => {
            let member = members.get(&format!("{root}data/{}", stored.storage));
            placed(slot, stored, member.map(|m| (m.start, m.size, m.check)))
        }
    });
    Ok(Listing::new(slots.collect(), found))
}

/// `slot` with the place that `stored` says, in a storage of so many bytes from a byte of the file on.
pub(super) fn placed(slot: Slot, stored: Stored, at: Option<(u64, u64, Option<u32>)>) -> Slot {
    let Some((start, bytes, check)) = at else {
        let place = Err(format!("the file has no storage \"{}\"", stored.storage));
        return Slot { place, ..slot };
    };
    let size = slot.number.size();
    let wanted = (stored.length as u64).checked_mul(size as u64);
    let place = match wanted {
        Some(wanted) if wanted <= bytes => Ok(Place {
            part: 0,
            start: start + (stored.offset * size) as u64,
            check: check.filter(|_| {
                let count = super::slot::elements(&slot.shape).unwrap_or(0);
                stored.strides.is_none() && (count * size) as u64 == bytes
            }),
            strides: stored.strides,
        }),
        _ => Err(format!(
            "its storage has {bytes} bytes, not those of {} numbers",
            stored.length
        )),
    };
    Slot { place, ..slot }
}

/// What a zip archive is that holds no state dict, told by the names of its files.
fn no_state_dict(path: &Path, names: &[String]) -> Option<Error> {
    let any = |of: &dyn Fn(&str) -> bool| names.iter().any(|name| of(name));
    let shown = path.display();
    if any(&|n| n.ends_with("/constants.pkl") || n.contains("/code/__torch__")) {
        let whole = any(&|n| n.ends_with("/data.pkl"));
        return Some(not_weights(
            path,
            "a TorchScript archive, a program rather than a state dict",
            &match whole {
                true => format!(
                    "in Python: import torch; torch.save(torch.jit.load(\"{shown}\", map_location=\"cpu\").state_dict(), \"{}\")",
                    Remedy::beside(path, "state.pth")
                ),
                false => {
                    "it lacks its data.pkl, so that PyTorch cannot read it either; fetch it again"
                        .into()
                }
            },
        ));
    }
    if any(&|n| n.ends_with("data.pkl")) {
        return None;
    }
    let shown: Vec<_> = names.iter().take(3).map(String::as_str).collect();
    let held = match shown.is_empty() {
        true => "nothing".into(),
        false => shown.join(", "),
    };
    let (what, remedy) = if any(&|n| n.ends_with(".npy")) {
        (
            "a NumPy archive (.npz)".to_string(),
            format!(
                "in Python: import numpy, torch; torch.save({{k: torch.from_numpy(v) for k, v in numpy.load(\"{}\").items()}}, \"{}\")",
                path.display(),
                Remedy::beside(path, "state.pth")
            ),
        )
    } else if any(&|n| n.ends_with("model.weights.h5")) {
        (
            "a Keras archive".to_string(),
            "take the PyTorch or safetensors file of the model".into(),
        )
    } else {
        (
            format!("a zip archive without PyTorch's data.pkl (it holds {held})"),
            "if there are weights in it, unpack it and load that file".to_string(),
        )
    };
    Some(not_weights(path, &what, &remedy))
}

/// A source as zip reads one.
struct Reader<'a> {
    source: &'a Source<'a>,
    at: u64,
    length: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let left = self.length.saturating_sub(self.at);
        let count = left.min(to.len() as u64) as usize;
        self.source.read(self.at, &mut to[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
