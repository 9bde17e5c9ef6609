//! Scores in files.

use super::{ScoreMeasure, Scores};
use crate::decompose::{Component, Origin};
use crate::files::rows;
use crate::files::sealed::{Layout, Sealed};
use crate::identity::{Format, TextOrigin};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use std::path::Path;

const LAYOUT: Layout = Layout {
    kind: "scores",
    format: Format::Scores.number(),
    remedy: "score the contributions again, and save that",
};

/// What a file of scores says of itself.
#[derive(Serialize, Deserialize)]
struct About {
    measure: ScoreMeasure,
    feature: String,
    components: Vec<Component>,
    origin: Option<Origin>,
    texts: Option<TextOrigin>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    places: Option<Vec<usize>>,
}

impl Scores {
    /// Writes the scores, whole or not at all: `.safetensors` keeps everything ([`Self::open`] reads it again), `.csv` and
    /// `.parquet` are for other programs, one row a component, with the names of feature, model, weights, CLIP and data set in each.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("safetensors") => self.sealed()?.write(path),
            Some("csv" | "parquet") => rows::export(path, &self.columns()),
            other => Err(rows::unknown(
                path,
                other.unwrap_or_default(),
                &["safetensors", "csv", "parquet"],
            )),
        }
    }

    /// Reads what [`Self::save`] wrote as `.safetensors`.
    ///
    /// # Errors
    /// A file that is missing, damaged (its checksum is verified), no scores, or of another format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.extension().is_some_and(|ending| ending == "csv") {
            return Err(Error::unfit(
                path,
                "a table for other programs, which does not say all that scores are of",
                "open the .safetensors file that scores.save(\"scores.safetensors\")? writes",
            ));
        }
        let mut file = Sealed::read(path)?;
        let mut about: About = file.about(path, LAYOUT)?;
        let values = file.take_shaped(path, "scores", &[about.components.len()])?;
        if values.dtype() != DType::F64 {
            return Err(Error::saved(path, "its scores are not f64"));
        }
        if let Some(origin) = &mut about.origin {
            origin.images.names = file.take_names(path, "images")?.into();
        }
        Ok(Self {
            measure: about.measure,
            feature: about.feature,
            components: about.components,
            values: values.to_vec1()?,
            origin: about.origin,
            texts: about.texts,
            places: about.places,
        })
    }

    fn sealed(&self) -> Result<Sealed> {
        let about = About {
            measure: self.measure,
            feature: self.feature.clone(),
            components: self.components.clone(),
            origin: self.origin.clone(),
            texts: self.texts.clone(),
            places: self.places.clone(),
        };
        let mut file = Sealed::new(LAYOUT, &self.line(), &about)?;
        let values = Tensor::from_slice(&self.values, self.values.len(), &Device::Cpu)?;
        file.put("scores", &values);
        file.put_names("components", &self.names())?;
        if let Some(origin) = &self.origin {
            file.put_names("images", &origin.images.names)?;
        }
        Ok(file)
    }
}
