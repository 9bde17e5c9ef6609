//! Label columns of tar shards: which there are, and reading them.

use super::TarSet;
use super::fields::{Holds, holds};
use super::index::Sample;
use crate::data::Labels;
use crate::data::labels::class_number;
use crate::data::text::utf8;
use crate::{Error, Result};
use rayon::prelude::*;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Where a label column is read.
#[derive(Clone, PartialEq)]
pub(super) enum Source {
    /// A number or text in the field of this number.
    Field(u32),
    /// An entry of the JSON in the field of this number.
    Entry(u32, String),
}

impl TarSet {
    /// The columns that any sample has: `class` of `.cls`, `text` of `.txt`, the other fields of numbers and text under
    /// their own names, then the plain entries of `.json`, and of `NAME.json` as `NAME.entry`.
    ///
    /// # Errors
    /// When a sample's JSON cannot be read.
    pub(super) fn find_columns(&self) -> Result<Vec<(String, Source)>> {
        let mut columns: Vec<(String, Source)> = Vec::new();
        let mut taken = HashSet::new();
        let mut add = |name: String, other: &dyn Fn() -> String, source| {
            let name = if taken.contains(&name) { other() } else { name };
            taken.insert(name.clone());
            columns.push((name, source));
        };
        let present: HashSet<u32> = self
            .samples
            .iter()
            .flat_map(|s| s.members.iter().map(|m| m.0))
            .collect();
        let mut fields: Vec<_> = self
            .fields
            .all()
            .filter(|(field, _)| present.contains(field))
            .collect();
        // The usual ones have their names first.
        fields.sort_by_key(|(_, name)| match *name {
            "cls" => 0,
            "txt" => 1,
            _ => 2,
        });
        let mut json = Vec::new();
        for (field, name) in fields {
            let column = match name {
                "cls" => "class",
                "txt" => "text",
                name => name,
            };
            match holds(name) {
                Holds::Number | Holds::Text => add(
                    column.to_string(),
                    &|| format!(".{name}"),
                    Source::Field(field),
                ),
                Holds::Json => json.push((field, name)),
                Holds::Image | Holds::Other => {}
            }
        }
        for (field, name) in json {
            let prefix = match name.rsplit_once('.') {
                Some((prefix, _)) => format!("{prefix}."),
                None => String::new(),
            };
            for entry in self.entries(field)? {
                let column = format!("{prefix}{entry}");
                add(
                    column,
                    &|| format!("{name}.{entry}"),
                    Source::Entry(field, entry.clone()),
                )
            }
        }
        Ok(columns)
    }

    /// The plain entries that the JSON in `field` has in any sample, in the order in which they are met.
    fn entries(&self, field: u32) -> Result<Vec<String>> {
        let plain = |sample: &Sample| -> Result<Vec<String>> {
            let entries = self.json(sample, field)?.unwrap_or_default().into_iter();
            let plain = |value: &Value| {
                value.is_string() || value.is_boolean() || value.is_i64() || value.is_u64()
            };
            Ok(entries
                .filter(|(_, value)| plain(value))
                .map(|(name, _)| name)
                .collect())
        };
        let all = self
            .samples
            .par_iter()
            .map(plain)
            .collect::<Result<Vec<_>>>()?;
        let mut seen = HashSet::new();
        let mut entries = Vec::new();
        for name in all.into_iter().flatten() {
            if seen.insert(name.clone()) {
                entries.push(name)
            }
        }
        Ok(entries)
    }

    /// The text in `field` of `sample`, without the byte order mark and blanks around it; none where it has no such field.
    pub(super) fn text(&self, sample: &Sample, field: u32) -> Result<Option<String>> {
        let Some(member) = sample.member(field) else {
            return Ok(None);
        };
        let name = self.fields.name(field);
        let wrong = |what| Error::data(self.place(sample), format!("its .{name} is {what}"));
        let text = utf8(self.member(sample, member)?).map_err(wrong)?;
        Ok(Some(text.trim().to_string()))
    }

