//! transformers' `preprocessor_config.json`: how its image processors prepare pictures.
//!
//! The class that the file names, or that transformers takes for the model, has defaults for what is left out. Steps are
//! resizing, cropping, scaling by `rescale_factor` and normalising; the last two are one normalisation of
//! pixels in [0, 1].

mod geometry;

use super::Picture;
use super::claims::Claims;
use super::field::{NOTES, Rule, Table, read};
use crate::data::Interpolation;
use crate::models::Normalisation;
use serde_json::{Value, json};

use Rule::{Harmless, Only, Own};

/// The file's name.
pub(super) const NAME: &str = "preprocessor_config.json";

const TABLE: Table = &[
    (
        Own,
        &[
            "image_processor_type",
            "feature_extractor_type",
            "size",
            "crop_size",
            "crop_pct",
            "resample",
            "image_mean",
            "image_std",
            "rescale_factor",
            "do_center_crop",
            "do_rescale",
            "do_normalize",
        ],
    ),
    (Only(&["true"]), &["do_resize"]),
    (
        Only(&["false"]),
        &[
            "do_pad",
            "do_flip_channel_order",
            "do_thumbnail",
            "do_align_long_axis",
            "do_align_axis",
            "do_random_crop",
            "offset",
            "rescale_offset",
            "include_top",
            "do_reduce_labels",
            "reduce_labels",
            "do_split_image",
            "do_image_splitting",
            "do_crop_margin",
            "do_flip",
            "do_solarize",
            "apply_ocr",
            "return_row_col_info",
        ],
    ),
    (
        Only(&["null"]),
        &["pad_size", "size_divisor", "ensure_multiple_of"],
    ),
    (
        Harmless,
        &[
            // Pictures are RGB whenever they are decoded here.
            "do_convert_rgb",
            "processor_class",
            "return_tensors",
            "data_format",
            "input_data_format",
            "device",
            "default_to_square",
            "disable_grouping",
            "auto_map",
            "keep_aspect_ratio",
            "image_seq_length",
            "size_dict",
        ],
    ),
];

/// An image processor.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    Bit,
    Clip,
    ConvNext,
    Deit,
    Vit,
}

/// A processor's class, and whether its name ends in `Fast`; `named` is false where the model alone tells it.
#[derive(Clone, Copy)]
struct Processor {
    class: Class,
    named: bool,
    fast: bool,
}

impl Processor {
    /// The processor that `file` names, or transformers' for models of `model_type`.
    fn of(file: &Value, model_type: &str) -> Result<Self, String> {
        let fields = ["image_processor_type", "feature_extractor_type"];
        let found = fields
            .iter()
            .find_map(|field| Some((field, file[*field].as_str()?)));
        let Some((field, name)) = found else {
            let class = match model_type {
                "clip" => Class::Clip,
                "deit" => Class::Deit,
                _ if model_type.starts_with("dinov2") => Class::Bit,
                _ => Class::Vit,
            };
            return Ok(Self {
                class,
                named: false,
                fast: false,
            });
        };
        let kind = name.trim_end_matches("Fast");
        let kind = kind
            .strip_suffix("ImageProcessor")
            .or(kind.strip_suffix("FeatureExtractor"));
        let class = match kind {
            Some("Bit") => Class::Bit,
            Some("CLIP") => Class::Clip,
            Some("ConvNext") => Class::ConvNext,
            Some("DeiT") => Class::Deit,
            Some("ViT") => Class::Vit,
            _ => {
                return Err(format!(
                    "{field} = \"{name}\" is not built, only ViT's, DeiT's, CLIP's, Bit's and ConvNext's; take the \
                     file away and pass mean, std, interpolation, crop_pct and crop_mode to load_with"
                ));
            }
        };
        Ok(Self {
            class,
            named: true,
            fast: name.ends_with("Fast"),
        })
    }

    /// Mean and deviation where the file leaves them out.
    fn normalisation(self) -> Normalisation {
        match self.class {
            Class::Bit | Class::Clip => Normalisation::CLIP,
            _ => Normalisation {
                mean: [0.5; 3],
                std: [0.5; 3],
            },
        }
    }
}

/// What the processor in `file`, beside a model of `model_type`, does with a picture.
///
/// # Errors
/// When a step is not built: the reason, with the field.
pub(super) fn picture(file: &Value, model_type: &str) -> Result<Picture, String> {
    read(file, "", "", &[TABLE, NOTES], &mut Claims::default())?;
    let processor = Processor::of(file, model_type)?;
    let mut picture = Picture {
        // The fast ones, and those of transformers 5, crop with torchvision.
        corner_down: Some(!processor.fast),
        interpolation: Some(interpolation(&file["resample"], processor)?),
        ..Picture::default()
    };
    normalisation(file, processor, &mut picture)?;
    geometry::set(file, processor, &mut picture)?;
    Ok(picture)
}

/// Pillow's numbers, or their names.
fn interpolation(value: &Value, processor: Processor) -> Result<Interpolation, String> {
    let named = |name: &str| serde_json::from_value(json!(name)).ok();
    let found = match (value.as_u64(), value.as_str()) {
        (Some(number), _) => {
            let names = [
                "nearest", "lanczos", "bilinear", "bicubic", "box", "hamming",
            ];
            names.get(number as usize).and_then(|name| named(name))
        }
        (_, Some(name)) => named(&name.to_lowercase()),
        _ if !value.is_null() => None,
        _ => Some(match processor.class {
            Class::Vit | Class::ConvNext => Interpolation::Bilinear,
            _ => Interpolation::Bicubic,
        }),
    };
    found.ok_or_else(|| {
        format!("resample = {value} is not built: Pillow's 0 to 5 are, or nearest, lanczos, bilinear, bicubic, box, hamming")
    })
}

