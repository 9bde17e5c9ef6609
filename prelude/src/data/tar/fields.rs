//! The fields of samples: what they are called, and which are read as what.

use crate::data::decode::EXTENSIONS;
use std::collections::HashMap;

/// All names of fields, numbered in the order in which they were met.
#[derive(Default)]
pub(super) struct Fields {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

/// What a field holds, by its ending, as WebDataset decodes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Image,
    Number,
    Text,
    Json,
    /// Something that is not read.
    Other,
}

impl Fields {
    /// The number of the field `name`, which is added where it is new.
    pub fn number(&mut self, name: String) -> u32 {
        if let Some(&number) = self.numbers.get(&name) {
            return number;
        }
        let number = self.names.len() as u32;
        self.numbers.insert(name.clone(), number);
        self.names.push(name);
        number
    }

    /// The number of the field `name`, if a sample has it.
    pub fn known(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    pub fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }

    /// All fields with their names.
    pub fn all(&self) -> impl Iterator<Item = (u32, &str)> {
        (0..).zip(self.names.iter().map(String::as_str))
    }
}

/// What the field `name` holds.
pub(super) fn holds(name: &str) -> Holds {
    match name.rsplit('.').next().unwrap_or_default() {
        ending if EXTENSIONS.contains(&ending) => Holds::Image,
        "cls" | "cls2" | "class" | "count" | "index" | "inx" | "id" => Holds::Number,
        "txt" | "text" | "transcript" => Holds::Text,
        "json" | "jsn" => Holds::Json,
        _ => Holds::Other,
    }
}
