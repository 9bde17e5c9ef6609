//! Weights files into memory: safetensors, and what PyTorch saves. What is in a file is listed first ([`Listing`]),
//! then the tensors that are wanted are read side by side, straight to where they stay; half precision becomes f32 on
//! the way. No code of a pickle is run.

mod archive;
mod legacy;
mod listing;
mod numbers;
mod objects;
mod pickle;
mod rebuild;
mod safetensors;
pub(in crate::models) mod shards;
mod slot;
mod sniff;
mod source;

pub(super) use listing::Listing;

use crate::models::family::FAMILIES;
use crate::{Error, Result};
use candle_core::Tensor;
use rayon::prelude::*;
use slot::Slot;
use source::Source;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A weights file that was opened and listed.
pub(super) struct Opened<'a> {
    parts: Vec<(PathBuf, Source<'a>)>,
    pub listing: Listing,
}

/// Tensors that were read.
#[derive(Default)]
pub(super) struct Read {
    pub tensors: BTreeMap<String, Tensor>,
    /// Tensors that weights are not made of.
    pub odd: BTreeMap<String, Odd>,
    /// Numbers of a tensor that are NaN or infinite, where there are any.
    pub nonfinite: BTreeMap<String, usize>,
}

/// A tensor that was not read.
#[derive(Clone, Debug)]
pub(super) enum Odd {
    /// Its numbers are of this kind.
    Kind(String),
    /// The file is broken, in this way.
    Broken(String),
}

/// Open `path`, whichever of the formats it is in, with all its shards where it is one of several files.
pub(super) fn file(path: &Path) -> Result<Opened<'static>> {
    let Some(shards) = shards::of(path)? else {
        return one(path);
    };
    let mut all = Opened {
        parts: Vec::new(),
        listing: Listing::default(),
    };
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in &shards.files {
        let opened = one(file)?;
        let part = all.parts.len();
        all.parts.extend(opened.parts);
        all.listing.metadata.extend(opened.listing.metadata);
        for mut slot in opened.listing.slots {
            if let Ok(place) = &mut slot.place {
                place.part = part
            }
            if let Some(other) = seen.insert(slot.key.clone(), file.clone()) {
                let reason = format!(
                    "\"{}\" is in {} as well; fetch both again",
                    slot.key,
                    other.display()
                );
                return Err(Error::weights(file, reason));
            }
            all.listing.slots.push(slot)
        }
    }
    let missing: Vec<_> = (shards.of.iter())
        .filter(|(key, file)| seen.get(*key) != Some(file))
        .collect();
    if let Some((key, file)) = missing.first() {
        let reason = format!(
            "its index says that \"{key}\" is in it, which it is not{}; fetch index and shards again",
            match missing.len() {
                1 => String::new(),
                n => format!(" (nor are {} others where they should be)", n - 1),
            }
        );
        return Err(Error::weights(file, reason));
    }
    Ok(all)
}

fn one(path: &Path) -> Result<Opened<'static>> {
    let io = |e| Error::io("reading", path, e);
    let source = Source::open(path).map_err(io)?;
    let start = source.start(sniff::ENOUGH).map_err(io)?;
    let listing = if start.starts_with(b"PK\x03\x04") {
        archive::listing(path, &source)?
    } else if start.starts_with(legacy::MAGIC) {
        legacy::listing(path, &source)?
    } else if let Some(other) = sniff::other(path, &start, source.len().map_err(io)?) {
        return Err(other);
    } else {
        safetensors::listing(path, &source)?
    };
    Ok(Opened {
        parts: vec![(path.to_path_buf(), source)],
        listing,
    })
}

/// The same for a safetensors file in memory, called `path` in messages.
pub(super) fn bytes<'a>(path: &Path, bytes: &'a [u8]) -> Result<Opened<'a>> {
    let source = Source::Bytes(bytes);
    Ok(Opened {
        listing: safetensors::listing(path, &source)?,
        parts: vec![(path.to_path_buf(), source)],
    })
}

