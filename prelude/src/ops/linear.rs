//! Linear layers with what follows them in the same pass.

use super::activation::Activation;
use super::raw::{Matrix, product_in_blocks};
use super::rows::{f32_slice, vectorised};
use super::{Path, check_channels, path};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

/// Rows from which on a product is split over the cores by rows; fewer are left to candle, which splits columns too.
const MANY_ROWS: usize = 128;

/// Values of a block of results, so that it is still in a core's own cache when bias and activation are applied.
const BLOCK: usize = 1 << 18;

/// `activation(x W^T + bias)` for x: ... x in and `weight`: out x in, in the type of the weight; differentiable wherever an
/// input is tracked.
///
/// # Errors
/// When the shapes or types do not fit.
pub fn linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    activation: Option<Activation>,
) -> Result<Tensor> {
    let x = &x.to_dtype(weight.dtype())?;
    // One flat matrix product: candle would otherwise copy the weight for each image.
    let mut shape = x.dims().to_vec();
    let channels = shape.pop().unwrap_or(1);
    shape.push(weight.dim(0)?);
    let flat = x.reshape(((), channels))?;
    let mut inputs = vec![&flat, weight];
    inputs.extend(bias);
    let tracked = inputs.iter().any(|t| t.track_op());
    let fits = weight.dims2()?.1 == channels && inputs.iter().all(|t| t.dtype() == x.dtype());
    let many = flat.dim(0)? >= MANY_ROWS;
    if path(x, &inputs) != Path::Kernel || tracked || !fits || !many {
        let mut y = super::matmul(&flat, &weight.t()?)?;
        if let Some(bias) = bias {
            y = super::add_bias(&y, bias)?
        }
        if let Some(activation) = activation {
            y = activation.apply(&y)?
        }
        return y.reshape(shape);
    }
    let flat = flat.contiguous()?;
    let op = Linear { activation };
    let y = match bias {
        Some(bias) => {
            check_channels("linear", "bias", &weight.t()?, bias)?;
            flat.apply_op3_no_bwd(weight, &bias.contiguous()?, &op)?
        }
        None => flat.apply_op2_no_bwd(weight, &op)?,
    };
    y.reshape(shape)
}

struct Linear {
    activation: Option<Activation>,
}

/// The matrix that a tensor of rank 2 is, wherever its values lie.
fn matrix<'a>(name: &'static str, storage: &'a CpuStorage, l: &Layout) -> Result<Matrix<'a>> {
    let CpuStorage::F32(data) = storage else {
        candle_core::bail!("{name}: the weight is not f32")
    };
    let shape = l.shape().dims2()?;
    let strides = (l.stride()[0], l.stride()[1]);
    Ok(Matrix::new(&data[l.start_offset()..], shape, strides))
}

impl Linear {
    fn compute(
        &self,
        (x, lx): (&CpuStorage, &Layout),
        (weight, lw): (&CpuStorage, &Layout),
        bias: Option<&[f32]>,
    ) -> Result<(CpuStorage, Shape)> {
        let x = f32_slice("linear", x, lx)?;
        let (rows, input) = lx.shape().dims2()?;
        let (output, _) = lw.shape().dims2()?;
        let weight = matrix("linear", weight, lw)?;
        let threads = rayon::current_num_threads();
        // Each task packs the weight anew, so tasks are few; and as many for each core.
        let most = (4 * BLOCK / output.max(1)).clamp(384, 4096);
        let tasks = (rows / most).next_multiple_of(threads).max(threads);
        let rows_each = rows.div_ceil(tasks).max(1);
        let columns_each = (BLOCK / rows_each).next_multiple_of(64);
        let blocks = (rows_each, columns_each);
        let x = Matrix::new(x, (rows, input), (input, 1));
        let out = product_in_blocks(x, weight.transposed(), blocks, |from, row| {
            let bias = bias.map(|bias| &bias[from..from + row.len()]);
            finish(row, bias, self.activation)
        });
        Ok((CpuStorage::F32(out), (rows, output).into()))
    }
}

