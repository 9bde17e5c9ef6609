//! What varies in a generated image, and what each value is called.

use rand::Rng;
use serde::{Deserialize, Serialize};

/// One thing that varies from image to image. Its value is an index into [`Factor::names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Factor {
    Shape,
    Colour,
    Pattern,
    Location,
    Size,
    Position,
}

impl Factor {
    /// Every factor, in the order of [`Factors`].
    pub const ALL: [Self; 6] = [
        Self::Shape,
        Self::Colour,
        Self::Pattern,
        Self::Location,
        Self::Size,
        Self::Position,
    ];

    /// The factor's own name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shape => "shape",
            Self::Colour => "colour",
            Self::Pattern => "pattern",
            Self::Location => "location",
            Self::Size => "size",
            Self::Position => "position",
        }
    }

    /// The factor called `name`, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|factor| factor.name() == name)
    }

    /// The names of its values.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Shape => &["circle", "ring", "heart", "square", "triangle", "star"],
            Self::Colour => &["red", "yellow", "green", "blue", "purple", "white"],
            Self::Pattern => &["solid", "striped", "dotted", "checked"],
            Self::Location => &["sea", "desert", "snow", "forest", "meadow", "city"],
            Self::Size => &["small", "large"],
            Self::Position => &[
                "top left",
                "top",
                "top right",
                "left",
                "middle",
                "right",
                "bottom left",
                "bottom",
                "bottom right",
            ],
        }
    }

    /// How many values it takes.
    pub fn count(self) -> usize {
        self.names().len()
    }
}

/// The value of every factor of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factors([u32; Factor::ALL.len()]);

impl Factors {
    /// Every factor uniform and independent of the others.
    pub(super) fn uniform(rng: &mut impl Rng) -> Self {
        Self(Factor::ALL.map(|factor| rng.random_range(0..factor.count() as u32)))
    }

    /// The value of `factor`.
    pub fn get(&self, factor: Factor) -> u32 {
        self.0[factor as usize]
    }

    /// The name of the value of `factor`.
    pub fn value_name(&self, factor: Factor) -> &'static str {
        factor.names()[self.get(factor) as usize]
    }

    pub(super) fn set(&mut self, factor: Factor, value: u32) {
        self.0[factor as usize] = value;
    }
}
