//! `size` and `crop_size`: how a processor makes a picture square.

use super::{Class, Picture, Processor, flag};
use crate::data::CropMode;
use crate::models::config::field::side;
use serde_json::{Value, json};

/// The sides of `size` or `crop_size`.
#[derive(Clone, Copy)]
enum Sides {
    /// The shorter one is brought to this.
    Shortest(u64),
    /// Both sides are given.
    Both(u64),
}

impl Sides {
    fn side(self) -> u64 {
        match self {
            Self::Shortest(side) | Self::Both(side) => side,
        }
    }

    /// The field `name`, if it is there; a number is both sides where `square`, else the shorter one.
    fn of(file: &Value, name: &str, square: bool) -> Result<Option<Self>, String> {
        let value = &file[name];
        let fields = match value {
            Value::Null => return Ok(None),
            Value::Object(fields) => fields,
            one if square || one.is_array() => return Ok(Some(Self::Both(side(name, one)?))),
            one => return Ok(Some(Self::Shortest(side(name, one)?))),
        };
        let given = |key: &str| fields.get(key).filter(|v| !v.is_null());
        let known = ["shortest_edge", "longest_edge", "height", "width"];
        let odd = fields
            .iter()
            .find(|(key, v)| !v.is_null() && !known.contains(&key.as_str()));
        if let Some((key, v)) = odd {
            return Err(format!(
                "{name}.{key} = {v} is not built: shortest_edge, or height and width, is"
            ));
        }
        match known.map(given) {
            [Some(edge), None, None, None] => Ok(Some(Self::Shortest(side(name, edge)?))),
            [None, None, Some(height), Some(width)] => {
                Ok(Some(Self::Both(side(name, &json!([height, width]))?)))
            }
            _ => Err(format!(
                "{name} = {value} is not built: shortest_edge alone, or height and width, is"
            )),
        }
    }
}

/// Set the share of the crop, how it is made, and the side of the images.
pub(super) fn set(file: &Value, processor: Processor, picture: &mut Picture) -> Result<(), String> {
    let Processor { class, named, fast } = processor;
    let square = match &file["default_to_square"] {
        Value::Bool(square) => *square,
        _ => matches!(class, Class::Vit | Class::Deit),
    };
    let size = Sides::of(file, "size", square)?;
    if class == Class::ConvNext {
        return share(file, size.map_or(384, Sides::side), picture);
    }
    let pct = &file["crop_pct"];
    if !pct.is_null() {
        return Err(format!(
            "crop_pct = {pct} is of ConvNextImageProcessor alone; take it out of the file"
        ));
    }
    let size = size.unwrap_or(match class {
        Class::Vit => Sides::Both(224),
        Class::Deit => Sides::Both(256),
        _ => Sides::Shortest(224),
    });
    let asked = flag(file, "do_center_crop")?;
    let crops = match class {
        // The slow one crops nothing whatever its file says.
        Class::Vit if named && !fast => false,
        Class::Vit => asked.unwrap_or(false),
        _ => asked.unwrap_or(true),
    };
    let whole = size.side();
    let crop = match (crops, size) {
        (true, _) => match Sides::of(file, "crop_size", true)? {
            Some(crop) => crop.side(),
            None if class == Class::Vit => whole,
            None => 224,
        },
        (false, Sides::Both(_)) => whole,
        (false, Sides::Shortest(_)) => {
            return Err(format!(
                "size = {} with do_center_crop = {} gives pictures that are not square, which is not built; give size \
                 a height and a width",
                file["size"], file["do_center_crop"]
            ));
        }
    };
    if crop == 0 || crop > whole {
        return Err(format!(
            "crop_size = {} ({crop} px) is not within size = {} ({whole} px): bars around the picture are not built",
            file["crop_size"], file["size"]
        ));
    }
    picture.crop_mode = Some(match size {
        Sides::Shortest(_) => CropMode::Center,
        // The picture's own proportions are not kept.
        Sides::Both(_) => CropMode::Squash,
    });
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
fn share(file: &Value, side: u64, picture: &mut Picture) -> Result<(), String> {
    let pct = match &file["crop_pct"] {
        Value::Null => 224. / 256.,
        pct => pct
            .as_f64()
            .filter(|pct| *pct > 0. && *pct <= 1.)
            .ok_or_else(|| format!("crop_pct = {pct} is no share above 0 and at most 1"))?,
    };
    picture.size = Some(side);
    (picture.crop_mode, picture.crop_pct) = match side < 384 {
        true => (Some(CropMode::Center), Some(pct)),
        false => (Some(CropMode::Squash), Some(1.)),
    };
    Ok(())
}
