//! Contributions on disk, so that they outlive the process that made them.
//!
//! One folder for each decomposition, named by its content key, with the images in pieces in order:
//!
//! ```text
//! <cache>/contributions/<key>/00000000-00000512.part     safetensors, then its blake3 hash
//! ```
//!
//! A piece is written whole or not at all and checked when it is read; one that is broken is named, removed and made
//! again. Nothing here fails a decomposition: where the disk is full or cannot be written, that is said once and
//! the work goes on in memory.

use super::folder::cache_folder;
use super::registry::Kind;
use crate::charts::Table;
use crate::decompose::{Component, Contributions};
use crate::files::write_whole;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// Of the hash behind a piece.
const HASH: usize = blake3::OUT_LEN;

/// Bytes kept on disk where no limit was set.
const LIMIT: u64 = 20_000_000_000;

/// In the folder of all: the limit, in bytes.
const LIMIT_FILE: &str = "limit";

/// The disk's refusal is told once.
static TOLD: AtomicBool = AtomicBool::new(false);

/// The pieces of one decomposition.
pub(super) struct Pieces {
    folder: PathBuf,
    label: String,
}

impl Pieces {
    /// Those of a content key; none where there is no cache folder.
    pub fn of(key: &str, label: &str) -> Option<Self> {
        let folder = all().map_err(|e| tell(&e)).ok()?.join(key);
        Some(Self {
            folder,
            label: label.to_string(),
        })
    }

    /// What is there, from the first image on without a gap.
    pub fn read(&self, device: &Device) -> Vec<Contributions> {
        let mut pieces = Vec::new();
        let mut next = 0;
        let mut paths = parts(&self.folder);
        paths.sort();
        for path in paths {
            match read_piece(&path, device) {
                Ok((start, piece)) if start == next => {
                    next += piece.values().dims()[1];
                    // Found again: the last to be evicted. If that cannot be noted it is evicted earlier.
                    let _ = std::fs::File::open(&path)
                        .and_then(|file| file.set_modified(SystemTime::now()));
                    pieces.push(piece);
                }
                // Behind a gap, or made twice: what is missing is made again.
                Ok(_) => {
                    let _ = std::fs::remove_file(&path);
                }
                Err(error) => {
                    eprintln!("{error}; it is removed and made again");
                    let _ = std::fs::remove_file(&path);
                }
            }
        }
        pieces
    }

    /// Write the images from `start` on; a refusal of the disk is told and otherwise left alone.
    pub fn write(&self, start: usize, batches: &[Contributions]) {
        // Products of tokens are many times larger than what they are made of.
        if batches.is_empty() || batches.iter().any(|batch| batch.tokens().is_some()) {
            return;
        }
        let written = Contributions::concat(batches).and_then(|piece| {
            let end = start + piece.values().dims()[1];
            let path = self.folder.join(format!("{start:08}-{end:08}.part"));
            write_whole(&path, &bytes(start, &self.label, &piece)?)
        });
        match written {
            Ok(()) => evict(&self.folder),
            Err(error) => tell(&error),
        }
    }
}

fn tell(error: &Error) {
    if !TOLD.swap(true, Ordering::Relaxed) {
        eprintln!("contributions are not kept on disk: {error}");
    }
}

fn all() -> Result<PathBuf> {
    Ok(cache_folder()?.join("contributions"))
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "part"))
        .collect()
}

fn bytes(start: usize, label: &str, piece: &Contributions) -> Result<Vec<u8>> {
    let tensors = [
        ("values", piece.values()),
        ("representation", piece.representation()),
    ]
    .map(|(name, tensor)| Ok((name.to_string(), tensor.to_device(&Device::Cpu)?)));
    let tensors = tensors.into_iter().collect::<Result<HashMap<_, _>>>()?;
    let components =
        serde_json::to_string(piece.components()).map_err(|e| Error::data(label, e.to_string()))?;
    let about = HashMap::from([
        ("label".to_string(), label.to_string()),
        ("start".to_string(), start.to_string()),
        ("components".to_string(), components),
    ]);
    let mut bytes = safetensors::serialize(&tensors, Some(about))
        .map_err(|e| Error::data(label, e.to_string()))?;
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    Ok(bytes)
}

