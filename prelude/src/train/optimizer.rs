//! Muon for the matrices of the blocks, AdamW for everything else.
//!
//! Muon ("Muon: An optimizer for hidden layers in neural networks", Jordan et al. 2024) takes the
//! momentum's nearest semi-orthogonal matrix as the step. With the scale of "Muon is Scalable for LLM
//! Training" (Liu et al. 2025) both share one learning rate and weight decay.

use crate::Result;
use crate::facts::{self, Facts};
use candle_core::{D, Tensor, Var};
use std::collections::BTreeMap;

const MOMENTUM: f64 = 0.95;
const BETAS: (f64, f64) = (0.9, 0.98);
const EPS: f64 = 1e-8;
const WEIGHT_DECAY: f64 = 0.02;
/// Root mean square of an AdamW step, which Muon's is scaled to.
const RMS: f64 = 0.2;

/// Gradients by the name of their parameter.
pub type Gradients = BTreeMap<String, Tensor>;

/// The state of every parameter's optimiser.
pub struct Optimizer {
    parameters: BTreeMap<String, Var>,
    /// `<name>.m` and, for AdamW, `<name>.v`.
    state: BTreeMap<String, Tensor>,
    step: usize,
}

facts::shows!(Optimizer, |it| Facts::new(format!(
    "optimiser after step {}",
    it.step
))
.row("parameters", it.parameters.len()));

impl Optimizer {
    /// An optimiser of `parameters` that has not made a step yet.
    pub fn new(parameters: BTreeMap<String, Var>) -> Self {
        Self {
            parameters,
            state: BTreeMap::new(),
            step: 0,
        }
    }

    /// Goes on from what [`Self::state`] gave after `step` steps.
    pub fn resume(&mut self, state: BTreeMap<String, Tensor>, step: usize) {
        self.state = state;
        self.step = step;
    }

    /// Moments by parameter name, for a checkpoint.
    pub fn state(&self) -> &BTreeMap<String, Tensor> {
        &self.state
    }

    /// One step down `gradients`, rescaled where their norm exceeds `clip`. Returns that norm.
    pub fn step(&mut self, mut gradients: Gradients, rate: f64, clip: f64) -> Result<f64> {
        self.step += 1;
        let norm = norm(&gradients)?;
        if norm > clip {
            for gradient in gradients.values_mut() {
                *gradient = (&*gradient * (clip / norm))?;
            }
        }
        for (name, gradient) in gradients {
            let Some(var) = self.parameters.get(&name).cloned() else {
                continue;
            };
            let update = if is_muon(&name, &var) {
                let matrix = gradient.flatten_from(1)?;
                self.muon(&name, &matrix)?.reshape(var.shape())?
            } else {
                self.adam(&name, &gradient)?
            };
            let decay = if var.rank() >= 2 {
                1. - rate * WEIGHT_DECAY
            } else {
                1.
            };
            var.set(&((var.as_tensor() * decay)? - (update * rate)?)?)?;
        }
        Ok(norm)
    }

    fn muon(&mut self, name: &str, gradient: &Tensor) -> Result<Tensor> {
        let momentum = self.average(name, "m", gradient, MOMENTUM)?;
        let ahead = ((gradient * (1. - MOMENTUM))? + (&momentum * MOMENTUM)?)?;
        let longest = ahead.dims().iter().copied().max().unwrap_or(1);
        Ok((orthogonal(&ahead)? * (RMS * (longest as f64).sqrt()))?)
    }

    fn adam(&mut self, name: &str, gradient: &Tensor) -> Result<Tensor> {
        let first = self.average(name, "m", gradient, BETAS.0)?;
        let second = self.average(name, "v", &gradient.sqr()?, BETAS.1)?;
        let unbiased = |beta: f64| 1. / (1. - beta.powi(self.step as i32));
        let root = ((second * unbiased(BETAS.1))?.sqrt()? + EPS)?;
        Ok(((first * unbiased(BETAS.0))? / root)?)
    }

    /// Moves the running average `kind` of a parameter towards `value`.
    fn average(&mut self, name: &str, kind: &str, value: &Tensor, beta: f64) -> Result<Tensor> {
        let key = format!("{name}.{kind}");
        let share = (value * (1. - beta))?;
        let moved = match self.state.get(&key) {
            Some(old) => ((old * beta)? + share)?,
            None => share,
        };
        self.state.insert(key, moved.clone());
        Ok(moved)
    }
}

