//! What a store says of itself.

use super::bucket::Bucket;
use super::options::StoreType;
use super::plan::StorePlan;
use crate::decompose::{Component, Origin, TokenShape};
use crate::identity::Format;
use crate::{Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// The layout of a store. Raise it with every change that makes this code misread an older one.
const FORMAT: u32 = 1;

/// Of all attributes, those of this program.
const OURS: &str = "vitrepl";

/// The attributes that hold the names of components and of images.
const NAMES: [&str; 2] = ["component_names", "image_names"];

/// What contributions of a store are, and how they are cut.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    kind: String,
    format: u32,
    /// The version of this program that made it.
    version: String,
    /// The format numbers of all that the values are made of.
    formats: String,
    pub components: Vec<Component>,
    pub part_of: Option<usize>,
    pub origin: Option<Origin>,
    pub images: usize,
    pub width: usize,
    /// Images of a chunk.
    pub chunk: usize,
    pub dtype: StoreType,
    /// What source tokens are kept; none where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenShape>,
    /// What listings call it, where it is kept by a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

/// The label of the store in a folder, of whose description nothing is verified; none where there is no such store.
pub(crate) fn label(folder: &Path) -> Option<String> {
    let description = std::fs::read(folder.join("zarr.json")).ok()?;
    let description: Value = serde_json::from_slice(&description).ok()?;
    let label = description["attributes"][OURS]["label"].as_str()?;
    Some(label.to_string())
}

impl Header {
    /// The header of what is planned, in chunks of so many images, and the arrays of the source tokens' channel maps.
    pub fn new(plan: StorePlan, chunk: usize, dtype: StoreType) -> (Self, Vec<Tensor>) {
        let (tokens, maps) = plan.tokens.unzip();
        let header = Self {
            kind: "contributions".into(),
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            formats: Format::Contributions.with_its_parts(),
            components: plan.components,
            part_of: plan.part_of,
            origin: plan.origin,
            images: plan.images,
            width: plan.width,
            chunk,
            dtype,
            tokens,
            label: plan.label,
        };
        (header, maps.unwrap_or_default())
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.images.div_ceil(self.chunk)
    }

    /// The images of a chunk.
    pub fn range(&self, chunk: usize) -> std::ops::Range<usize> {
        chunk * self.chunk..self.images.min((chunk + 1) * self.chunk)
    }

    /// As attributes of the Zarr group.
    pub fn attributes(&self) -> Result<Map<String, Value>> {
        let ours = serde_json::to_value(self)
            .map_err(|e| Error::argument("description", e, "something JSON can hold"))?;
        let components: Vec<String> = self.components.iter().map(Component::to_string).collect();
        let mut attributes = Map::from_iter([
            (OURS.to_string(), ours),
            (NAMES[0].to_string(), json!(components)),
        ]);
        if let Some(origin) = &self.origin {
            attributes.insert(NAMES[1].to_string(), json!(&*origin.images.names));
            // What a reader who does not know this program wants to know, in plain words.
            attributes.insert("model".into(), json!(origin.model.name));
            attributes.insert("weights_blake3".into(), json!(origin.model.weights));
            attributes.insert("data".into(), json!(origin.images.set));
            attributes.insert("data_key".into(), json!(origin.images.key));
            attributes.insert("options".into(), json!(origin.options.words()));
        }
        Ok(attributes)
    }

    /// From the attributes of a Zarr group at `bucket`.
    ///
    /// # Errors
    /// Attributes of another program, of another layout, or damaged.
    pub fn read(bucket: &Bucket, attributes: &Map<String, Value>) -> Result<Self> {
        let unfit = |reason: String, remedy| Error::unfit(bucket.address(), reason, remedy);
        let Some(ours) = attributes.get(OURS) else {
            return Err(unfit(
                "a Zarr group, but not of vitrepl's contributions".into(),
                "name another one",
            ));
        };
        if ours["kind"] != "contributions" {
            return Err(unfit(
                format!("holds {}, not contributions", ours["kind"]),
                "name another one",
            ));
        }
        if ours["format"] != FORMAT {
            let found = &ours["format"];
            return Err(unfit(
                format!("contributions of format {found}, and this version reads {FORMAT}"),
                "make them again in another place, or read them with the version that made them",
            ));
        }
        let damaged = |what: String| {
            unfit(
                format!("its attributes are damaged: {what}"),
                "make it again in another place",
            )
        };
        let mut header: Self =
            serde_json::from_value(ours.clone()).map_err(|e| damaged(e.to_string()))?;
        let own = Format::Contributions.with_its_parts();
        if header.formats != own {
            return Err(unfit(
                format!(
                    "its values were computed by other rules ({}; this version: {own})",
                    header.formats
                ),
                "make them again in another place",
            ));
        }
        if header.chunk == 0 {
            return Err(damaged("chunks of 0 images".into()));
        }
        if let Some(origin) = &mut header.origin {
            let names = attributes.get(NAMES[1]).cloned().unwrap_or_default();
            let names: Vec<String> = serde_json::from_value(names)
                .map_err(|e| damaged(format!("names of images: {e}")))?;
            if names.len() != header.images {
                return Err(damaged(format!(
                    "{} names of {} images",
                    names.len(),
                    header.images
                )));
            }
            origin.images.names = Arc::from(names);
        }
        Ok(header)
    }

    /// Why `other`, which is to be written into the store of this one, does not belong there; none where it does.
    pub fn difference(&self, other: &Self) -> Option<String> {
        match (&self.origin, &other.origin) {
            (Some(a), Some(b)) => {
                if let Some(reason) = a.difference(b).or_else(|| a.images.difference(&b.images)) {
                    return Some(reason);
                }
            }
            (None, None) => {}
            _ => return Some("of one of them it is not known what they were made of".into()),
        }
        let pairs = [
            (
                "components",
                json!(self.components),
                json!(other.components),
            ),
            ("images", json!(self.images), json!(other.images)),
            ("channels", json!(self.width), json!(other.width)),
            ("images of a chunk", json!(self.chunk), json!(other.chunk)),
            ("type", json!(self.dtype), json!(other.dtype)),
            ("source tokens", json!(self.tokens), json!(other.tokens)),
        ];
        let (name, a, b) = pairs.into_iter().find(|(_, a, b)| a != b)?;
        Some(match name {
            "components" => "their components differ".into(),
            "source tokens" => match (&self.tokens, &other.tokens) {
                (Some(_), None) => "source tokens are kept there and not here".into(),
                (None, Some(_)) => "source tokens are kept here and not there".into(),
                _ => "their source tokens differ".into(),
            },
            name => format!("the {name}: {a} there and {b} here"),
        })
    }
}
