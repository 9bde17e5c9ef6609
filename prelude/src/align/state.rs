//! The state of a fit between two steps, and its checkpoint file.

use std::path::Path;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::adam::Parameter;
use super::trainer::Trainer;
use crate::files::sealed::{Layout, Sealed};
use crate::identity::Format;
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
    /// From which model to which and on which images, for messages.
    pub what: String,
    /// Settings and data the checkpoint belongs to.
    pub fingerprint: String,
    pub step: usize,
    pub best_cosine: f32,
    /// Evaluations in a row without a gain.
    pub stale: usize,
    pub stopped_early: bool,
    /// The lowest loss of a batch; a checkpoint of before this was kept is of another fit by its fingerprint.
    #[serde(default)]
    pub lowest_loss: f32,
    /// Batches since then.
    #[serde(default)]
    pub since_lowest: usize,
    pub history: Vec<(usize, f32)>,
    /// Cosines of the batches since the last evaluation: sum and number.
    pub period: (f32, usize),
    pub train_cosine: f32,
}

const LAYOUT: Layout = Layout {
    kind: "aligner checkpoint",
    format: Format::Aligner.number(),
    remedy: "delete it or name another file",
};

impl State {
    fn tensors(&self) -> [(&'static str, &Tensor); 8] {
        let (w, b) = (&self.trainer.weights, &self.trainer.bias);
        let ([w1, w2], [b1, b2]) = (w.moments(), b.moments());
        [
            ("weights", w.value()),
            ("weights.first", w1),
            ("weights.second", w2),
            ("bias", b.value()),
            ("bias.first", b1),
            ("bias.second", b2),
            ("best.weights", &self.best.0),
            ("best.bias", &self.best.1),
        ]
    }

    /// Writes a checkpoint, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let label = format!("{}, unfinished", self.record.what);
        let mut file = Sealed::new(LAYOUT, &label, &self.record)?;
        for (name, t) in self.tensors() {
            file.put(name, t);
        }
        file.write(path)
    }

    /// Replaces the state by that of the checkpoint at `path`, which must be of this fit; after an error it is as it was.
    pub fn resume(&mut self, path: &Path, device: &Device) -> Result<()> {
        let mut file = Sealed::read(path)?;
        let record: Record = file.about(path, LAYOUT)?;
        if record.fingerprint != self.record.fingerprint {
            let of = |record: &Record| format!("{}: {}", record.what, record.fingerprint);
            let (found, wanted) = (of(&record), of(&self.record));
            let reason =
                format!("is a checkpoint of another fit ({found}), and this one is ({wanted})");
            return Err(Error::unfit(path, reason, LAYOUT.remedy));
        }
        let mut take = |name: &str, like: &Tensor| -> Result<Tensor> {
            Ok(file
                .take_shaped(path, name, like.dims())?
                .to_device(device)?)
        };
        let (w, b) = (self.trainer.weights(), self.trainer.bias());
        let mut parameter = |name: &str, like: &Tensor| -> Result<Parameter> {
            let [value, first, second] =
                ["", ".first", ".second"].map(|part| take(&format!("{name}{part}"), like));
            Parameter::resumed(&first?, &second?, &value?)
        };
        let weights = parameter("weights", w)?;
        let bias = parameter("bias", b)?;
        self.best = (take("best.weights", w)?, take("best.bias", b)?);
        self.trainer.weights = weights;
        self.trainer.bias = bias;
        self.trainer.steps = record.step;
        self.record = record;
        Ok(())
    }
}
