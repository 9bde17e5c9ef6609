//! Files of training: what a run needs to go on, and the finished weights. Both are written beside their
//! place and moved there whole.

use crate::facts::{self, Facts};
use crate::files::write_whole;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// A run that was saved on the way.
pub struct Saved {
    pub parameters: BTreeMap<String, Tensor>,
    pub optimizer: BTreeMap<String, Tensor>,
    pub step: usize,
    pub seconds: f64,
}

facts::shows!(Saved, |it| Facts::new(format!(
    "training run saved after step {}",
    it.step
))
.row("parameters", it.parameters.len())
.row("seconds", facts::number(it.seconds)));

const PARAMETER: &str = "parameter/";
const OPTIMIZER: &str = "optimizer/";

/// Saves a run; `recipe` says what it is a run of.
pub fn save(path: &Path, recipe: &str, run: &Saved) -> Result<()> {
    let mut tensors = BTreeMap::new();
    for (prefix, part) in [(PARAMETER, &run.parameters), (OPTIMIZER, &run.optimizer)] {
        tensors.extend(
            part.iter()
                .map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())),
        );
    }
    let metadata = HashMap::from([
        ("recipe".to_string(), recipe.to_string()),
        ("step".to_string(), run.step.to_string()),
        ("seconds".to_string(), run.seconds.to_string()),
    ]);
    write_tensors(path, &tensors, metadata)
}

/// The run saved at `path`, if there is one and it is a run of `recipe`.
pub fn load(path: &Path, recipe: &str) -> Result<Option<Saved>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("reading the checkpoint", path, error)),
    };
    let broken = |error: &dyn std::fmt::Display| {
        Error::weights(
            path,
            format!("not a checkpoint ({error}); remove it to start anew"),
        )
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| broken(&error))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    if metadata.get("recipe").map(String::as_str) != Some(recipe) {
        return Ok(None);
    }
    let number = |key: &str| {
        metadata
            .get(key)
            .and_then(|text| text.parse::<f64>().ok())
            .ok_or_else(|| broken(&format!("no {key}")))
    };
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
    let part = |prefix: &str| {
        let strip = |(name, tensor): (&String, &Tensor)| {
            Some((name.strip_prefix(prefix)?.to_string(), tensor.clone()))
        };
        tensors.iter().filter_map(strip).collect()
    };
    Ok(Some(Saved {
        parameters: part(PARAMETER),
        optimizer: part(OPTIMIZER),
        step: number("step")? as usize,
        seconds: number("seconds")?,
    }))
}

/// Writes weights in half precision.
pub fn write_weights(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: HashMap<String, String>,
) -> Result<()> {
    let half =
        |(name, tensor): (&String, &Tensor)| Ok((name.clone(), tensor.to_dtype(DType::F16)?));
    let tensors = tensors.iter().map(half).collect::<Result<_>>()?;
    write_tensors(path, &tensors, metadata)
}

fn write_tensors(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: HashMap<String, String>,
) -> Result<()> {
    let bytes = safetensors::serialize(tensors, Some(metadata))
        .map_err(|error| Error::weights(path, error.to_string()))?;
    write_whole(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_comes_back_and_another_recipe_does_not() -> Result<()> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.safetensors");
        assert!(load(&path, "a")?.is_none());
        let tensor = Tensor::randn(0f32, 1., (3, 4), &Device::Cpu)?;
        let run = Saved {
            parameters: BTreeMap::from([("blocks.0".to_string(), tensor.clone())]),
            optimizer: BTreeMap::from([("blocks.0.m".to_string(), (&tensor * 2.)?)]),
            step: 17,
            seconds: 2.5,
        };
        save(&path, "a", &run)?;
        assert!(load(&path, "b")?.is_none());
        let back = load(&path, "a")?.expect("the run");
        assert_eq!((back.step, back.seconds), (17, 2.5));
        assert_eq!(
            back.parameters["blocks.0"].to_vec2::<f32>()?,
            tensor.to_vec2::<f32>()?
        );
        assert_eq!(back.optimizer.len(), 1);
        std::fs::write(&path, b"rubbish").expect("written");
        assert!(load(&path, "a").is_err());
        Ok(())
    }
}
