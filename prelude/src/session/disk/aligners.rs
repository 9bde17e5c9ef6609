//! One fit in the cache: the finished aligner, or the checkpoint of a fit that was stopped.

use super::{evict, refuse, tell, touch};
use crate::align::{AlignerOrigin, Alignment, file};
use crate::decompose::Origin;
use crate::{Error, Result};
use candle_core::Device;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The files of one fit.
pub(in crate::session) struct KeptFit {
    finished: PathBuf,
    checkpoint: PathBuf,
    label: String,
    /// The finished file is there and cannot be read now, so it is not written either.
    unreadable: bool,
}

impl KeptFit {
    /// The aligners of a content key; none where there is no cache folder.
    pub fn of(key: &str, label: &str) -> Option<Self> {
        let folder = super::aligners().map_err(|e| tell(&e)).ok()?;
        Some(Self {
            finished: folder.join(format!("{key}.safetensors")),
            checkpoint: folder.join(format!("{key}.checkpoint")),
            label: label.to_string(),
            unreadable: false,
        })
    }

    /// The finished aligner, if it is there and of `origin`. One that is damaged, of another format or of another fit is
    /// named and removed; one that cannot be read now is named and left as it is.
    pub fn read(&mut self, origin: &AlignerOrigin, device: &Device) -> Option<Alignment> {
        let path = &self.finished;
        let read = Alignment::load(path, device).and_then(|found| {
            check(&found, origin).map_err(|reason| Error::saved(path, reason))?;
            Ok(found)
        });
        match read {
            Ok(found) => {
                touch(path);
                Some(found)
            }
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                refuse(path, &error);
                self.unreadable = !matches!(error, Error::Saved { .. });
                None
            }
        }
    }

    /// The checkpoint of a fit that is not finished.
    pub fn checkpoint(&self) -> &Path {
        &self.checkpoint
    }

    /// Keeps a finished aligner, without the state that led there. A refusal of the disk is told.
    pub fn write(&self, alignment: &Alignment) {
        if self.unreadable {
            return;
        }
        let report = alignment.report.as_ref();
        match file::write(&self.finished, &self.label, &alignment.aligner, report) {
            Ok(()) => {
                let _ = std::fs::remove_file(&self.checkpoint);
                evict(&self.finished);
            }
            Err(error) => tell(&error),
        }
    }

    /// A stopped fit has written its checkpoint: what was not used for longest makes room for it.
    pub fn stopped(&self) {
        evict(&self.checkpoint);
    }
}

/// Whether an aligner that was found under a content key is what that key stands for.
fn check(found: &Alignment, wanted: &AlignerOrigin) -> Result<(), String> {
    let Some(origin) = found.aligner.origin() else {
        return Err("does not say what it is an aligner of".into());
    };
    let whose = |origin: &Option<Origin>| match origin {
        Some(origin) => origin.to_string(),
        None => "an unknown model".to_string(),
    };
    let differ = match (&origin.source, &wanted.source) {
        (Some(a), Some(b)) => a.difference(b).or_else(|| a.images.difference(&b.images)),
        _ => Some("its origin is not known".to_string()),
    };
    let clips = match (&origin.clip, &wanted.clip) {
        (Some(a), Some(b)) => a.difference(b),
        _ => Some("its CLIP is not known".to_string()),
    };
    let components =
        (origin.components != wanted.components).then(|| "the components are others".to_string());
    match differ.or(clips).or(components) {
        None => Ok(()),
        Some(reason) => Err(format!(
            "is an aligner of {}, not of {}: {reason}",
            whose(&origin.source),
            whose(&wanted.source)
        )),
    }
}
