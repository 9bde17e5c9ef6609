//! PyTorch's files before version 1.6 (`torch.serialization._legacy_save`): five pickles one behind the other (a magic
//! number, the version, the machine, the object, the names of its storages), then the numbers of each storage behind
//! their count.

use super::archive::placed;
use super::listing::Listing;
use super::objects;
use super::pickle::{Fault, Pickle};
use super::slot::elements;
use super::source::Source;
use super::{Remedy, not_weights};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// The first pickle: 0x1950a86a20f9469cfc6c.
pub(super) const MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// Pickles are looked for in so many bytes first, then in more.
const FIRST: usize = 1 << 20;
const LARGEST: usize = 256 << 20;

/// The tensors of the file at `path`.
///
/// # Errors
/// When it is cut, or holds something else than tensors by name.
pub(super) fn listing(path: &Path, source: &Source) -> Result<Listing> {
    let broken = |e: &dyn std::fmt::Display| {
        not_weights(
            path,
            &format!("an old PyTorch file (before 1.6) that cannot be read ({e})"),
            &format!(
                "fetch it again, or where PyTorch can read it, in Python: {} (for a plain state dict safetensors.torch.save_file does too)",
                Remedy::resave(path)
            ),
        )
    };
    let io = |e| Error::io("reading", path, e);
    let length = source.len().map_err(io)?;
    let mut most = FIRST;
    let (pickles, start) = loop {
        let bytes = source.start(most).map_err(io)?;
        match pickles(&bytes) {
            Ok(read) => break read,
            Err(Fault::Short) if (bytes.len() as u64) < length && most < LARGEST => most *= 16,
            Err(Fault::Short) => return Err(broken(&"it ends in the middle")),
            Err(Fault::Wrong(what)) => return Err(broken(&what)),
        }
    };
    let [.., object, names] = pickles.as_slice() else {
        return Err(broken(&"it lacks a part"));
    };
    let mut found = objects::find(object).map_err(|e| broken(&e))?;
    let tensors = std::mem::take(&mut found.tensors);
    let sizes: HashMap<_, _> = (tensors.iter())
        .filter_map(|(slot, stored)| Some((stored.as_ref()?.storage.as_str(), slot.number.size())))
        .collect();
    // The storages in the order of the file. One of numbers that are not known ends what can be found.
    let mut storages = HashMap::new();
    let mut at = start as u64;
    for id in names.sequence(names.root()).unwrap_or(&[]) {
        let Some(name) = names.text(*id) else { break };
        let mut count = [0; 8];
        if at + 8 > length {
            return Err(broken(&"it ends in the middle"));
        }
        source.read(at, &mut count).map_err(io)?;
        let Some(size) = sizes.get(name).filter(|size| **size > 0) else {
            break;
        };
        let bytes = u64::from_le_bytes(count).checked_mul(*size as u64);
        let end = bytes.and_then(|bytes| (at + 8).checked_add(bytes));
        match (bytes, end) {
            (Some(bytes), Some(end)) if end <= length => {
                storages.insert(name.to_string(), (at + 8, bytes, None));
                at = end
            }
            _ => return Err(broken(&"it ends in the middle")),
        }
    }
    let slots = tensors.into_iter().map(|(slot, stored)| match stored {
        Some(stored) if elements(&slot.shape) != Some(0) => {
            let at = storages.get(&stored.storage).copied();
            placed(slot, stored, at)
        }
        _ => slot,
    });
    Ok(Listing::new(slots.collect(), found))
}

/// The five pickles at the start of `bytes`, and where they end.
fn pickles(bytes: &[u8]) -> std::result::Result<(Vec<Pickle>, usize), Fault> {
    let mut at = 0;
    let mut all = Vec::new();
    for _ in 0..5 {
        let pickle = Pickle::read(&bytes[at..])?;
        at += pickle.length;
        all.push(pickle)
    }
    Ok((all, at))
}
