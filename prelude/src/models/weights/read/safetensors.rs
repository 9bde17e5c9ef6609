//! safetensors files: a header of names, shapes and offsets, then the numbers.

use super::listing::Listing;
use super::slot::{Number, Place, Slot};
use super::source::Source;
use crate::{Error, Result};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeSet;
use std::path::Path;

/// The format's own limit.
const LARGEST: u64 = 100_000_000;

/// The tensors of the file at `path`.
///
/// # Errors
/// When it is no safetensors file, cut, or its header contradicts itself or the file's size.
pub(super) fn listing(path: &Path, source: &Source) -> Result<Listing> {
    let io = |e| Error::io("reading", path, e);
    let length = source.len().map_err(io)?;
    let broken = |e: &dyn std::fmt::Display| {
        let reason = format!("not a whole safetensors file ({e}); fetch it again");
        Error::weights(path, reason)
    };
    let mut start = [0; 8];
    if length < 8 {
        return Err(broken(&format!("{length} bytes")));
    }
    source.read(0, &mut start).map_err(io)?;
    let header = u64::from_le_bytes(start);
    if header > length - 8 {
        return Err(broken(&"its header does not end"));
    }
    if header > LARGEST {
        return Err(broken(&format!("a header of {header} bytes")));
    }
    let mut text = vec![0; header as usize];
    source.read(8, &mut text).map_err(io)?;
    // Reading it checks that offsets follow each other and agree with shapes.
    let about: Metadata = serde_json::from_slice(&text).map_err(|e| broken(&e))?;
    let names: Names = serde_json::from_slice(&text).map_err(|e| broken(&e))?;
    if let Some(name) = names.twice {
        return Err(broken(&format!("\"{name}\" is twice in its header")));
    }
    let data = header + 8;
    let said = data.saturating_add(about.data_len() as u64);
    if said != length {
        return Err(broken(&format!("{length} bytes of {said}")));
    }
    let slots = about.tensors().into_iter().map(|(key, info)| Slot {
        entry: [].into(),
        key,
        number: number(info.dtype),
        shape: info.shape.clone(),
        place: Ok(Place {
            part: 0,
            start: data + info.data_offsets.0 as u64,
            strides: None,
            check: None,
        }),
    });
    let mut slots: Vec<_> = slots.collect();
    slots.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Listing {
        slots,
        metadata: about.metadata().clone().unwrap_or_default(),
        ..Listing::default()
    })
}

fn number(dtype: Dtype) -> Number {
    match dtype {
        Dtype::F64 => Number::F64,
        Dtype::F32 => Number::F32,
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::BF16,
        Dtype::F8_E4M3 => Number::F8E4M3,
        Dtype::F8_E5M2 => Number::F8E5M2,
        Dtype::U8 => Number::U8,
        Dtype::U32 => Number::U32,
        Dtype::I64 => Number::I64,
        Dtype::BOOL => Number::Other("bool", 1),
        Dtype::I8 => Number::Other("int8", 1),
        Dtype::I16 => Number::Other("int16", 2),
        Dtype::U16 => Number::Other("uint16", 2),
        Dtype::I32 => Number::Other("int32", 4),
        Dtype::U64 => Number::Other("uint64", 8),
        Dtype::C64 => Number::Other("complex64", 8),
        Dtype::F8_E8M0 => Number::Other("float8_e8m0", 1),
        Dtype::F8_E4M3FNUZ => Number::Other("float8_e4m3fnuz", 1),
        Dtype::F8_E5M2FNUZ => Number::Other("float8_e5m2fnuz", 1),
        Dtype::F4 | Dtype::F6_E2M3 | Dtype::F6_E3M2 => Number::Other("a packed kind of numbers", 0),
        _ => Number::Other("a kind that is not known", 0),
    }
}

/// The names of a header, of which a parser would keep the last of two that are equal.
struct Names {
    twice: Option<String>,
}

impl<'de> serde::Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Names;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a header of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let (mut names, mut twice) = (BTreeSet::new(), None);
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    if names.contains(&name) {
                        twice = Some(name)
                    } else {
                        names.insert(name);
                    }
                }
                Ok(Names { twice })
            }
        }
        from.deserialize_map(Keys)
    }
}
