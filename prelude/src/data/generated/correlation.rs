//! The knob of the spurious correlation: a two-class task on one factor, two groups of values of
//! another, and the share of images in which they agree.

use super::factors::{Factor, Factors};
use crate::{Error, Result};
use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

/// Two named groups of values of one factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    pub factor: Factor,
    pub names: [String; 2],
    pub groups: [Vec<u32>; 2],
}

/// In a share `agreement` of the images the class (0 or 1) and the place (0 or 1) are the same; 0.5
/// makes them independent. Classes are equally frequent, and so are the values within a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactorCorrelation {
    pub agreement: f64,
    pub class: Split,
    pub place: Split,
}

impl FactorCorrelation {
    /// The task of the examples: rounded (circle, ring, heart) against angular (square, triangle,
    /// star) shapes, which keep to open (sea, desert, snow) and covered (forest, meadow, city) places.
    pub fn shape_and_location(agreement: f64) -> Self {
        let split = |factor, first: &str, second: &str| Split {
            factor,
            names: [first.to_string(), second.to_string()],
            groups: [vec![0, 1, 2], vec![3, 4, 5]],
        };
        Self {
            agreement,
            class: split(Factor::Shape, "rounded", "angular"),
            place: split(Factor::Location, "open", "covered"),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if !(0. ..=1.).contains(&self.agreement) {
            return Err(Error::argument(
                "agreement",
                self.agreement,
                "a share between 0 and 1",
            ));
        }
        if self.class.factor == self.place.factor {
            return Err(Error::argument(
                "place",
                self.place.factor.name(),
                "a factor other than the class's own",
            ));
        }
        for split in [&self.class, &self.place] {
            let mut values = split.groups.concat();
            let total = values.len();
            values.sort_unstable();
            values.dedup();
            let known = values.iter().all(|&v| (v as usize) < split.factor.count());
            if split.groups.iter().any(Vec::is_empty) || values.len() != total || !known {
                return Err(Error::argument(
                    "groups",
                    format!("{:?}", split.groups),
                    format!(
                        "two disjoint, non-empty groups of values of {} (0 to {})",
                        split.factor.name(),
                        split.factor.count() - 1
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Draws class and place, and then the two factors from their groups.
    pub(super) fn apply(&self, factors: &mut Factors, rng: &mut impl Rng) {
        let class = usize::from(rng.random_bool(0.5));
        let place = if rng.random_bool(self.agreement) {
            class
        } else {
            1 - class
        };
        for (split, group) in [(&self.class, class), (&self.place, place)] {
            if let Some(&value) = split.groups[group].choose(rng) {
                factors.set(split.factor, value);
            }
        }
    }
}

impl Split {
    /// Which of the two groups an image is in.
    pub fn group(&self, factors: &Factors) -> u32 {
        u32::from(self.groups[1].contains(&factors.get(self.factor)))
    }
}
