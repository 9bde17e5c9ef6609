//! Scores in files.

use super::{ScoreMeasure, Scores};
use crate::decompose::{Component, Origin};
use crate::files::sealed::{Layout, Sealed};
use crate::files::write_whole;
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
}

impl Scores {
    /// Writes the scores, whole or not at all: `.safetensors` keeps everything ([`Self::open`] reads it again), `.csv` is
    /// for other programs, one row a component, with the names of feature, model, weights, CLIP and data set in each.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("safetensors") => self.sealed()?.write(path),
            Some("csv") => write_whole(path, &self.csv(path)?),
            other => Err(Error::argument(
                "path",
                path.display(),
                format!(
                    "an ending that says how, .safetensors or .csv, not \"{}\"",
                    other.unwrap_or_default()
                ),
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
        })
    }

    fn sealed(&self) -> Result<Sealed> {
        let about = About {
            measure: self.measure,
            feature: self.feature.clone(),
            components: self.components.clone(),
            origin: self.origin.clone(),
            texts: self.texts.clone(),
        };
        let mut file = Sealed::new(LAYOUT, &self.to_string(), &about)?;
        let values = Tensor::from_slice(&self.values, self.values.len(), &Device::Cpu)?;
        file.put("scores", &values);
        file.put_names("components", &self.names())?;
        if let Some(origin) = &self.origin {
            file.put_names("images", &origin.images.names)?;
        }
        Ok(file)
    }

    fn csv(&self, path: &Path) -> Result<Vec<u8>> {
        let failed =
            |e: &dyn std::fmt::Display| Error::unfit(path, e.to_string(), "save to another file");
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = [
            "component",
            "score",
            "measure",
            "feature",
            "model",
            "weights",
            "clip",
            "data",
        ];
        writer.write_record(header).map_err(|e| failed(&e))?;
        let origin = self.origin.as_ref();
        let of = |value: Option<&String>| value.cloned().unwrap_or_default();
        let constant = [
            self.measure.name().to_string(),
            self.feature.clone(),
            of(origin.map(|origin| &origin.model.name)),
            of(origin.map(|origin| &origin.model.weights)),
            of(self.texts.as_ref().map(|texts| &texts.clip.name)),
            of(origin.map(|origin| &origin.images.set)),
        ];
        for (name, value) in self.names().into_iter().zip(&self.values) {
            // `{}` of an f64 is the shortest text that reads back as the same number.
            let row = [name, value.to_string()]
                .into_iter()
                .chain(constant.clone());
            writer.write_record(row).map_err(|e| failed(&e))?;
        }
        writer.into_inner().map_err(|e| failed(&e))
    }
}
