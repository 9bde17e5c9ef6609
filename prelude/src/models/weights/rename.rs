//! A checkpoint under the house's names.

use super::Checkpoint;
use super::keys::{Naming, QV_BIAS, Reshape, Turned};
use super::read::Odd;
use crate::{Error, Result};
use candle_core::Tensor;
use std::collections::BTreeMap;

/// Query, key and value of one layer, as far as the file has them.
type Thirds = [Option<Tensor>; 3];

/// Keys that a message lists.
const SHOWN: usize = 5;

/// The first few of `keys`, and how many more there are.
fn listed(keys: &[String]) -> String {
    let (shown, more) = keys.split_at(keys.len().min(SHOWN));
    match more.len() {
        0 => shown.join(", "),
        n => format!("{} and {n} tensors more", shown.join(", ")),
    }
}

/// Whether a tensor of this name is a parameter, rather than a counter or mask that was saved along.
fn is_weight(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let parameters = [
        "weight",
        "bias",
        "gamma",
        "pos_embed",
        "cls_token",
        "reg_token",
        "relative_position_bias_table",
        "positional_embedding",
        "logit_scale",
    ];
    parameters.contains(&last)
}

impl Checkpoint {
    /// Turn the names of a known format into the house's; other files stay as they are. What is missing of a layer
    /// or not known is listed when a model is built.
    ///
    /// # Errors
    /// When the model is of a kind that is not built, a tensor has not the rank its name says, or numbers of a weight
    /// are NaN or infinite.
    pub fn renamed(self) -> Result<Self> {
        let mut this = self.unwrapped()?;
        this.set_aside_integers();
        let naming = this.naming.clone();
        let class_has_position = naming.class_has_position(|key| this.shape(key).is_some());
        this.refuse_odd(&naming)?;
        this.name_tensors(&naming)?;
        if class_has_position {
            this.move_class_position()?
        }
        Ok(this)
    }

    /// Integers are no weights, whatever they are called.
    fn set_aside_integers(&mut self) {
        let odd = self.tensors.iter();
        let odd = odd.filter(|(_, tensor)| !tensor.dtype().is_float());
        let odd: Vec<_> = odd
            .map(|(key, tensor)| (key.clone(), tensor.dtype().as_str()))
            .collect();
        for (key, kind) in odd {
            self.tensors.remove(&key);
            self.odd.insert(key, Odd::Kind(kind.into()));
        }
    }

    /// Tensors that are no weights: those that a model is made of, by their names, are refused, and others are left
    /// out, which is said.
    ///
    /// # Errors
    /// When there are such weights, or something is wrong with one of the model's tensors.
    fn refuse_odd(&mut self, naming: &Naming) -> Result<()> {
        let mut weights = Vec::new();
        for (key, odd) in std::mem::take(&mut self.odd) {
            let file = naming.in_file(&key);
            let turned = naming.to_house(&key);
            match (turned, odd) {
                (Turned::Ignored | Turned::Refused(_), _) => {}
                (Turned::Into(..), Odd::Broken(why)) => {
                    return Err(Error::weights(&self.path, format!("\"{file}\": {why}")));
                }
                (Turned::Into(name, _), Odd::Kind(kind)) if is_weight(&name) => {
                    weights.push(format!("{file} ({kind})"))
                }
                (_, Odd::Kind(kind)) => self.assume(format!(
                    "\"{file}\" is left out: it is of {kind}, which weights are not made of"
                )),
                (Turned::Unknown, Odd::Broken(why)) => {
                    self.assume(format!("\"{file}\" is left out: {why}"))
                }
            }
        }
        if weights.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "weights are floating-point numbers, and these are not: {}; save the model as it was before it was quantised",
            listed(&weights)
        );
        Err(Error::weights(&self.path, reason))
    }

    fn name_tensors(&mut self, naming: &Naming) -> Result<()> {
        let mut nonfinite = Vec::new();
        let mut thirds: BTreeMap<String, Thirds> = BTreeMap::new();
        for (key, tensor) in std::mem::take(&mut self.tensors) {
            let file = naming.in_file(&key);
            let (name, reshape) = match naming.to_house(&key) {
                Turned::Into(name, reshape) => (name, reshape),
                Turned::Ignored => continue,
                Turned::Refused(why) => {
                    return Err(Error::weights(
                        &self.path,
                        format!("it has \"{file}\": {why}"),
                    ));
                }
                Turned::Unknown => {
                    self.faults.push(format!("not part of the model: {file}"));
                    continue;
                }
            };
            let dims = tensor.dims().to_vec();
            if let Some(count) = self.nonfinite.get(&key) {
                nonfinite.push(format!("{file} ({count} of {})", tensor.elem_count()))
            }
            let Some(tensor) = reshape.apply(tensor)? else {
                let format = naming.format.name;
                let reason = format!("\"{file}\" has shape {dims:?}, not {format}'s");
                return Err(Error::weights(&self.path, reason));
            };
            if let Reshape::Third(n) = reshape {
                thirds.entry(name).or_default()[n] = Some(tensor)
            } else if self.tensors.insert(name, tensor).is_some() {
                self.faults
                    .push(format!("twice, under another name: {file}"))
            }
        }
        if !nonfinite.is_empty() {
            return Err(self.not_finite(&nonfinite));
        }
        for (name, parts) in thirds {
            self.join(name, parts)?
        }
        Ok(())
    }

    /// Weights that no training has left, by their keys.
    fn not_finite(&self, keys: &[String]) -> Error {
        let reason = format!(
            "NaN or infinity in {}; the training diverged, or numbers overflowed when they were saved in fewer bits: take an earlier checkpoint, or one in float32",
            listed(keys)
        );
        Error::weights(&self.path, reason)
    }

    /// Stack query, key and value.
    fn join(&mut self, name: String, mut parts: Thirds) -> Result<()> {
        let keys = self.naming.to_file(&name);
        if let (true, [Some(query), key @ None, Some(_)]) =
            (self.naming.format.name == QV_BIAS.name, &mut parts)
        {
            *key = Some(query.zeros_like()?)
        }
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
