//! Channel maps as a table of steps, which a file can hold.

use super::{ChannelMap, Step};
use crate::{Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// One step of a channel map, and the step that follows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MapStep {
    #[serde(flatten)]
    kind: StepKind,
    /// The place of the next step in the table; none where the target is reached.
    then: Option<usize>,
}

/// What a step does to a row of channels `x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
enum StepKind {
    /// `x W^T`, where `W` is array number `array`.
    Dense { array: usize },
    /// `gamma * x`, where `gamma` is array number `array`.
    Diagonal { array: usize },
    /// `x - mean(x)`.
    Centre,
    /// So many rows put side by side.
    Merge { rows: usize },
}

/// The steps of several maps. Maps share their ends (every layer passes the last norm), and so does the table.
#[derive(Debug, Default)]
pub(crate) struct MapSteps {
    /// A step comes after the one that follows it.
    steps: Vec<MapStep>,
    arrays: Vec<Tensor>,
    /// The place of each step that is in the table, by its address.
    known: HashMap<usize, usize>,
}

impl MapSteps {
    /// Puts `map` in; the place of its first step, none for the identity.
    pub fn add(&mut self, map: &ChannelMap) -> Option<usize> {
        let node = map.0.as_ref()?;
        let address = Arc::as_ptr(node) as usize;
        if let Some(&place) = self.known.get(&address) {
            return Some(place);
        }
        let then = self.add(&node.1);
        let mut array = |t: &Tensor| {
            self.arrays.push(t.clone());
            self.arrays.len() - 1
        };
        let kind = match &node.0 {
            Step::Dense(weight) => StepKind::Dense {
                array: array(weight),
            },
            Step::Diagonal(gamma) => StepKind::Diagonal {
                array: array(gamma),
            },
            Step::Centre => StepKind::Centre,
            Step::Merge(rows) => StepKind::Merge { rows: *rows },
        };
        self.steps.push(MapStep { kind, then });
        self.known.insert(address, self.steps.len() - 1);
        Some(self.steps.len() - 1)
    }

    /// The table, and its arrays.
    pub fn into_parts(self) -> (Vec<MapStep>, Vec<Tensor>) {
        (self.steps, self.arrays)
    }
}

impl MapStep {
    /// The maps that begin at each of `steps`.
    ///
    /// # Errors
    /// When a step names an array or a step before which it does not stand.
    pub fn maps(steps: &[Self], arrays: &[Tensor]) -> Result<Vec<ChannelMap>> {
        let mut maps: Vec<ChannelMap> = Vec::with_capacity(steps.len());
        for step in steps {
            let array = |i: usize| {
                let found = arrays.get(i).cloned();
                found.ok_or_else(|| Error::trace(format!("channel maps have no array {i}")))
            };
            let rest = match step.then {
                None => ChannelMap::default(),
                Some(i) => maps.get(i).cloned().ok_or_else(|| {
                    Error::trace(format!(
                        "step {} of channel maps names step {i}",
                        maps.len()
                    ))
                })?,
            };
            maps.push(rest.push(match step.kind {
                StepKind::Dense { array: i } => Step::Dense(array(i)?),
                StepKind::Diagonal { array: i } => Step::Diagonal(array(i)?),
                StepKind::Centre => Step::Centre,
                StepKind::Merge { rows } => Step::Merge(rows),
            }));
        }
        Ok(maps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn maps_come_back_and_share_their_ends() -> Result<()> {
        let random = |shape: &[usize]| Tensor::randn(0f32, 1., shape, &Device::Cpu);
        let end = ChannelMap::default()
            .after_dense(&random(&[3, 8])?)
            .after_centring();
        let maps = [
            end.after_diagonal(&random(&[8])?)
                .after_dense(&random(&[8, 4])?),
            end.after_dense(&random(&[8, 4])?).after_merge(2),
            ChannelMap::default(),
        ];
        let mut table = MapSteps::default();
        let places: Vec<_> = maps.iter().map(|map| table.add(map)).collect();
        assert_eq!(places, [Some(3), Some(5), None]);
        let (steps, arrays) = table.into_parts();
        assert_eq!((steps.len(), arrays.len()), (6, 4));
        let text = serde_json::to_string(&steps).map_err(|e| Error::trace(e.to_string()))?;
        let steps: Vec<MapStep> =
            serde_json::from_str(&text).map_err(|e| Error::trace(e.to_string()))?;
        let found = MapStep::maps(&steps, &arrays)?;
        let x = [random(&[6, 4])?, random(&[6, 2])?];
        for (i, x) in x.iter().enumerate() {
            let (a, b) = (maps[i].apply(x)?, found[places[i].unwrap()].apply(x)?);
            assert_eq!(a.to_vec2::<f32>()?, b.to_vec2::<f32>()?);
        }
        assert!(MapStep::maps(&steps[1..], &arrays).is_err());
        assert!(MapStep::maps(&steps, &arrays[1..]).is_err());
        Ok(())
    }
}
