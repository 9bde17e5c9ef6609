//! The file of an aligner.

use std::path::Path;

use candle_core::Device;
use serde::{Deserialize, Serialize};

use super::{Aligner, AlignerOrigin, FitReport};
use crate::files::sealed::{Layout, Sealed};
use crate::identity::Format;
use crate::{Error, Result};

pub(crate) const LAYOUT: Layout = Layout {
    kind: "aligner",
    format: Format::Aligner.number(),
    remedy: "fit it again, align(&model, &clip, &images, &options, &FitOptions::default())?, and save that",
};

const IMAGES: &str = "images";

/// What an aligner file says of itself.
#[derive(Serialize, Deserialize)]
struct About {
    /// Components, their width and that of the target; none for the identity.
    shape: Option<[usize; 3]>,
    origin: Option<AlignerOrigin>,
    report: Option<FitReport>,
}

/// Writes an aligner and its report to `path`, called `label` in listings.
pub(crate) fn write(
    path: &Path,
    label: &str,
    aligner: &Aligner,
    report: Option<&FitReport>,
) -> Result<()> {
    let maps = aligner.weights().zip(aligner.bias());
    let about = About {
        shape: match maps {
            Some((weights, _)) => Some(weights.dims3()?.into()),
            None => None,
        },
        origin: aligner.origin().cloned(),
        report: report.cloned(),
    };
    let mut file = Sealed::new(LAYOUT, label, &about)?;
    if let Some((weights, bias)) = maps {
        file.put("weights", weights);
        file.put("bias", bias);
    }
    if let Some(source) = about.origin.as_ref().and_then(|o| o.source.as_ref()) {
        file.put_names(IMAGES, &source.images.names)?;
    }
    file.write(path)
}

/// Reads an aligner and, where it is kept, the report of its fit.
pub(crate) fn read(path: &Path, device: &Device) -> Result<(Aligner, Option<FitReport>)> {
    let mut file = Sealed::read(path)?;
    let about: About = file.about(path, LAYOUT)?;
    let aligner = match about.shape {
        None => Aligner::identity(),
        Some(shape) => {
            let weights = file.take_shaped(path, "weights", &shape)?;
            let bias = file.take_shaped(path, "bias", &shape[2..])?;
            Aligner::from_maps(weights.to_device(device)?, bias.to_device(device)?)
                .map_err(|e| Error::saved(path, e.to_string()))?
        }
    };
    let Some(mut origin) = about.origin else {
        return Ok((aligner, about.report));
    };
    if let Some(source) = &mut origin.source {
        source.images.names = file.take_names(path, IMAGES)?.into();
    }
    let aligner = aligner
        .with_origin(origin)
        .map_err(|e| Error::saved(path, e.to_string()))?;
    Ok((aligner, about.report))
}
