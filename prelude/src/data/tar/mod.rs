//! Tar shards in WebDataset's layout: the members `key.jpg`, `key.cls`, `key.json`, `key.txt` are one sample.
//!
//! A shard is indexed once, from its headers; images are read at their places when they are asked for.

mod index;

use self::index::{Member, Sample, index};
use super::decode::{EXTENSIONS, rgb, unreadable};
use super::folder::{OnUnreadable, decoded, folder_name, readable, retain};
use super::labels::{class_number, no_column};
use super::shard::{Shard, kept_key, shards, shards_key};
use super::{DataSet, Input, Labels, Preprocess};
use crate::{Error, Result};
use candle_core::Tensor;
use image::RgbImage;
use serde_json::Value;
use std::path::Path;

/// Images in tar shards, with the columns `class` (from `.cls`), `text` (from `.txt`) and the plain fields of `.json`.
pub struct TarSet {
    name: String,
    key: String,
    shards: Vec<Shard>,
    samples: Vec<Sample>,
    columns: Vec<(String, Source)>,
    skipped: Vec<Error>,
}

/// Where a label column is read.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Cls,
    Json,
    Txt,
}

impl TarSet {
    /// The shards at `path`: a `.tar` file, a folder of them, or the beginning of their names (`shards/val`).
    ///
    /// # Errors
    /// When there are none, one is cut off or no tar file, or a sample has no image (unless they are to be skipped).
    pub fn open(path: impl AsRef<Path>, unreadable: OnUnreadable) -> Result<Self> {
        let path = path.as_ref();
        let mut set = Self {
            name: folder_name(path),
            key: String::new(),
            shards: Vec::new(),
            samples: Vec::new(),
            columns: Vec::new(),
            skipped: Vec::new(),
        };
        for (number, path) in shards(path, "tar")?.iter().enumerate() {
            let shard = Shard::open(path)?;
            index(&shard, number, &mut set.samples)?;
            set.shards.push(shard);
        }
        set.key = shards_key("tar", &set.shards);
        if unreadable == OnUnreadable::Skip {
            let preprocess = Preprocess::default();
            let read = |i: usize| set.picture(i, &preprocess).map(drop);
            let (kept, skipped) = readable(&set.name, set.samples.len(), read)?;
            retain(&mut set.samples, &kept);
            set.key = kept_key(&set.key, &kept);
            set.skipped = skipped;
        } else if let Some(i) = set.samples.iter().position(|sample| sample.image.is_none()) {
            return Err(set.no_image(i));
        }
        let Some(first) = set.samples.first() else {
            let reason = match set.skipped.first() {
                Some(first) => format!("none of its images can be read; the first: {first}"),
                None => "its shards hold no samples (key.jpg, key.cls, ...)".to_string(),
            };
            return Err(Error::data(&set.name, reason));
        };
        set.columns = set.columns_of(first)?;
        Ok(set)
    }

    /// The columns, as the first sample has them.
    fn columns_of(&self, first: &Sample) -> Result<Vec<(String, Source)>> {
        let mut columns = Vec::new();
        if first.cls.is_some() {
            columns.push(("class".to_string(), Source::Cls))
        }
        if first.txt.is_some() {
            columns.push(("text".to_string(), Source::Txt))
        }
        if let Some(Value::Object(fields)) = self.json(first)? {
            for (name, value) in fields {
                let plain = value.is_string() || value.is_boolean() || value.is_i64();
                if plain && columns.iter().all(|(known, _)| *known != name) {
                    columns.push((name, Source::Json))
                }
            }
        }
        Ok(columns)
    }

    /// What a sample is called in messages.
    fn place(&self, sample: &Sample) -> String {
        format!(
            "{}, sample {}",
            self.shards[sample.shard].path.display(),
            sample.key
        )
    }

    fn no_image(&self, i: usize) -> Error {
        let reason = format!("it has no image ({})", EXTENSIONS.join(", "));
        Error::data(self.place(&self.samples[i]), reason)
    }