    /// The JSON object in `field` of `sample`.
    pub(super) fn json(&self, sample: &Sample, field: u32) -> Result<Option<Map<String, Value>>> {
        let Some(text) = self.text(sample, field)? else {
            return Ok(None);
        };
        let wrong = |what: String| {
            let name = self.fields.name(field);
            Error::data(self.place(sample), format!("its .{name} is {what}"))
        };
        match serde_json::from_str(&text) {
            Ok(Value::Object(entries)) => Ok(Some(entries)),
            // Boxes, captions and the like: they hold no labels.
            Ok(_) => Ok(None),
            Err(error) => Err(wrong(format!("not JSON: {error}"))),
        }
    }

    /// The labels of all samples in the column that is read from `source`.
    pub(super) fn read(&self, column: &str, source: &Source) -> Result<Labels> {
        let value = |sample: &Sample| match source {
            Source::Field(field) => Ok(self.text(sample, *field)?.map(Value::String)),
            Source::Entry(field, name) => {
                let entries = self.json(sample, *field)?;
                let value = entries.and_then(|mut entries| entries.remove(name));
                Ok(value.filter(|value| !value.is_null()))
            }
        };
        let values = self
            .samples
            .par_iter()
            .map(value)
            .collect::<Result<Vec<_>>>()?;
        let missing: Vec<_> = (0..values.len()).filter(|&i| values[i].is_none()).collect();
        if let [first, others @ ..] = missing.as_slice() {
            return Err(self.unlabelled(column, source, *first, others));
        }
        let values: Vec<_> = values.into_iter().flatten().collect();
        let (field, strict) = match source {
            Source::Field(field) => (*field, self.fields.name(*field) == "cls"),
            Source::Entry(field, _) => (*field, false),
        };
        let number = |value: &Value| match (value, source) {
            (Value::Number(number), _) => number.to_string().parse::<i128>().ok(),
            // A field of numbers is text in the file.
            (Value::String(text), Source::Field(field))
                if holds(self.fields.name(*field)) == Holds::Number =>
            {
                text.parse().ok()
            }
            _ => None,
        };
        let numbers: Vec<_> = values.iter().map(number).collect();
        if let (true, Some(i)) = (strict, numbers.iter().position(Option::is_none)) {
            let (place, text) = (self.place(&self.samples[i]), name_of(&values[i]));
            let name = self.fields.name(field);
            let reason = format!(
                "its .{name} \"{text}\" is no number; write a class number there, or the name in a .txt"
            );
            return Err(Error::data(place, reason));
        }
        if numbers.iter().all(Option::is_some) {
            let numbers = numbers.into_iter().flatten().zip(&self.samples);
            let numbers =
                numbers.map(|(number, sample)| class_number(number, || self.place(sample)));
            return Ok(Labels::from_numbers(numbers.collect::<Result<_>>()?));
        }
        Ok(Labels::from_names(values.iter().map(name_of).collect()))
    }

    /// Sample `first` has no value in `column`, and so have `others`.
    fn unlabelled(&self, column: &str, source: &Source, first: usize, others: &[usize]) -> Error {
        let lacks = match source {
            Source::Field(field) => format!("it has no .{}", self.fields.name(*field)),
            Source::Entry(field, name) => {
                format!("its .{} has no \"{name}\"", self.fields.name(*field))
            }
        };
        let mut also: Vec<_> = others
            .iter()
            .take(3)
            .map(|&i| self.samples[i].key.as_str())
            .collect();
        if others.len() > also.len() {
            also.push("...")
        }
        let also = match also.len() {
            0 => String::new(),
            _ => format!(", nor have {} others ({})", others.len(), also.join(", ")),
        };
        let reason = format!(
            "{lacks}{also}, so \"{column}\" does not label all {} samples; write the shards again with it, or without them",
            self.samples.len()
        );
        Error::data(self.place(&self.samples[first]), reason)
    }
}

fn name_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
