//! A checkpoint under the house's names.

use super::Checkpoint;
use super::keys::{Naming, Reshape, Turned};
use crate::{Error, Result};
use candle_core::Tensor;
use std::collections::BTreeMap;

/// Query, key and value of one layer, as far as the file has them.
type Thirds = [Option<Tensor>; 3];

impl Checkpoint {
    /// Turn the names of a known format into the house's; other files stay as they are. What is missing of a layer
    /// or not known is listed when a model is built.
    ///
    /// # Errors
    /// When the model is of a kind that is not built, or a tensor has not the rank its name says.
    pub fn renamed(mut self) -> Result<Self> {
        let naming = Naming::of(|key| self.shape(key).is_some());
        let class_has_position = naming.class_has_position(|key| self.shape(key).is_some());
        self.naming = naming;
        let mut thirds: BTreeMap<String, Thirds> = BTreeMap::new();
        for (key, tensor) in std::mem::take(&mut self.tensors) {
            let (name, reshape) = match naming.to_house(&key) {
                Turned::Into(name, reshape) => (name, reshape),
                Turned::Ignored => continue,
                Turned::Refused(why) => {
                    return Err(Error::weights(
                        &self.path,
                        format!("it has \"{key}\": {why}"),
                    ));
                }
                Turned::Unknown => {
                    self.faults.push(format!("not part of the model: {key}"));
                    continue;
                }
            };
            let dims = tensor.dims().to_vec();
            let Some(tensor) = reshape.apply(tensor)? else {
                let format = naming.format.name;
                let reason = format!("\"{key}\" has shape {dims:?}, not {format}'s");
                return Err(Error::weights(&self.path, reason));
            };
            if let Reshape::Third(n) = reshape {
                thirds.entry(name).or_default()[n] = Some(tensor)
            } else if self.tensors.insert(name, tensor).is_some() {
                self.faults
                    .push(format!("twice, under another name: {key}"))
            }
        }
        for (name, parts) in thirds {
            self.join(name, parts)?
        }
        if class_has_position {
            self.move_class_position()?
        }
        Ok(self)
    }

    /// Stack query, key and value.
    fn join(&mut self, name: String, parts: Thirds) -> Result<()> {
        let keys = self.naming.to_file(&name);
        let shapes: Vec<_> = parts.iter().flatten().map(Tensor::dims).collect();
        let first = shapes[0];
        if let Some(odd) = parts
            .iter()
            .position(|part| part.as_ref().is_some_and(|p| p.dims() != first))
        {
            let dims = parts[odd].as_ref().map(Tensor::dims);
            let text = format!(
                "shape of {}: {:?}, others of its layer have {first:?}",
                keys[odd].0,
                dims.unwrap_or(&[])
            );
            self.faults.push(text);
            self.excused.insert(name);
            return Ok(());
        }
        let missing: Vec<_> = (keys.iter().zip(&parts))
            .filter(|(_, part)| part.is_none())
            .map(|((key, _), _)| format!("missing: {key} {first:?}"))
            .collect();
        if missing.is_empty() {
            let parts: Vec<_> = parts.into_iter().flatten().collect();
            self.tensors.insert(name, Tensor::cat(&parts, 0)?);
        } else {
            self.faults.extend(missing);
            self.excused.insert(name);
        }
        Ok(())
    }

    /// Add the class token's position to the token, as timm does for models with registers, where only patches have
    /// positions.
    fn move_class_position(&mut self) -> Result<()> {
        let (Some(class), Some(positions)) =
            (self.tensors.get("cls_token"), self.tensors.get("pos_embed"))
        else {
            return Ok(());
        };
        let (&[1, 1, width], &[1, count, also]) = (class.dims(), positions.dims()) else {
            return Ok(());
        };
        if width != also || count < 2 {
            return Ok(());
        }
        let class = (class + positions.narrow(1, 0, 1)?)?;
        let patches = positions.narrow(1, 1, count - 1)?.contiguous()?;
        self.tensors.insert("cls_token".into(), class);
        self.tensors.insert("pos_embed".into(), patches);
        Ok(())
    }
}
