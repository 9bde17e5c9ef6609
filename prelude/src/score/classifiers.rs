//! Classifiers made of embeddings that know their model.

use super::{LinearHead, ProbeOptions, ProbeReport, fit_probe, zero_shot};
use crate::Result;
use crate::decompose::{Contributions, unrelated};
use crate::identity::{ImageEmbeddings, TextEmbeddings};

impl ImageEmbeddings {
    /// A linear probe on these representations ([`fit_probe`]); it reads those of this model only.
    ///
    /// # Errors
    /// As [`fit_probe`].
    pub fn probe(
        &self,
        labels: &[usize],
        classes: usize,
        options: &ProbeOptions,
    ) -> Result<(LinearHead, ProbeReport)> {
        let (head, report) = fit_probe(self, labels, classes, options)?;
        Ok(match self.origin() {
            Some(origin) => (head.reading(origin.model.clone()), report),
            None => (head, report),
        })
    }
}

impl TextEmbeddings {
    /// The zero-shot head of which each row is a class ([`zero_shot`]); it reads the image embeddings of the same CLIP only.
    ///
    /// # Errors
    /// As [`zero_shot`].
    pub fn zero_shot(&self) -> Result<LinearHead> {
        let head = zero_shot(self)?;
        Ok(match self.origin() {
            Some(origin) => head.reading(origin.clip.clone()),
            None => head,
        })
    }
}

impl LinearHead {
    /// Refuses contributions to the representation of another model than the head reads.
    pub(crate) fn check_reads(
        &self,
        doing: &'static str,
        contributions: &Contributions,
    ) -> Result<()> {
        let (Some(model), Some(origin)) = (self.reads(), contributions.origin()) else {
            return Ok(());
        };
        match model.weights_differ(&origin.model) {
            None => Ok(()),
            Some(reason) => Err(unrelated(
                doing,
                &format!("a head on the representation of {model}"),
                &contributions.side(),
                reason,
                "fit the head on embeddings of the same model",
            )),
        }
    }
}
