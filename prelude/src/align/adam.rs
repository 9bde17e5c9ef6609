//! Adam with PyTorch's L2 weight decay (`torch.optim.Adam`), one fused pass a moment on the CPU.

use candle_core::{CpuStorage, InplaceOp3, Layout, Tensor};
use rayon::prelude::*;

use crate::Result;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPS: f32 = 1e-8;
/// Elements a rayon task works on: enough to hide the cost of a task, little enough for the L2 cache.
const CHUNK: usize = 1 << 15;

/// Learning rate and L2 penalty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub learning_rate: f64,
    pub weight_decay: f64,
}

/// One parameter with its two running moments.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub value: Tensor,
    pub first: Tensor,
    pub second: Tensor,
}

impl Parameter {
    /// A parameter starting at a private copy of `value`, moments at zero.
    pub fn new(value: &Tensor) -> Result<Self> {
        Ok(Self {
            value: value.contiguous()?.copy()?,
            first: value.zeros_like()?.contiguous()?,
            second: value.zeros_like()?.contiguous()?,
        })
    }

    /// Step number `step` (from 1) against `grad`.
    pub fn step(&mut self, grad: &Tensor, rate: Rate, step: usize) -> Result<()> {
        match self.value.device().is_cpu() {
            true => self.step_fused(grad, rate, step),
            false => self.step_plain(grad, rate, step),
        }
    }

    fn step_fused(&mut self, grad: &Tensor, rate: Rate, step: usize) -> Result<()> {
        let (scale, root) = corrections(rate, step);
        let grad = grad.contiguous()?;
        let decay = rate.weight_decay as f32;
        let first = Fused::First { decay };
        self.first.inplace_op3(&grad, &self.value, &first)?;
        let second = Fused::Second { decay };
        self.second.inplace_op3(&grad, &self.value, &second)?;
        let update = Fused::Value {
            scale: scale as f32,
            root: root as f32,
        };
        self.value.inplace_op3(&self.first, &self.second, &update)?;
        Ok(())
    }

    /// The step in tensor operations, which every device has.
    fn step_plain(&mut self, grad: &Tensor, rate: Rate, step: usize) -> Result<()> {
        let (scale, root) = corrections(rate, step);
        let grad = (grad + (&self.value * rate.weight_decay)?)?;
        let average = |old: &Tensor, new: &Tensor, beta: f32| {
            (old * f64::from(beta))? + (new * f64::from(1.0 - beta))?
        };
        self.first = average(&self.first, &grad, BETA1)?;
        self.second = average(&self.second, &grad.sqr()?, BETA2)?;
        let denominator = ((self.second.sqrt()? / root)? + f64::from(EPS))?;
        self.value = (&self.value - ((&self.first / denominator)? * scale)?)?;
        Ok(())
    }
}

/// Step length and root of the second moment's weight, both corrected for the moments' start at zero.
fn corrections(rate: Rate, step: usize) -> (f64, f64) {
    let weight = |beta: f32| 1.0 - f64::from(beta).powi(step as i32);
    (rate.learning_rate / weight(BETA1), weight(BETA2).sqrt())
}

/// The three passes of a step. Plain tensor operations would take ten, each with a temporary as large as
/// the weights.
enum Fused {
    /// first, gradient, value
    First { decay: f32 },
    /// second, gradient, value
    Second { decay: f32 },
    /// value, first, second
    Value { scale: f32, root: f32 },
}

impl InplaceOp3 for Fused {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        s1: &mut CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> candle_core::Result<()> {
        let CpuStorage::F32(target) = s1 else {
            candle_core::bail!("adam: weights must be f32");
        };
        let (Some((t0, t1)), Some((a0, a1)), Some((b0, b1))) = (
            l1.contiguous_offsets(),
            l2.contiguous_offsets(),
            l3.contiguous_offsets(),
        ) else {
            candle_core::bail!("adam: weights and gradients must be contiguous");
        };
        let a = &s2.as_slice::<f32>()?[a0..a1];
        let b = &s3.as_slice::<f32>()?[b0..b1];
        target[t0..t1]
            .par_chunks_mut(CHUNK)
            .zip(a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK)))
            .for_each(|(t, (a, b))| self.chunk(t, a, b));
        Ok(())
    }
}

impl Fused {
    fn chunk(&self, target: &mut [f32], a: &[f32], b: &[f32]) {
        let triples = target.iter_mut().zip(a.iter().zip(b));
        match *self {
            Fused::First { decay } => {
                for (m, (g, w)) in triples {
                    *m = BETA1 * *m + (1.0 - BETA1) * (g + decay * w);
                }
            }
            Fused::Second { decay } => {
                for (v, (g, w)) in triples {
                    let g = g + decay * w;
                    *v = BETA2 * *v + (1.0 - BETA2) * g * g;
                }
            }
            Fused::Value { scale, root } => {
                for (w, (m, v)) in triples {
                    *w -= scale * m / (v.sqrt() / root + EPS);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn both_ways_step_alike() -> Result<()> {
        let values: Vec<f32> = (0..70_000).map(|i| (i as f32 * 0.37).sin()).collect();
        let start = Tensor::from_vec(values, (700, 100), &Device::Cpu)?;
        let rate = Rate {
            learning_rate: 1e-2,
            weight_decay: 1e-2,
        };
        let (mut a, mut b) = (Parameter::new(&start)?, Parameter::new(&start)?);
        for step in 1..=5 {
            let grad = (a.value.cos()? * 0.3)?;
            a.step_fused(&grad, rate, step)?;
            b.step_plain(&grad, rate, step)?;
        }
        let most = |t: Tensor| -> Result<f32> { Ok(t.abs()?.max_all()?.to_scalar()?) };
        assert!(most((&a.value - &b.value)?)? < 1e-6);
        // Adam's first steps are as long as the rate.
        let moved = most((&a.value - start)?)?;
        assert!((0.02..0.06).contains(&moved), "{moved}");
        Ok(())
    }
}
