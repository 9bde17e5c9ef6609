//! Resident aligners.

use super::contributions::{decompose, embed_images};
use super::folder::cache_folder;
use super::progress::Progress;
use super::registry::{Kind, file_name, resident_or};
use super::stop;
use crate::align::{Aligner, FitOptions, FitReport};
use crate::data::DataSet;
use crate::decompose::Options;
use crate::models::Model;
use crate::{Error, Result};
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

/// A fitted aligner and how well it fits.
#[derive(Debug)]
pub struct Alignment {
    pub aligner: Aligner,
    /// None where there was nothing to fit: CLIP's own components.
    pub report: Option<FitReport>,
}

impl std::fmt::Display for Alignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.report {
            Some(report) => write!(f, "{report}"),
            None => write!(f, "aligner: identity, the components are in CLIP space"),
        }
    }
}

/// Fit maps from the components of `model` to the image space of `clip` on the images of `set` (paper section 3.2);
/// the identity where the model is that CLIP. Resident under both models' weights, the set and the options.
///
/// Unless `fit` names a checkpoint, the state of the fit is kept in the cache folder, so that one that is stopped
/// goes on when it is asked for again, in this process or a later one.
///
/// # Errors
/// When an image cannot be read, the options do not fit, or the call was stopped.
pub fn align(
    model: &Model,
    clip: &Model,
    set: &dyn DataSet,
    options: &Options,
    fit: &FitOptions,
) -> Result<Arc<Alignment>> {
    clip.clip()?;
    let key = set.key();
    let how = format!("{options:?} {:?} {:?}", model.input(), clip.input());
    let fitted = format!("{} epochs={}", fit.fingerprint(), fit.epochs);
    let parts = [model.hash(), clip.hash(), &key, &how, &fitted];
    let label = format!("{} to {}, {}", model.name(), clip.name(), set.name());
    resident_or(Kind::Aligner, &parts, &label, || {
        if model.hash() == clip.hash() {
            let aligner = Aligner::identity();
            return Ok((
                Alignment {
                    aligner,
                    report: None,
                },
                0,
            ));
        }
        let contributions = decompose(model, set, options)?;
        let targets = embed_images(clip, set)?;
        let checkpoint = match &fit.checkpoint {
            Some(path) => path.clone(),
            None => cache_file(&parts)?,
        };
        stop::begin();
        let progress = RefCell::new(None);
        let (aligner, report) = Aligner::fit(
            contributions.values(),
            &targets,
            &FitOptions {
                checkpoint: Some(checkpoint),
                stop: Some(&stop::requested),
                progress: Some(&|at| {
                    let mut bar = progress.borrow_mut();
                    let bar = bar.get_or_insert_with(|| {
                        Progress::resumed(format!("align {}", model.name()), at.step, at.steps)
                    });
                    bar.at(at.step, &format!("held-out cosine {:.3}", at.held_out));
                    if let Some(told) = fit.progress {
                        told(at)
                    }
                }),
                ..fit.clone()
            },
        )?;
        let bytes = aligner.weights().map_or(0, |w| 4 * w.elem_count());
        let report = Some(report);
        Ok((Alignment { aligner, report }, bytes))
    })
}

/// The checkpoint of a fit in the cache folder (`VITREPL_CACHE_DIR`, or the user's).
fn cache_file(parts: &[&str]) -> Result<PathBuf> {
    let folder = cache_folder()?;
    let folder = folder.join("aligners");
    std::fs::create_dir_all(&folder).map_err(|e| Error::io("making the folder", &folder, e))?;
    Ok(folder.join(format!("{}.safetensors", file_name(Kind::Aligner, parts))))
}