/// Adds the bias to, and applies the activation to, a part of a row.
fn finish(row: &mut [f32], bias: Option<&[f32]>, activation: Option<Activation>) {
    vectorised(
        #[inline(always)]
        || {
            if let Some(bias) = bias {
                for (o, b) in row.iter_mut().zip(bias) {
                    *o += b
                }
            }
            if let Some(activation) = activation {
                activation.replace(row)
            }
        },
    )
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.compute((x, lx), (weight, lw), None)
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
        bias: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let bias = f32_slice("linear", bias, lb)?;
        self.compute((x, lx), (weight, lw), Some(bias))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn gap(a: &Tensor, b: &Tensor) -> Result<f32> {
        assert_eq!(a.dims(), b.dims());
        (a - b)?.abs()?.max_all()?.to_scalar()
    }

    fn written_out(
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        activation: Option<Activation>,
    ) -> Result<Tensor> {
        let y = x.broadcast_matmul(&weight.t()?)?;
        let y = match bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        };
        match activation {
            Some(Activation::Gelu) => super::super::activation::composed_gelu(&y),
            Some(Activation::GeluTanh) => super::super::activation::composed_gelu_tanh(&y),
            Some(Activation::QuickGelu) => super::super::activation::composed_quick_gelu(&y),
            None => Ok(y),
        }
    }

    /// Few rows and many, widths that no vector and no block divides, inputs and weights that are views.
    #[test]
    fn layers_are_candles() -> Result<()> {
        let cpu = &Device::Cpu;
        let activations = [
            None,
            Some(Activation::Gelu),
            Some(Activation::GeluTanh),
            Some(Activation::QuickGelu),
        ];
        let shapes = [
            ((1, 1), 1, 1),
            ((3, 50), 17, 5),
            ((2, 700), 33, 65),
            ((1, 129), 7, 3000),
        ];
        for ((b, t), input, output) in shapes {
            let x = Tensor::randn(0f32, 1., (b, input, t), cpu)?.transpose(1, 2)?;
            let weight = Tensor::randn(0f32, 0.3, (input, output), cpu)?.t()?;
            let wide = Tensor::randn(0f32, 0.3, (output, input + 2), cpu)?;
            let part = wide.narrow(1, 1, input)?;
            let bias = Tensor::randn(0f32, 1., output, cpu)?;
            for weight in [&weight, &part] {
                for bias in [None, Some(&bias)] {
                    for activation in activations {
                        let got = linear(&x, weight, bias, activation)?;
                        let want = written_out(&x, weight, bias, activation)?;
                        assert_eq!(got.dims(), [b, t, output]);
                        assert!(gap(&got, &want)? < 2e-5, "{input} {output} {activation:?}");
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn gradients_go_through_where_something_is_tracked() -> Result<()> {
        let cpu = &Device::Cpu;
        let x = Var::randn(0f32, 1., (200, 9), cpu)?;
        let weight = Var::randn(0f32, 1., (5, 9), cpu)?;
        let bias = Var::randn(0f32, 1., 5, cpu)?;
        let activation = Some(Activation::Gelu);
        let mine = linear(&x, &weight, Some(&bias), activation)?;
        let theirs = written_out(&x, &weight, Some(&bias), activation)?;
        let probe = Tensor::randn(0f32, 1., mine.shape(), cpu)?;
        let gradients = |y: &Tensor| (y * &probe)?.sum_all()?.backward();
        let (mine, theirs) = (gradients(&mine)?, gradients(&theirs)?);
        for var in [&x, &weight, &bias] {
            let (mine, theirs) = (mine.get(var), theirs.get(var));
            let (mine, theirs) = (mine.expect("a gradient"), theirs.expect("a gradient"));
            assert!(gap(mine, theirs)? < 1e-4)
        }
        Ok(())
    }

    /// The product is that of rounded values, in f32, and rounded once.
    #[test]
    fn a_weight_in_half_precision_makes_the_product_so() -> Result<()> {
        for dtype in [candle_core::DType::F16, candle_core::DType::BF16] {
            let x = Tensor::randn(0f32, 1., (3, 70, 9), &Device::Cpu)?;
            let weight = Tensor::randn(0f32, 1., (5, 9), &Device::Cpu)?.to_dtype(dtype)?;
            let got = linear(&x, &weight, None, None)?;
            assert_eq!((got.dtype(), got.dims()), (dtype, &[3, 70, 5][..]));
            let wide = |t: &Tensor| t.to_dtype(candle_core::DType::F32);
            let want = linear(&wide(&x.to_dtype(dtype)?)?, &wide(&weight)?, None, None)?;
            assert_eq!(gap(&wide(&got)?, &wide(&want.to_dtype(dtype)?)?)?, 0.0);
        }
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<()> {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu);
        let (x, weight) = (zeros(&[200, 9])?, zeros(&[5, 9])?);
        assert!(linear(&x, &zeros(&[5, 8])?, None, None).is_err());
        assert!(linear(&x, &weight, Some(&zeros(&[4])?), None).is_err());
        Ok(())
    }
}
