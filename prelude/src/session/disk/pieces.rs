//! The contributions of one decomposition, in pieces.

use super::{refuse, tell, touch};
use crate::decompose::{Component, Contributions, Origin};
use crate::files::sealed::{Layout, Sealed};
use crate::identity::Format;
use crate::{Error, Result};
use candle_core::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

const LAYOUT: Layout = Layout {
    kind: "contributions",
    format: Format::Contributions.number(),
    remedy: "they are computed again",
};

const ENDING: &str = "part";

/// What a piece says of itself.
#[derive(Serialize, Deserialize)]
struct About {
    /// Index of its first image in the set.
    start: usize,
    components: Vec<Component>,
    /// Of the whole decomposition; the names are those of the piece's own images.
    origin: Origin,
}

/// The pieces of one decomposition.
pub(in crate::session) struct Pieces {
    folder: PathBuf,
    label: String,
    origin: Origin,
    components: Vec<Component>,
}

impl Pieces {
    /// The pieces of a content key, which must be of `origin` and have these `components`; none where there is no cache folder.
    pub fn of(key: &str, label: &str, origin: &Origin, components: &[Component]) -> Option<Self> {
        let folder = super::contributions().map_err(|e| tell(&e)).ok()?.join(key);
        Some(Self {
            folder,
            label: label.to_string(),
            origin: origin.clone(),
            components: components.to_vec(),
        })
    }

    /// What is there, by the index of the first image.
    ///
    /// A piece that is damaged, of another format or of another decomposition is named and removed, and so is one whose
    /// images a piece before it has. One that cannot be read now is named and left as it is. The images of both are
    /// missing in the answer.
    pub fn read(&self, device: &Device) -> BTreeMap<usize, Contributions> {
        let mut found = BTreeMap::new();
        let mut next = 0;
        let paths = match parts(&self.folder) {
            Ok(paths) => paths,
            Err(error) => {
                eprintln!("{error}; it is left as it is and its images are decomposed again");
                return found;
            }
        };
        for path in paths {
            match self.read_piece(&path, device) {
                Ok((start, piece)) if start >= next => {
                    next = start + piece.images();
                    touch(&path);
                    found.insert(start, piece);
                }
                // This piece repeats images of the one before it.
                Ok(_) => {
                    let _ = std::fs::remove_file(&path);
                }
                Err(error) => refuse(&path, &error),
            }
        }
        found
    }

    /// The index of the first image of a piece, and the piece.
    fn read_piece(&self, path: &Path, device: &Device) -> Result<(usize, Contributions)> {
        let mut file = Sealed::read(path)?;
        let about: About = file.about(path, LAYOUT)?;
        let values = file.take(path, "values")?.to_device(device)?;
        let representation = file.take(path, "representation")?.to_device(device)?;
        let names = file.take_names(path, "images")?;
        let saved = |e: Error| Error::saved(path, e.to_string());
        let others = about.components != self.components;
        let images = &self.origin.images;
        let reason = self
            .origin
            .difference(&about.origin)
            .or_else(|| others.then(|| "the components are others".to_string()))
            .or_else(|| {
                let key = &about.origin.images.key;
                (*key != images.key)
                    .then(|| format!("the images have the key {key}, not {}", images.key))
            });
        if let Some(reason) = reason {
            let of = |origin: &Origin| format!("{}, {}", origin.model, origin.images.set);
            let (found, wanted) = (of(&about.origin), of(&self.origin));
            let reason = format!("holds contributions of {found}, not of {wanted}: {reason}");
            return Err(Error::saved(path, reason));
        }
        let piece = Contributions::new(about.components, values, representation, None);
        let piece = piece.map_err(saved)?;
        let end = about.start.saturating_add(piece.images());
        if end > images.len() || piece.images() == 0 {
            let start = about.start;
            let reason = format!("holds the images {start} to {end} of {}", images.len());
            return Err(Error::saved(path, reason));
        }
        if names.len() != piece.images() {
            let reason = format!("names {} images and holds {}", names.len(), piece.images());
            return Err(Error::saved(path, reason));
        }
        Ok((about.start, piece))
    }

    /// Write the images from `start` on. A refusal of the disk is told and otherwise left alone. Nothing is written over
    /// a piece that is there: it could not be read, and what it holds is the same.
    pub fn write(&self, start: usize, batches: &[Contributions]) {
        // Products of tokens are many times larger than what they are made of.
        if batches.is_empty()
            || batches
                .iter()
                .any(|batch| batch.token_contributions().is_some())
        {
            return;
        }
        match self.write_piece(start, batches) {
            Ok(()) => super::evict(&self.folder),
            Err(error) => tell(&error),
        }
    }

    fn write_piece(&self, start: usize, batches: &[Contributions]) -> Result<()> {
        let piece = Contributions::concat(batches)?;
        let images = start..start + piece.images();
        let there = parts(&self.folder)?;
        let overlaps = |path: &PathBuf| {
            let other = range(path);
            other.is_some_and(|other| other.start < images.end && images.start < other.end)
        };
        if there.iter().any(overlaps) {
            return Ok(());
        }
        let about = About {
            start,
            components: piece.components().to_vec(),
            origin: self.origin.clone(),
        };
        let mut file = Sealed::new(LAYOUT, &self.label, &about)?;
        file.put("values", piece.values());
        file.put("representation", piece.representation());
        file.put_names("images", &self.origin.images.names[images.clone()])?;
        let name = format!("{:08}-{:08}.{ENDING}", images.start, images.end);
        file.write(&self.folder.join(name))
    }
}

/// The pieces in a folder, in the order of their images; none where there is no folder.
pub(super) fn parts(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = |e| Error::io("reading the folder", folder, e);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(listing(e)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(listing)?.path();
        if path.extension().is_some_and(|end| end == ENDING) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The images of a piece, by its name.
fn range(path: &Path) -> Option<Range<usize>> {
    let (start, end) = path.file_stem()?.to_str()?.split_once('-')?;
    Some(start.parse().ok()?..end.parse().ok()?)
}
