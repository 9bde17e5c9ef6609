//! transformers' `preprocessor_config.json`: how its image processors prepare pictures.
//!
//! Steps are resizing, cropping, scaling by `rescale_factor` and normalising; the last two are one normalisation of
//! pixels in [0, 1].

use super::Picture;
use super::claims::Claims;
use super::field::{NOTES, Rule, Table, read, side};
use crate::data::{CropMode, Interpolation};
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

/// What the processor does with a picture.
///
/// # Errors
/// When a step is not built: the reason, with the field.
pub(super) fn picture(file: &Value) -> Result<Picture, String> {
    read(file, "", "", &[TABLE, NOTES], &mut Claims::default())?;
    let kind = ["image_processor_type", "feature_extractor_type"].map(|name| file[name].as_str());
    let kind = kind.into_iter().flatten().next().unwrap_or_default();
    let mut picture = Picture {
        // The fast ones, and those of transformers 5, crop with torchvision.
        corner_down: Some(!kind.ends_with("Fast")),
        interpolation: interpolation(&file["resample"], kind)?,
        ..Picture::default()
    };
    normalisation(file, kind, &mut picture)?;
    geometry(file, kind, &mut picture)?;
    Ok(picture)
}

/// Pillow's numbers, or their names.
fn interpolation(value: &Value, kind: &str) -> Result<Option<Interpolation>, String> {
    let named = |name: &str| serde_json::from_value(json!(name)).ok();
    let found = match (value.as_u64(), value.as_str()) {
        (Some(number), _) => {
            let names = [
                "nearest", "lanczos", "bilinear", "bicubic", "box", "hamming",
            ];
            names.get(number as usize).and_then(|name| named(name))
        }
        (_, Some(name)) => named(&name.to_lowercase()),
        _ if value.is_null() && (kind.starts_with("ViT") || kind.starts_with("ConvNext")) => {
            return Ok(Some(Interpolation::Bilinear));
        }
        _ if value.is_null() => return Ok(None),
        _ => None,
    };
    found.map(Some).ok_or_else(|| {
        format!("resample = {value} is not built: Pillow's 0 to 5 are, or nearest, lanczos, bilinear, bicubic, box, hamming")
    })
}

/// `(255 p factor - mean) / std` of pixels p in [0, 1].
fn normalisation(file: &Value, kind: &str, picture: &mut Picture) -> Result<(), String> {
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
    let of = |name: &str, without: f64| -> Result<Option<[f32; 3]>, String> {
        let three = match (&file[name], normalised) {
            (_, false) => [without; 3],
            (Value::Null, _) if factor == 1. => return Ok(default(kind, name)),
            (Value::Null, _) => {
                return Err(format!(
                    "{name} left out beside a rescale_factor of its own is not built; add it"
                ));
            }
            (Value::Number(one), _) => [one.as_f64().unwrap_or(f64::NAN); 3],
            (value, _) => serde_json::from_value(value.clone()).map_err(|_| {
                format!("{name} = {value} is neither a number nor three: preparation of images")
            })?,
        };
        if name == "image_std" && three.iter().any(|v| *v <= 0. || !v.is_finite()) {
            return Err(format!("{name} = {} has to be above 0", file[name]));
        }
        Ok(Some(three.map(|v| (v / factor) as f32)))
    };
    picture.mean = of("image_mean", 0.)?;
    picture.std = of("image_std", 1.)?;
    Ok(())
}

/// What the classes take where the file leaves it out.
fn default(kind: &str, name: &str) -> Option<[f32; 3]> {
    use crate::models::Normalisation;
    let pick = |n: Normalisation| if name == "image_mean" { n.mean } else { n.std };
    match kind {
        _ if kind.starts_with("CLIP") || kind.starts_with("Bit") => Some(pick(Normalisation::CLIP)),
        _ if ["ViT", "DeiT", "ConvNext"]
            .iter()
            .any(|of| kind.starts_with(of)) =>
        {
            Some([0.5; 3])
        }
        _ => None,
    }
}

fn flag(file: &Value, name: &str) -> Result<Option<bool>, String> {
    match &file[name] {
        Value::Null => Ok(None),
        Value::Bool(on) => Ok(Some(*on)),
        other => Err(format!("{name} = {other} is neither true nor false")),
    }
}

/// The sides of `size` or `crop_size`.
enum Sides {
    /// The shorter one is brought to this.
    Shortest(u64),
    /// Both are.
    Both(u64),
}

