//! How a configuration says images are prepared, as far as it says so.

use crate::data::{CropMode, Interpolation, Preprocess};
use crate::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// The preparation of images in timm's names; what is absent is as the family has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct Picture {
    pub mean: Option<[f32; 3]>,
    pub std: Option<[f32; 3]>,
    pub interpolation: Option<Interpolation>,
    #[serde(alias = "crop")]
    pub crop_pct: Option<f64>,
    #[serde(alias = "resize_mode")]
    pub crop_mode: Option<CropMode>,
    /// The colour of bars.
    #[serde(skip)]
    pub fill: Option<[u8; 3]>,
    /// [`Preprocess::corner_down`].
    #[serde(skip)]
    pub corner_down: Option<bool>,
    /// The side of the images that come out.
    #[serde(skip)]
    pub size: Option<u64>,
}

/// The names of its fields.
const FIELDS: [&str; 5] = ["mean", "std", "interpolation", "crop_pct", "crop_mode"];

impl Picture {
    /// Read it from the JSON object `from`, whose other fields are left alone.
    ///
    /// # Errors
    /// When a field has a value that is not understood: the reason.
    pub fn read(from: &Value) -> std::result::Result<Self, String> {
        let picture: Self = serde_json::from_value(from.clone())
            .map_err(|e| format!("preparation of images: {e}"))?;
        match picture.std {
            Some(std) if std.iter().any(|v| *v <= 0. || !v.is_finite()) => Err(format!(
                "preparation of images: std = {std:?} has to be above 0"
            )),
            _ => Ok(picture),
        }
    }

    /// Take these fields out of `given`, which a person has passed along.
    ///
    /// # Errors
    /// When a field has a value that is not understood.
    pub fn split(given: &Value) -> Result<(Self, Value)> {
        let mut rest = match given {
            Value::Null => json!({}),
            Value::Object(_) => given.clone(),
            other => {
                let expected = "an object, such as json!({\"num_heads\": 6})";
                return Err(Error::argument("config", other, expected));
            }
        };
        let mut mine = json!({});
        if let Some(fields) = rest.as_object_mut() {
            for name in FIELDS {
                if let Some(value) = fields.remove(name) {
                    mine[name] = value
                }
            }
        }
        let picture = Self::read(&mine).map_err(|e| Error::argument("config", given, e))?;
        Ok((picture, rest))
    }

    /// This one where it says something, else `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            mean: self.mean.or(other.mean),
            std: self.std.or(other.std),
            interpolation: self.interpolation.or(other.interpolation),
            crop_pct: self.crop_pct.or(other.crop_pct),
            crop_mode: self.crop_mode.or(other.crop_mode),
            fill: self.fill.or(other.fill),
            corner_down: self.corner_down.or(other.corner_down),
            size: self.size.or(other.size),
        }
    }

    /// A family's configuration fields for mean and deviation.
    pub fn network(&self) -> Value {
        let mut normalisation = json!({});
        for (name, value) in [("mean", self.mean), ("std", self.std)] {
            if let Some(value) = value {
                normalisation[name] = json!(value)
            }
        }
        match normalisation.as_object().is_some_and(|n| n.is_empty()) {
            true => json!({}),
            false => json!({ "normalisation": normalisation }),
        }
    }

    /// How pictures are brought to size, `default` where nothing is said. Bars of [`CropMode::Border`] have the colour
    /// `bars` where none is said.
    ///
    /// # Errors
    /// When the crop is no share.
    pub fn preprocess(&self, default: Preprocess, bars: [u8; 3]) -> Result<Preprocess> {
        let mode = self.crop_mode.unwrap_or(default.mode);
        let preprocess = Preprocess {
            interpolation: self.interpolation.unwrap_or(default.interpolation),
            crop: self.crop_pct.unwrap_or(default.crop),
            mode,
            corner_down: self.corner_down.unwrap_or(default.corner_down),
            fill: match mode {
                CropMode::Border => self.fill.unwrap_or(bars),
                _ => default.fill,
            },
            ..default
        };
        preprocess.check()?;
        Ok(preprocess)
    }
}