/// The weight matrices inside blocks, convolutions with a kernel of one pixel among them.
fn is_muon(name: &str, var: &Var) -> bool {
    let matrix = matches!(var.dims(), [_, _] | [_, _, 1, 1]);
    matrix && name.contains("blocks.") && name.ends_with(".weight")
}

fn norm(gradients: &Gradients) -> Result<f64> {
    let mut sum = 0.;
    for gradient in gradients.values() {
        sum += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
    }
    Ok(sum.sqrt())
}

/// The semi-orthogonal matrix near `matrix`: all singular values between about 0.7 and 1.2, by five
/// steps of the quintic Newton-Schulz iteration.
fn orthogonal(matrix: &Tensor) -> Result<Tensor> {
    let tall = matrix.dim(0)? > matrix.dim(1)?;
    let mut x = if tall {
        matrix.t()?.contiguous()?
    } else {
        matrix.clone()
    };
    let size = x.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt();
    x = (x / (f64::from(size) + 1e-12))?;
    for _ in 0..5 {
        let gram = x.matmul(&x.t()?)?;
        let poly = ((&gram * -4.7750)? + (gram.matmul(&gram)? * 2.0315)?)?;
        x = ((&x * 3.4445)? + poly.matmul(&x)?)?;
    }
    if tall {
        Ok(x.transpose(D::Minus2, D::Minus1)?.contiguous()?)
    } else {
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn newton_schulz_makes_singular_values_equal() -> Result<()> {
        let matrix = Tensor::randn(0f32, 1., (24, 60), &Device::Cpu)?;
        for matrix in [matrix.clone(), matrix.t()?.contiguous()?] {
            let near = orthogonal(&matrix)?;
            assert_eq!(near.dims(), matrix.dims());
            let near = if near.dim(0)? > near.dim(1)? {
                near.t()?.contiguous()?
            } else {
                near
            };
            let gram = near.matmul(&near.t()?)?.to_vec2::<f32>()?;
            for (i, row) in gram.iter().enumerate() {
                for (j, value) in row.iter().enumerate() {
                    let expected = if i == j { 0.8..1.35 } else { -0.4..0.4 };
                    let wide = if i == j { 0.4..1.6 } else { expected };
                    assert!(wide.contains(value), "{i} {j}: {value}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn both_optimisers_find_a_minimum_and_resume() -> Result<()> {
        let device = Device::Cpu;
        // The same at every run: how near Muon comes depends on the target.
        let target = (Tensor::arange(0f32, 48., &device)? * 1.7)?
            .sin()?
            .reshape((6, 8))?;
        let names = ["blocks.0.weight", "bias"];
        let vars = || -> Result<BTreeMap<_, _>> {
            names
                .iter()
                .map(|name| {
                    Ok((
                        name.to_string(),
                        Var::zeros((6, 8), candle_core::DType::F32, &device)?,
                    ))
                })
                .collect()
        };
        let distance = |vars: &BTreeMap<String, Var>, name: &str| -> Result<f32> {
            Ok((vars[name].as_tensor() - &target)?
                .abs()?
                .mean_all()?
                .to_scalar::<f32>()?)
        };
        let gradients = |vars: &BTreeMap<String, Var>| -> Result<Gradients> {
            vars.iter()
                .map(|(name, var)| Ok((name.clone(), (var.as_tensor() - &target)?)))
                .collect()
        };
        let (whole, broken) = (vars()?, vars()?);
        let mut optimizer = Optimizer::new(whole.clone());
        let mut resumed = Optimizer::new(broken.clone());
        for step in 0..200 {
            let rate = 0.1 * (1. - step as f64 / 200.);
            optimizer.step(gradients(&whole)?, rate, 100.)?;
            if step == 120 {
                let state = resumed.state().clone();
                resumed = Optimizer::new(broken.clone());
                resumed.resume(state, step);
            }
            resumed.step(gradients(&broken)?, rate, 100.)?;
        }
        for name in names {
            assert!(
                distance(&whole, name)? < 0.1,
                "{name}: {}",
                distance(&whole, name)?
            );
            assert_eq!(
                whole[name].to_vec2::<f32>()?,
                broken[name].to_vec2::<f32>()?
            );
        }
        Ok(())
    }
}
