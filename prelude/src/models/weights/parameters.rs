//! Fresh parameters for training: seeded, so that the same seed gives the same model.

use super::Precision;
use crate::facts::{self, Facts};
use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use rand::SeedableRng;
use rand_distr::{Distribution, Normal, Uniform};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A model's trainable parameters by name. Each is drawn from a stream of its own (seed and name), so the order in
/// which a model asks for them does not matter.
#[derive(Clone)]
pub struct Parameters {
    seed: u64,
    device: Device,
    variables: Arc<Mutex<BTreeMap<String, Var>>>,
}

facts::shows!(Parameters, |it| {
    let count = it
        .variables
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .len();
    Facts::new(format!(
        "{} drawn with seed {}",
        facts::count(count, "parameter"),
        it.seed
    ))
});

impl Parameters {
    /// No parameters yet; a model built with [`Self::builder`] makes them.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self {
            seed,
            device: device.clone(),
            variables: Arc::default(),
        }
    }

    /// Builds models whose tensors are these parameters.
    pub fn builder(&self) -> VarBuilder<'static> {
        let backend: Box<dyn SimpleBackend> = Box::new(self.clone());
        VarBuilder::from_backend(backend, DType::F32, self.device.clone())
    }

    /// Builds models of the same values that no training changes: nothing on the way of their forward passes is kept for a
    /// gradient, as with weights read from a file.
    pub fn constants(&self) -> VarBuilder<'static> {
        self.constants_in(Precision::F32)
    }

    /// As [`Self::constants`], for models that take their large products in `precision`.
    pub fn constants_in(&self, precision: Precision) -> VarBuilder<'static> {
        let backend: Box<dyn SimpleBackend> = Box::new(Constants(self.clone(), precision));
        VarBuilder::from_backend(backend, DType::F32, self.device.clone())
    }

    /// The parameters by name.
    pub fn variables(&self) -> BTreeMap<String, Var> {
        let variables = self
            .variables
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        variables.clone()
    }

    fn draw(&self, shape: &Shape, name: &str, init: Init) -> Result<Vec<f32>> {
        let count = shape.elem_count();
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&self.seed.to_le_bytes())
            .update(name.as_bytes());
        let mut rng = rand_chacha::ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
        let bad =
            |e: &dyn std::fmt::Display| candle_core::Error::Msg(format!("init of {name}: {e}"));
        Ok(match init {
            Init::Const(value) => vec![value as f32; count],
            Init::Randn { mean, stdev } => {
                let normal = Normal::new(mean as f32, stdev as f32).map_err(|e| bad(&e))?;
                normal.sample_iter(&mut rng).take(count).collect()
            }
            Init::Uniform { lo, up } => {
                let uniform = Uniform::new(lo as f32, up as f32).map_err(|e| bad(&e))?;
                uniform.sample_iter(&mut rng).take(count).collect()
            }
            Init::Kaiming { .. } => return Err(bad(&"not used by the models here")),
        })
    }
}

impl SimpleBackend for Parameters {
    fn get(&self, s: Shape, name: &str, h: Init, dtype: DType, dev: &Device) -> Result<Tensor> {
        if let Some(var) = self.variables().get(name) {
            return Ok(var.as_tensor().clone());
        }
        let values = self.draw(&s, name, h)?;
        let var = Var::from_tensor(&Tensor::from_vec(values, s, dev)?.to_dtype(dtype)?)?;
        let tensor = var.as_tensor().clone();
        let mut variables = self
            .variables
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        variables.insert(name.to_string(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        match self.variables().get(name) {
            Some(var) => Ok(var.as_tensor().clone()),
            None => candle_core::bail!("no parameter {name}"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.variables().contains_key(name)
    }
}

/// The values of parameters, without the parameters.
struct Constants(Parameters, Precision);

impl SimpleBackend for Constants {
    fn get(&self, s: Shape, name: &str, h: Init, dtype: DType, dev: &Device) -> Result<Tensor> {
        let dtype = match dtype {
            DType::F32 => self.1.of(name),
            _ => dtype,
        };
        match self.0.variables().get(name) {
            Some(var) => var.as_detached_tensor().to_dtype(dtype),
            None => Tensor::from_vec(self.0.draw(&s, name, h)?, s, dev)?.to_dtype(dtype),
        }
    }

    fn get_unchecked(&self, name: &str, dtype: DType, dev: &Device) -> Result<Tensor> {
        self.0.get_unchecked(name, dtype, dev).map(|t| t.detach())
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains_tensor(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_the_parameters_without_a_gradient() -> Result<()> {
        let parameters = Parameters::new(3, &Device::Cpu);
        let init = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        // Before there is a parameter of that name, and after.
        let first = parameters.constants().get_with_hints((2, 3), "w", init)?;
        let variable = parameters.builder().get_with_hints((2, 3), "w", init)?;
        let second = parameters.constants().get_with_hints((2, 3), "w", init)?;
        assert!(variable.track_op());
        for constant in [first, second] {
            assert!(!constant.track_op());
            assert_eq!(constant.to_vec2::<f32>()?, variable.to_vec2::<f32>()?);
        }
        Ok(())
    }
}