/// `(255 p factor - mean) / std` of pixels p in [0, 1].
fn normalisation(file: &Value, processor: Processor, picture: &mut Picture) -> Result<(), String> {
    let on = |name: &str| flag(file, name).map(|on| on.unwrap_or(true));
    let factor = match (on("do_rescale")?, &file["rescale_factor"]) {
        (false, _) => 255.,
        (true, Value::Null) => 1.,
        (true, value) => match value.as_f64() {
            Some(factor) if factor > 0. && factor.is_finite() => 255. * factor,
            _ => return Err(format!("rescale_factor = {value} is no factor above 0")),
        },
    };
    // 1 / 255 as it is written in files is not 1 / 255 to the last digit.
    let factor = if (factor - 1.).abs() < 1e-6 {
        1.
    } else {
        factor
    };
    let normalised = on("do_normalize")?;
    let of = |name: &str, without: f64, default: [f32; 3]| -> Result<Option<[f32; 3]>, String> {
        let three = match (&file[name], normalised) {
            (_, false) => [without; 3],
            (Value::Null, _) if factor == 1. => return Ok(Some(default)),
            (Value::Null, _) => default.map(f64::from),
            (Value::Number(one), _) => [one.as_f64().unwrap_or(f64::NAN); 3],
            (value, _) => serde_json::from_value(value.clone())
                .map_err(|_| format!("{name} = {value} is neither a number nor three"))?,
        };
        if name == "image_std" && three.iter().any(|v| *v <= 0. || !v.is_finite()) {
            return Err(format!("{name} = {} has to be above 0", file[name]));
        }
        Ok(Some(three.map(|v| (v / factor) as f32)))
    };
    let Normalisation { mean, std } = processor.normalisation();
    picture.mean = of("image_mean", 0., mean)?;
    picture.std = of("image_std", 1., std)?;
    Ok(())
}

/// The field `name`, which is true, false or left out.
fn flag(file: &Value, name: &str) -> Result<Option<bool>, String> {
    match &file[name] {
        Value::Null => Ok(None),
        Value::Bool(on) => Ok(Some(*on)),
        other => Err(format!("{name} = {other} is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::CropMode;

    /// What is left out is as transformers' classes have it: `to_dict()` of each in transformers 4.51.
    #[test]
    fn what_is_left_out_is_the_classes_default() {
        let clip = Normalisation::CLIP;
        let half = Normalisation {
            mean: [0.5; 3],
            std: [0.5; 3],
        };
        for (file, model, side, share, mode, filter, n) in [
            (
                json!({}),
                "clip",
                224,
                1.,
                CropMode::Center,
                Interpolation::Bicubic,
                clip,
            ),
            (
                json!({"size": 256}),
                "clip",
                224,
                0.875,
                CropMode::Center,
                Interpolation::Bicubic,
                clip,
            ),
            (
                json!({"size": {"shortest_edge": 256}}),
                "dinov2",
                224,
                0.875,
                CropMode::Center,
                Interpolation::Bicubic,
                clip,
            ),
            (
                json!({}),
                "deit",
                224,
                0.875,
                CropMode::Squash,
                Interpolation::Bicubic,
                half,
            ),
            (
                json!({}),
                "vit",
                224,
                1.,
                CropMode::Squash,
                Interpolation::Bilinear,
                half,
            ),
            (
                json!({"size": 384}),
                "swin",
                384,
                1.,
                CropMode::Squash,
                Interpolation::Bilinear,
                half,
            ),
            (
                json!({"feature_extractor_type": "ViTFeatureExtractor", "size": 384, "do_center_crop": true, "crop_size": 224}),
                "vit",
                384,
                1.,
                CropMode::Squash,
                Interpolation::Bilinear,
                half,
            ),
            (
                json!({"image_processor_type": "ConvNextImageProcessor"}),
                "dinov2",
                384,
                1.,
                CropMode::Squash,
                Interpolation::Bilinear,
                half,
            ),
        ] {
            let picture = picture(&file, model).unwrap();
            assert_eq!(picture.size, Some(side), "{file}");
            assert_eq!(picture.crop_pct, Some(share), "{file}");
            assert_eq!(picture.crop_mode, Some(mode), "{file}");
            assert_eq!(picture.interpolation, Some(filter), "{file}");
            assert_eq!(
                (picture.mean, picture.std),
                (Some(n.mean), Some(n.std)),
                "{file}"
            );
        }
        let other = picture(
            &json!({"image_processor_type": "SiglipImageProcessor"}),
            "vit",
        );
        assert!(other.unwrap_err().contains("SiglipImageProcessor"));
    }

    #[test]
    fn a_crop_within_a_side_is_that_side_again() {
        for whole in 8..600_u64 {
            for crop in [8, 9, 16, 17, 224, 336]
                .into_iter()
                .filter(|crop| *crop <= whole)
            {
                let file = json!({"size": {"shortest_edge": whole}, "crop_size": crop});
                let share = picture(&file, "clip").unwrap().crop_pct.unwrap();
                assert_eq!(
                    (crop as f64 / share).floor() as u64,
                    whole,
                    "{crop} of {whole}"
                );
            }
        }
    }
}
