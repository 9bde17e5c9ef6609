//! An aligner as a person holds it: with its report, and applied to contributions that it belongs to.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::{Alignable, Aligner, AlignerOrigin, FitOptions, FitReport, file};
use crate::decompose::{index_of, same_components, same_images, unrelated};
use crate::identity::{ImageEmbeddings, TextEmbeddings};
use crate::{Error, Result};

/// A fitted aligner and how well it fits.
///
/// It belongs to contributions of the model and the options that it was fitted for, of any images; its maps end in the
/// image space of one CLIP. A file keeps all of that.
#[derive(Clone)]
pub struct Alignment {
    /// The maps, for plain tensors.
    pub aligner: Aligner,
    /// None where there was nothing to fit (CLIP's own components), or where it is not known any more.
    pub report: Option<FitReport>,
}

impl Alignment {
    /// Fit maps from `contributions` to CLIP's image embeddings `targets` of the same images in the same order (paper
    /// section 3.2), as [`Aligner::fit`]. Of contributions that come in chunks, an epoch takes the chunks in any order and
    /// shuffles the images of four at a time; which images are held out does not depend on the chunks.
    ///
    /// # Errors
    /// As [`Aligner::fit`], and when the two are known to be of other images.
    pub fn fit<C: Alignable + ?Sized>(
        contributions: &C,
        targets: impl AsRef<ImageEmbeddings>,
        options: &FitOptions,
    ) -> Result<Self> {
        let targets = targets.as_ref();
        Self::fit_in_cache(contributions, targets, options, None)
    }

    /// [`Self::fit`], with the checkpoint at `cache` where no file is named.
    pub(crate) fn fit_in_cache<C: Alignable + ?Sized>(
        contributions: &C,
        targets: &ImageEmbeddings,
        options: &FitOptions,
        cache: Option<&Path>,
    ) -> Result<Self> {
        let side = contributions.belongs().0;
        let from = side.origin;
        same_images(
            "fitting an aligner",
            ("the contributions", from.map(|origin| &origin.images)),
            ("the targets", targets.origin().map(|origin| &origin.images)),
            "decompose and embed the same images",
        )?;
        let unknown = || "unknown origin".to_string();
        let to = targets.origin();
        let what = format!(
            "{} to {}, {}",
            from.map_or_else(unknown, |origin| origin.model.to_string()),
            to.map_or_else(unknown, |origin| origin.model.to_string()),
            from.map_or_else(unknown, |origin| origin.images.set.clone()),
        );
        let (aligner, report) =
            Aligner::fit_in_cache(contributions.drawn(), targets, options, &what, cache)?;
        let origin = AlignerOrigin {
            components: side.components.unwrap_or_default().to_vec(),
            source: from.cloned(),
            clip: targets.origin().map(|origin| origin.model.clone()),
        };
        Ok(Self {
            aligner: aligner.with_origin(origin)?,
            report: Some(report),
        })
    }

    /// The identity, for components that are in CLIP space already.
    pub(crate) fn identity(origin: AlignerOrigin) -> Result<Self> {
        Ok(Self {
            aligner: Aligner::identity().with_origin(origin)?,
            report: None,
        })
    }

    /// Contributions (n x B x d) in CLIP space (n x B x D), as [`Aligner::apply`]: [`Contributions`] become
    /// [`AlignedContributions`](super::AlignedContributions), those that come in chunks
    /// [`ChunkedAligned`](super::ChunkedAligned), which are mapped when they are gone through.
    ///
    /// # Errors
    /// When the aligner was fitted for another model, for other options or for other components; the message names both.
    pub fn apply<C: Alignable + ?Sized>(&self, contributions: &C) -> Result<C::Aligned> {
        self.check(contributions)?;
        let clip = self.aligner.origin().and_then(|origin| origin.clip.clone());
        contributions.mapped(&self.aligner, clip)
    }

    /// Refuses contributions that it was not fitted for.
    pub(super) fn check<C: Alignable + ?Sized>(&self, contributions: &C) -> Result<()> {
        let Some(origin) = self.aligner.origin() else {
            return Ok(());
        };
        same_components(
            "applying an aligner",
            origin.side(),
            contributions.belongs().0,
            "fit one for these contributions: align(&model, &clip, &images, &options, &FitOptions::default())?",
        )
    }

    /// Directions of CLIP's space brought to a component's own, k x d: what a contribution (or that of a source token)
    /// gives along them is what its image gives along `texts`, but for the component's share of the bias.
    ///
    /// # Errors
    /// When no component is called `component`, or the texts are of another CLIP or width.
    pub fn pull_back(&self, component: &str, texts: impl AsRef<TextEmbeddings>) -> Result<Tensor> {
        let texts = texts.as_ref();
        let origin = self.aligner.origin();
        if let (Some(clip), Some(of)) = (origin.and_then(|o| o.clip.as_ref()), texts.origin())
            && let Some(reason) = clip.weights_differ(&of.clip)
        {
            return Err(unrelated(
                "pulling directions back",
                &format!("the aligner to {clip}"),
                &format!("texts of {}", of.clip),
                reason,
                &format!("embed the texts with {clip}"),
            ));
        }
        let Some(origin) = origin else {
            return Err(Error::argument(
                "component",
                component,
                "this aligner was put together by hand and does not know its components; take aligner.pull_back(index, &directions)",
            ));
        };
        let index = index_of(&origin.components, component)?;
        self.aligner.pull_back(index, texts)
    }

    /// Writes aligner, report and origin to `path` (safetensors with a checksum), whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        file::write(path.as_ref(), "", &self.aligner, self.report.as_ref())
    }

    /// Reads an alignment from `path` onto `device`.
    ///
    /// # Errors
    /// A file that is missing, damaged (its checksum is verified), no aligner, or of another format.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let (aligner, report) = file::read(path.as_ref(), device)?;
        Ok(Self { aligner, report })
    }
}