/// The first image of a piece, and the piece.
fn read_piece(path: &Path, device: &Device) -> Result<(usize, Contributions)> {
    let broken = |reason: String| Error::data(path.display().to_string(), reason);
    let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, e))?;
    let (body, hash) = bytes
        .split_at_checked(bytes.len().saturating_sub(HASH))
        .filter(|(body, hash)| blake3::hash(body).as_bytes() == *hash)
        .ok_or_else(|| broken("its checksum does not fit: it is damaged or cut short".into()))?;
    debug_assert_eq!(hash.len(), HASH);
    let (_, header) = SafeTensors::read_metadata(body).map_err(|e| broken(e.to_string()))?;
    let about = header.metadata().clone().unwrap_or_default();
    let of = |name: &str| {
        about
            .get(name)
            .ok_or_else(|| broken(format!("it has no {name}")))
    };
    let start = of("start")?
        .parse()
        .map_err(|_| broken("its start is no number".into()))?;
    let components: Vec<Component> =
        serde_json::from_str(of("components")?).map_err(|e| broken(e.to_string()))?;
    let mut tensors = candle_core::safetensors::load_buffer(body, device)?;
    let mut take = |name: &str| -> Result<Tensor> {
        let tensor = tensors.remove(name);
        tensor.ok_or_else(|| broken(format!("it has no {name}")))
    };
    let piece = Contributions::new(components, take("values")?, take("representation")?, None)?;
    Ok((start, piece))
}

/// A decomposition on disk.
pub(super) struct Entry {
    pub folder: PathBuf,
    pub label: String,
    pub bytes: u64,
    pub used: SystemTime,
}

impl Entry {
    pub fn age(&self) -> Duration {
        self.used.elapsed().unwrap_or_default()
    }
}

/// All decompositions on disk, the one not used for longest first.
pub(super) fn entries() -> Vec<Entry> {
    let folders =
        all().and_then(|all| std::fs::read_dir(&all).map_err(|e| Error::io("reading", &all, e)));
    let mut entries: Vec<Entry> = folders
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|folder| entry(folder.path()))
        .collect();
    entries.sort_by_key(|entry| entry.used);
    entries
}

fn entry(folder: PathBuf) -> Option<Entry> {
    let parts = parts(&folder);
    let label = parts
        .first()
        .and_then(|path| label(path))
        .unwrap_or_default();
    let mut about = parts
        .iter()
        .filter_map(|path| path.metadata().ok())
        .peekable();
    about.peek()?;
    let (mut bytes, mut used) = (0, SystemTime::UNIX_EPOCH);
    for part in about {
        bytes += part.len();
        used = used.max(part.modified().unwrap_or(SystemTime::UNIX_EPOCH));
    }
    Some(Entry {
        folder,
        label,
        bytes,
        used,
    })
}

/// The label in a piece, of which only the beginning is read.
fn label(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut file = std::fs::File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(length).min(1 << 24))
        .read_to_end(&mut header)
        .ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    Some(header["__metadata__"]["label"].as_str()?.to_string())
}

/// The bytes that may be kept on disk.
pub(super) fn limit() -> u64 {
    let set = all()
        .ok()
        .and_then(|all| std::fs::read_to_string(all.join(LIMIT_FILE)).ok());
    set.and_then(|text| text.trim().parse().ok())
        .unwrap_or(LIMIT)
}

/// Set the limit, and evict what is over it.
pub(super) fn set_limit(bytes: u64) -> Result<()> {
    write_whole(&all()?.join(LIMIT_FILE), bytes.to_string().as_bytes())?;
    evict(Path::new(""));
    Ok(())
}

/// Remove what was not used for longest until the rest is within the limit; `kept` stays.
fn evict(kept: &Path) {
    let entries = entries();
    let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let limit = limit();
    for entry in entries {
        if total <= limit {
            return;
        }
        if entry.folder != kept && std::fs::remove_dir_all(&entry.folder).is_ok() {
            total -= entry.bytes;
        }
    }
}

/// Remove the decompositions whose label contains `pattern`, `"*"` for all; says how many.
pub(super) fn remove(pattern: &str) -> usize {
    let wanted = |entry: &Entry| {
        pattern == "*"
            || Kind::Contributions.name().contains(pattern)
            || entry.label.contains(pattern)
    };
    let entries = entries();
    let gone = entries
        .iter()
        .filter(|entry| wanted(entry))
        .filter(|entry| std::fs::remove_dir_all(&entry.folder).is_ok());
    gone.count()
}

/// Rows of a table: kind, what, size, device, age.
pub(super) fn rows(table: Table) -> Table {
    entries().iter().rev().fold(table, |table, entry| {
        table.row([
            Kind::Contributions.name().to_string(),
            entry.label.clone(),
            super::cache::size(entry.bytes),
            "disk".to_string(),
            super::cache::duration(entry.age()),
        ])
    })
}