fn sides(name: &str, value: &Value, square: bool) -> Result<Option<Sides>, String> {
    let known = [
        "shortest_edge",
        "longest_edge",
        "height",
        "width",
        "max_height",
        "max_width",
    ];
    let fields = match value {
        Value::Null => return Ok(None),
        Value::Object(fields) => fields,
        one if square => return Ok(Some(Sides::Both(side(name, one)?))),
        one if one.is_array() => return Ok(Some(Sides::Both(side(name, one)?))),
        one => return Ok(Some(Sides::Shortest(side(name, one)?))),
    };
    let given = |key: &str| fields.get(key).filter(|v| !v.is_null());
    let odd = fields
        .iter()
        .find(|(key, v)| !v.is_null() && !known[..4].contains(&key.as_str()));
    if let Some((key, v)) = odd {
        return Err(format!(
            "{name}.{key} = {v} is not built: shortest_edge, or height and width, is"
        ));
    }
    match (
        given("shortest_edge"),
        given("longest_edge"),
        given("height"),
        given("width"),
    ) {
        (Some(edge), None, None, None) => Ok(Some(Sides::Shortest(side(name, edge)?))),
        (None, None, Some(height), Some(width)) => {
            Ok(Some(Sides::Both(side(name, &json!([height, width]))?)))
        }
        _ => Err(format!(
            "{name} = {value} is not built: shortest_edge alone, or height and width, is"
        )),
    }
}

fn geometry(file: &Value, kind: &str, picture: &mut Picture) -> Result<(), String> {
    // An `int` is both sides for these classes, the shorter one for others.
    let square = ["ViT", "DeiT", "Swin", "Beit"]
        .iter()
        .any(|of| kind.starts_with(of));
    let size = sides(
        "size",
        &file["size"],
        file["default_to_square"].as_bool().unwrap_or(square),
    )?;
    if !file["crop_pct"].is_null() || kind.starts_with("ConvNext") {
        return share(file, kind, size, picture);
    }
    let crop = match sides("crop_size", &file["crop_size"], true)? {
        Some(Sides::Both(side) | Sides::Shortest(side)) => Some(side),
        None => None,
    };
    // ViTImageProcessor has no crop: what its files say of one does nothing.
    let crops = flag(file, "do_center_crop")?.unwrap_or(!kind.starts_with("ViT"));
    let crop = crop.filter(|_| crops);
    let whole = match size {
        None => {
            picture.size = crop;
            return Ok(());
        }
        Some(Sides::Both(side)) => {
            // The picture's own proportions are not kept.
            picture.crop_mode = Some(CropMode::Squash);
            side
        }
        Some(Sides::Shortest(side)) => {
            picture.crop_mode = Some(CropMode::Center);
            side
        }
    };
    let crop = match (crop, size) {
        (Some(crop), _) => crop,
        (None, Some(Sides::Shortest(_))) if crops || kind.is_empty() => whole,
        (None, Some(Sides::Shortest(_))) => {
            return Err(format!(
                "size = {} with do_center_crop = {} gives pictures that are not square, which is not built; \
                 give size a height and a width",
                file["size"], file["do_center_crop"]
            ));
        }
        (None, _) => whole,
    };
    if whole == 0 || crop == 0 || crop > whole {
        return Err(format!(
            "crop_size = {} is not within size = {}: bars around the picture are not built",
            file["crop_size"], file["size"]
        ));
    }
    // The resized side is the crop over its share, rounded down.
    let mut share = crop as f64 / whole as f64;
    while (crop as f64 / share).floor() < whole as f64 {
        share = share.next_down()
    }
    picture.crop_pct = Some(share);
    picture.size = Some(crop);
    Ok(())
}

/// `ConvNextImageProcessor`, which cuts off a share of pictures below 384 pixels and squashes larger ones.
fn share(
    file: &Value,
    kind: &str,
    size: Option<Sides>,
    picture: &mut Picture,
) -> Result<(), String> {
    if !kind.starts_with("ConvNext") {
        let value = &file["crop_pct"];
        return Err(format!(
            "crop_pct = {value} is of ConvNextImageProcessor, and this is \"{kind}\"; take it out of the file"
        ));
    }
    let (Some(Sides::Shortest(side) | Sides::Both(side)), pct) = (size, file["crop_pct"].as_f64())
    else {
        return Ok(());
    };
    picture.size = Some(side);
    (picture.crop_mode, picture.crop_pct) = match side < 384 {
        true => (Some(CropMode::Center), Some(pct.unwrap_or(224. / 256.))),
        false => (Some(CropMode::Squash), Some(1.)),
    };
    Ok(())
}
