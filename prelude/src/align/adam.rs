//! Adam with PyTorch's L2 weight decay (`torch.optim.Adam`), one fused pass on the CPU.

use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor};
use rayon::prelude::*;

use crate::Result;
use crate::ops::vectorised;

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

/// One parameter with its two running moments: first moment, second moment and value in one tensor, so that one pass over
/// memory advances all three. It cannot be cloned: both would be advanced in the same place.
#[derive(Debug)]
pub(crate) struct Parameter {
    all: Tensor,
    /// Views of `all` in the parameter's shape.
    first: Tensor,
    second: Tensor,
    value: Tensor,
}

impl Parameter {
    /// A parameter starting at a private copy of `value`, moments at zero.
    pub fn new(value: &Tensor) -> Result<Self> {
        let zeros = value.zeros_like()?;
        Self::resumed(&zeros, &zeros, value)
    }

    /// A parameter whose moments and value are these, which are copied.
    pub fn resumed(first: &Tensor, second: &Tensor, value: &Tensor) -> Result<Self> {
        let all = Tensor::stack(&[first, second, value], 0)?;
        Ok(Self {
            first: all.get(0)?,
            second: all.get(1)?,
            value: all.get(2)?,
            all,
        })
    }

    /// The value; a step changes it in place on the CPU.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The two moments.
    pub fn moments(&self) -> [&Tensor; 2] {
        [&self.first, &self.second]
    }

    /// Step number `step` (from 1) against `grad`.
    pub fn step(&mut self, grad: &Tensor, rate: Rate, step: usize) -> Result<()> {
        match self.all.device().is_cpu() {
            true => self.step_fused(grad, rate, step),
            false => self.step_plain(grad, rate, step),
        }
    }

    fn step_fused(&mut self, grad: &Tensor, rate: Rate, step: usize) -> Result<()> {
        let (scale, root) = corrections(rate, step);
        let step = Fused {
            decay: rate.weight_decay as f32,
            scale: scale as f32,
            root: root as f32,
        };
        self.all.inplace_op2(&grad.contiguous()?, &step)?;
        Ok(())
    }

    /// The step in tensor operations, which every device has.
    fn step_plain(&mut self, grad: &Tensor, rate: Rate, step: usize) -> Result<()> {
        let (scale, root) = corrections(rate, step);
        let grad = (grad + (&self.value * rate.weight_decay)?)?;
        let average = |old: &Tensor, new: &Tensor, beta: f32| {
            (old * f64::from(beta))? + (new * f64::from(1.0 - beta))?
        };
        let first = average(&self.first, &grad, BETA1)?;
        let second = average(&self.second, &grad.sqr()?, BETA2)?;
        let denominator = ((second.sqrt()? / root)? + f64::from(EPS))?;
        let value = (&self.value - ((&first / denominator)? * scale)?)?;
        *self = Self::resumed(&first, &second, &value)?;
        Ok(())
    }
}

/// Step length and root of the second moment's weight, both corrected for the moments' start at zero.
fn corrections(rate: Rate, step: usize) -> (f64, f64) {
    let weight = |beta: f32| 1.0 - f64::from(beta).powi(step as i32);
    (rate.learning_rate / weight(BETA1), weight(BETA2).sqrt())
}

/// A step. Plain tensor operations would take ten passes, each with a temporary as large as the weights.
struct Fused {
    decay: f32,
    scale: f32,
    root: f32,
}

impl InplaceOp2 for Fused {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        s1: &mut CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<()> {
        let CpuStorage::F32(all) = s1 else {
            candle_core::bail!("adam: weights must be f32");
        };
        let (Some((start, end)), Some((g0, g1))) =
            (l1.contiguous_offsets(), l2.contiguous_offsets())
        else {
            candle_core::bail!("adam: weights and gradients must be contiguous");
        };
        let grad = &s2.as_slice::<f32>()?[g0..g1];
        if end - start != 3 * grad.len() {
            candle_core::bail!(
                "adam: {} gradients for {} values",
                grad.len(),
                (end - start) / 3
            );
        }
        let (first, rest) = all[start..end].split_at_mut(grad.len());
        let (second, value) = rest.split_at_mut(grad.len());
        first
            .par_chunks_mut(CHUNK)
            .zip(second.par_chunks_mut(CHUNK))
            .zip(value.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK)))
            .for_each(|((m, v), (w, g))| {
                vectorised(
                    #[inline(always)]
                    || self.chunk(m, v, w, g),
                )
            });
        Ok(())
    }
}

impl Fused {
    #[inline(always)]
    fn chunk(&self, first: &mut [f32], second: &mut [f32], value: &mut [f32], grad: &[f32]) {
        let moments = first.iter_mut().zip(second);
        for ((m, v), (w, g)) in moments.zip(value.iter_mut().zip(grad)) {
            let g = g + self.decay * *w;
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *v = BETA2 * *v + (1.0 - BETA2) * g * g;
            *w -= self.scale * *m / (v.sqrt() / self.root + EPS);
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
            let grad = (a.value().cos()? * 0.3)?;
            a.step_fused(&grad, rate, step)?;
            b.step_plain(&grad, rate, step)?;
        }
        let most = |t: Tensor| -> Result<f32> { Ok(t.abs()?.max_all()?.to_scalar()?) };
        assert!(most((a.value() - b.value())?)? < 1e-6);
        // Adam's first steps are as long as the rate.
        let moved = most((a.value() - start)?)?;
        assert!((0.02..0.06).contains(&moved), "{moved}");
        Ok(())
    }
}
