//! Weighted sums of neighbours in a row, on all cores.

use super::raw::filled_in_chunks;
use super::rows::{f32_slice, vectorised};
use super::{Path, path};
use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor, bail};

/// Rows that a task takes together.
const ROWS: usize = 64;

/// For each row of `x` (M x kR) and of `weights` (M x R): the sums of each R neighbours of the row, times the row's
/// weights, M x k. Differentiable wherever one of them is tracked.
///
/// # Errors
/// When the shapes or types do not fit.
pub fn weighted_sum(x: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let ((m, width), (rows, r)) = (x.dims2()?, weights.dims2()?);
    if m != rows || r == 0 || width % r != 0 || x.dtype() != weights.dtype() {
        bail!(
            "weighted_sum: {:?} of {:?} for {:?} of {:?}",
            weights.dims(),
            weights.dtype(),
            x.dims(),
            x.dtype()
        )
    }
    let tracked = x.track_op() || weights.track_op();
    match path(x, &[x, weights]) {
        Path::Kernel if !tracked && width > 0 => x
            .contiguous()?
            .apply_op2_no_bwd(&weights.contiguous()?, &WeightedSum),
        _ => x
            .reshape((m, width / r, r))?
            .broadcast_mul(&weights.unsqueeze(1)?)?
            .sum(D::Minus1),
    }
}

struct WeightedSum;

impl CustomOp2 for WeightedSum {
    fn name(&self) -> &'static str {
        "weighted_sum"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weights: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = f32_slice(self.name(), x, lx)?;
        let weights = f32_slice(self.name(), weights, lw)?;
        let ((m, width), (_, r)) = (lx.shape().dims2()?, lw.shape().dims2()?);
        let k = width / r;
        let out = filled_in_chunks(m * k, ROWS * k, |task, out| {
            let x = x[task * ROWS * width..].chunks(width);
            let weights = weights[task * ROWS * r..].chunks(r);
            vectorised(
                #[inline(always)]
                || {
                    for ((out, x), weights) in out.chunks_mut(k).zip(x).zip(weights) {
                        for (o, x) in out.iter_mut().zip(x.chunks(r)) {
                            *o = dot(x, weights)
                        }
                    }
                },
            )
        });
        Ok((CpuStorage::F32(out), Shape::from((m, k))))
    }
}

/// Numbers that are summed side by side.
const LANES: usize = 16;

/// The inner product, by a fixed order of additions.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane]
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    #[test]
    fn sums_are_those_of_candle() -> Result<()> {
        let cpu = &Device::Cpu;
        for (m, k, r) in [(1, 1, 1), (65, 3, 1), (130, 10, 4), (7, 2, 64), (3, 5, 19)] {
            let x = Tensor::randn(0f64, 1., (m, k * r), cpu)?;
            let weights = Tensor::randn(0f64, 1., (m, r), cpu)?;
            let want = weighted_sum(&x, &weights)?;
            let half = |t: &Tensor| t.to_dtype(DType::F32);
            let got = weighted_sum(&half(&x)?, &half(&weights)?)?;
            assert_eq!(got.dims(), [m, k]);
            let apart = (got.to_dtype(DType::F64)? - want)?.abs()?.flatten_all()?;
            assert!(apart.max(0)?.to_scalar::<f64>()? < 1e-5, "{m} {k} {r}");
        }
        // A gradient is not lost.
        let x = Var::from_tensor(&Tensor::randn(0f32, 1., (2, 6), cpu)?)?;
        let weights = Tensor::randn(0f32, 1., (2, 3), cpu)?;
        let slopes = weighted_sum(x.as_tensor(), &weights)?
            .sum_all()?
            .backward()?;
        let slope = slopes
            .get(x.as_tensor())
            .map(|t| t.to_vec2::<f32>())
            .transpose()?;
        let want = Tensor::cat(&[&weights, &weights], 1)?.to_vec2::<f32>()?;
        assert_eq!(slope, Some(want));
        assert!(weighted_sum(&weights, &weights.t()?).is_err());
        Ok(())
    }
}
