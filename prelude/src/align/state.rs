//! The state of a fit between two steps, and its checkpoint file.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::sealed::Sealed;
use super::trainer::Trainer;
use crate::{Error, Result};

/// All that the rest of a fit depends on, besides data and options.
pub(super) struct State {
    pub trainer: Trainer,
    pub record: Record,
    /// Weights and bias at the best held-out cosine.
    pub best: (Tensor, Tensor),
}

/// The numbers of a [`State`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub kind: String,
    /// Settings and data the checkpoint belongs to.
    pub fingerprint: String,
    pub step: usize,
    pub best_cosine: f32,
    /// Evaluations in a row without a gain.
    pub stale: usize,
    pub stopped_early: bool,
    pub history: Vec<(usize, f32)>,
    /// Cosines of the batches since the last evaluation: sum and number.
    pub period: (f32, usize),
    pub train_cosine: f32,
    pub orthogonality: f32,
}

pub(super) const KIND: &str = "aligner checkpoint";

impl State {
    fn tensors(&self) -> [(&'static str, &Tensor); 8] {
        let (w, b) = (&self.trainer.weights, &self.trainer.bias);
        [
            ("weights", &w.value),
            ("weights.first", &w.first),
            ("weights.second", &w.second),
            ("bias", &b.value),
            ("bias.first", &b.first),
            ("bias.second", &b.second),
            ("best.weights", &self.best.0),
            ("best.bias", &self.best.1),
        ]
    }

    /// Writes a checkpoint, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let tensors: BTreeMap<_, _> = self
            .tensors()
            .into_iter()
            .map(|(name, t)| (name.to_owned(), t.clone()))
            .collect();
        let description = super::describe(&self.record)?;
        Sealed {
            description,
            tensors,
        }
        .write(path)
    }

    /// Replaces the state by that of the checkpoint at `path`, which must be of this fit.
    pub fn resume(&mut self, path: &Path, device: &Device) -> Result<()> {
        let mut file = Sealed::read(path)?;
        let record: Record = serde_json::from_str(&file.description)
            .ok()
            .filter(|r: &Record| r.kind == KIND)
            .ok_or_else(|| {
                Error::weights(
                    path,
                    "holds something else than a checkpoint of an aligner; name another file",
                )
            })?;
        if record.fingerprint != self.record.fingerprint {
            let reason = format!(
                "is a checkpoint of another fit ({}), and this one is ({}); delete it or name another file",
                record.fingerprint, self.record.fingerprint
            );
            return Err(Error::weights(path, reason));
        }
        let mut take = |name: &str, like: &Tensor| -> Result<Tensor> {
            Ok(file.take(path, name, like.dims())?.to_device(device)?)
        };
        let [w, b] = [&mut self.trainer.weights, &mut self.trainer.bias];
        w.first = take("weights.first", &w.value)?;
        w.second = take("weights.second", &w.value)?;
        w.value = take("weights", &w.value)?;
        b.first = take("bias.first", &b.value)?;
        b.second = take("bias.second", &b.value)?;
        b.value = take("bias", &b.value)?;
        self.best = (
            take("best.weights", &w.value)?,
            take("best.bias", &b.value)?,
        );
        self.trainer.steps = record.step;
        self.record = record;
        Ok(())
    }
}