impl Opened<'_> {
    /// Read the tensors of these numbers, each under the name beside its number. `weights` leaves out what weights are
    /// not made of.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    pub fn read(&self, wanted: &[(usize, String)], weights: bool) -> Result<Read> {
        let read = |(i, name): &(usize, String)| Ok((name.clone(), self.tensor(*i, weights)?));
        let tensors: Result<Vec<(String, One)>> = wanted.par_iter().map(read).collect();
        let mut all = Read::default();
        for (name, one) in tensors? {
            match one {
                One::Weights(tensor, 0) => drop(all.tensors.insert(name, tensor)),
                One::Weights(tensor, bad) => {
                    all.nonfinite.insert(name.clone(), bad);
                    all.tensors.insert(name, tensor);
                }
                One::Odd(why) => drop(all.odd.insert(name, why)),
            }
        }
        Ok(all)
    }

    fn tensor(&self, i: usize, weights: bool) -> Result<One> {
        let slot: &Slot = &self.listing.slots[i];
        let odd = slot.number.odd();
        if let (Some(kind), true) = (odd, weights) {
            return Ok(One::Odd(Odd::Kind(kind.into())));
        }
        let place = match &slot.place {
            Ok(place) => place,
            Err(why) => {
                return Ok(One::Odd(match odd {
                    Some(kind) => Odd::Kind(kind.into()),
                    None => Odd::Broken(why.clone()),
                }));
            }
        };
        let (path, source) = &self.parts[place.part];
        match numbers::read(slot, place, source) {
            Ok(Some((tensor, bad))) => Ok(One::Weights(tensor, bad)),
            Ok(None) => Ok(One::Odd(Odd::Kind(
                odd.unwrap_or("no kind that is read").into(),
            ))),
            Err(numbers::Fault::Read(e)) => Err(Error::io("reading", path, e)),
            Err(numbers::Fault::Tensor(e)) => {
                Err(Error::weights(path, format!("\"{}\": {e}", slot.key)))
            }
            Err(numbers::Fault::Damaged) => {
                let reason = format!(
                    "\"{}\" is damaged: its bytes have another CRC-32 than when they were written; fetch it again",
                    slot.key
                );
                Err(Error::weights(path, reason))
            }
        }
    }

    /// Why the file at `path` holds no model: what it holds, and what to do.
    pub fn no_model(&self, path: &Path) -> Error {
        let listing = &self.listing;
        let flat = listing
            .names()
            .iter()
            .any(|(_, key)| key.contains("_flat_param") || key == &"flat_param");
        if flat {
            return not_weights(
                path,
                "FSDP's flat parameters, of which each process has a part",
                &format!(
                    "save the whole in the training script: from torch.distributed.fsdp import FullyShardedDataParallel as FSDP, StateDictType; with FSDP.state_dict_type(model, StateDictType.FULL_STATE_DICT): torch.save(model.state_dict(), \"{}\")",
                    Remedy::beside(path, "full.pth")
                ),
            );
        }
        if let Some((class, way)) = listing.modules.first() {
            return not_weights(
                path,
                &format!(
                    "a whole pickled module of class {class}, code included, and no state dict"
                ),
                &format!(
                    "in Python, where that class can be imported: import torch; torch.save(torch.load(\"{}\", map_location=\"cpu\", weights_only=False){way}.state_dict(), \"{}\")",
                    path.display(),
                    Remedy::beside(path, "state.pth")
                ),
            );
        }
        if let (Some(class), true) = (&listing.class, listing.names().is_empty()) {
            return not_weights(
                path,
                &format!("an object of class {class} without tensors by name"),
                "save a state dict: torch.save(model.state_dict(), \"state.pth\")",
            );
        }
        let known: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
        let reason = format!(
            "its keys are of no known family ({}) in timm's, open_clip's or transformers' names; it has {}",
            known.join(", "),
            listing.entries()
        );
        Error::weights(path, reason)
    }

    /// blake3 of the file, or of those of all shards.
    pub fn hash(&self) -> Result<String> {
        let hash = |(path, source): &(PathBuf, Source)| {
            source.hash().map_err(|e| Error::io("reading", path, e))
        };
        match self.parts.as_slice() {
            [one] => hash(one),
            several => {
                let hashes = several.iter().map(hash).collect::<Result<Vec<_>>>()?;
                Ok(blake3::hash(hashes.concat().as_bytes())
                    .to_hex()
                    .to_string())
            }
        }
    }
}

enum One {
    Weights(Tensor, usize),
    Odd(Odd),
}

/// The file at `path` is `what`; what to do about it.
fn not_weights(path: &Path, what: &str, remedy: &str) -> Error {
    Error::weights(path, format!("it is {what}; {remedy}"))
}

/// Lines of Python that make weights of what is none.
pub(super) struct Remedy;

impl Remedy {
    /// A file `name` in the folder of `path`.
    pub fn beside(path: &Path, name: &str) -> String {
        path.with_file_name(name).display().to_string()
    }

    /// Save the file at `path` anew, as PyTorch does it now.
    pub fn resave(path: &Path) -> String {
        format!(
            "import torch; torch.save(torch.load(\"{}\", map_location=\"cpu\", weights_only=False), \"{}\")",
            path.display(),
            Self::beside(path, "resaved.pth")
        )
    }
}