    fn member(&self, sample: &Sample, member: Member) -> Result<Vec<u8>> {
        let shard = &self.shards[sample.shard];
        shard
            .bytes(member.start, member.len)
            .map_err(|e| Error::io("reading", &shard.path, e))
    }

    /// The text of a member that a label is read from.
    fn text(&self, sample: &Sample, member: Option<Member>, kind: &str) -> Result<String> {
        let Some(member) = member else {
            let reason = format!("it has no .{kind}, which the first sample has");
            return Err(Error::data(self.place(sample), reason));
        };
        let text = String::from_utf8(self.member(sample, member)?);
        match text {
            Ok(text) => Ok(text.trim().to_string()),
            Err(_) => Err(Error::data(
                self.place(sample),
                format!("its .{kind} is no text"),
            )),
        }
    }

    fn json(&self, sample: &Sample) -> Result<Option<Value>> {
        if sample.json.is_none() {
            return Ok(None);
        }
        let text = self.text(sample, sample.json, "json")?;
        let wrong = |e| Error::data(self.place(sample), format!("its .json is not JSON: {e}"));
        serde_json::from_str(&text).map(Some).map_err(wrong)
    }

    fn picture(&self, i: usize, preprocess: &Preprocess) -> Result<RgbImage> {
        let sample = &self.samples[i];
        let member = sample.image.ok_or_else(|| self.no_image(i))?;
        let bytes = self.member(sample, member)?;
        rgb(&bytes, preprocess.upright)
            .map_err(|reason| unreadable(Path::new(&self.place(sample)), reason))
    }

    fn numbers(&self) -> Result<Vec<u32>> {
        let number = |sample: &Sample| {
            let text = self.text(sample, sample.cls, "cls")?;
            let wrong = |_| {
                Error::data(
                    self.place(sample),
                    format!("its .cls \"{text}\" is no number"),
                )
            };
            class_number(text.parse().map_err(wrong)?, || self.place(sample))
        };
        self.samples.iter().map(number).collect()
    }

    /// A field of each sample's JSON: class numbers where all are whole numbers, names otherwise.
    fn field(&self, name: &str) -> Result<Labels> {
        let value =
            |sample: &Sample| match self.json(sample)?.as_ref().and_then(|json| json.get(name)) {
                Some(value) => Ok(value.clone()),
                None => Err(Error::data(
                    self.place(sample),
                    format!("its .json has no \"{name}\""),
                )),
            };
        let values = self.samples.iter().map(value).collect::<Result<Vec<_>>>()?;
        if values.iter().all(Value::is_i64) {
            let numbers = values.iter().zip(&self.samples).map(|(value, sample)| {
                class_number(value.as_i64().unwrap_or(-1), || self.place(sample))
            });
            return Ok(Labels::from_numbers(numbers.collect::<Result<_>>()?));
        }
        let name = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(Labels::from_names(values.into_iter().map(name).collect()))
    }
}

impl DataSet for TarSet {
    fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> String {
        self.key.clone()
    }

    fn len(&self) -> usize {
        self.samples.len()
    }

    fn image_name(&self, index: usize) -> String {
        let sample = &self.samples[index];
        format!(
            "{}/{}",
            folder_name(&self.shards[sample.shard].path),
            sample.key
        )
    }

    fn pixels(&self, indices: &[usize], input: Input) -> Result<Tensor> {
        decoded(self, indices, input, |i| self.picture(i, &input.preprocess))
    }

    fn skipped(&self) -> &[Error] {
        &self.skipped
    }

    fn label_columns(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    fn labels(&self, column: &str) -> Result<Labels> {
        let source = self.columns.iter().find(|(name, _)| name == column);
        match source.map(|(_, source)| *source) {
            Some(Source::Cls) => Ok(Labels::from_numbers(self.numbers()?)),
            Some(Source::Txt) => {
                let text = |sample: &Sample| self.text(sample, sample.txt, "txt");
                let texts = self.samples.iter().map(text).collect::<Result<_>>()?;
                Ok(Labels::from_names(texts))
            }
            Some(Source::Json) => self.field(column),
            None => Err(no_column(&self.name, column, &self.label_columns())),
        }
    }
}
