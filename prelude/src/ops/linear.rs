//! Linear layers with what follows them in the same pass.

use super::activation::Activation;
use super::kernel::computed;
use super::panels;
use super::raw::{Cut, Matrix, MatrixMut, filled_in_blocks, product_in_blocks};
use super::rows::vectorised;
use super::{Path, check_channels, path};
use candle_core::{CpuStorage, Result, Storage, Tensor};

/// Rows from which on a product is taken by this kernel; fewer are left to candle.
const MANY_ROWS: usize = 128;

/// Rows from which on a task's packing of the whole weight is little beside its product.
const ROWS_OF_TASK: usize = 128;

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
    if let Some(bias) = bias {
        check_channels("linear", "bias", &weight.t()?, bias)?
    }
    let rows = flat.dim(0)?;
    let (storage, layout) = weight.storage_and_layout();
    let (Storage::Cpu(CpuStorage::F32(values)), &[output, input], &[down, across]) =
        (&*storage, layout.dims(), layout.stride())
    else {
        candle_core::bail!("linear: the weight is no matrix of f32 on the CPU")
    };
    let values = &values[layout.start_offset()..];
    let weight = Matrix::new(values, (output, input), (down, across));
    let made = |x: &[f32], bias: Option<&[f32]>| {
        let x = Matrix::new(x, (rows, input), (input, 1));
        let threads = rayon::current_num_threads();
        if panels::fit() {
            let each = block_shape((rows, output), threads);
            return filled_in_blocks((rows, output), each, |rows, columns, block| {
                let x = x.rows(rows.start, rows.len());
                let weight = weight.rows(columns.start, columns.len());
                let width = columns.len();
                let out = MatrixMut::new(block, (rows.len(), width), width);
                panels::product(x, weight.transposed(), out);
                for row in block.chunks_exact_mut(width) {
                    finish(row, bias.map(|bias| &bias[columns.clone()]), activation)
                }
            });
        }
        let cut = cut((rows, output), threads);
        product_in_blocks(x, weight.transposed(), cut, |from, row| {
            let bias = bias.map(|bias| &bias[from..from + row.len()]);
            finish(row, bias, activation)
        })
    };
    match bias {
        Some(bias) => computed("linear", [&flat, bias], shape, |[x, bias]| {
            made(x, Some(bias))
        }),
        None => computed("linear", [&flat], shape, |[x]| made(x, None)),
    }
}

/// How a product is cut where the crate `gemm` takes it: a task for each core, or several where there are many rows. A task
/// packs its part of both factors, so tasks are few, and where they would have few rows each, columns are dealt out too, as
/// has the least to pack.
fn cut((rows, output): (usize, usize), threads: usize) -> Cut {
    let most = (4 * BLOCK / output.max(1)).clamp(384, 4096);
    let tasks = (rows / most).next_multiple_of(threads).max(threads);
    let (down, across) = match rows / tasks >= ROWS_OF_TASK {
        true => (tasks, 1),
        false => (1..=threads)
            .filter(|down| threads.is_multiple_of(*down))
            .map(|down| (down, threads / down))
            .min_by_key(|(down, across)| down * output + across * rows)
            .unwrap_or((1, 1)),
    };
    let rows_each = rows.div_ceil(down).max(1);
    let columns_of_task = output.div_ceil(across).next_multiple_of(16).max(16);
    Cut {
        task: (rows_each, columns_of_task),
        columns_each: (BLOCK / rows_each).next_multiple_of(64),
    }
}

/// Rows and columns of a block of the result where products are taken by panels. A block packs its columns of the weight,
/// which is little beside the product with many rows, and small enough to stay in a core's own cache.
fn block_shape((rows, output): (usize, usize), threads: usize) -> (usize, usize) {
    // Several for each core, so that a core that others slow down does not keep the rest waiting.
    let wanted = 4 * threads;
    let mut down = rows.div_ceil(800).max(1);
    let blocks = |down: usize, columns: usize| down * output.div_ceil(columns);
    while blocks(down, 96) < wanted && rows / (2 * down) >= ROWS_OF_TASK {
        down *= 2
    }
    let columns = [96, 48, 32]
        .into_iter()
        .find(|&columns| blocks(down, columns) >= wanted)
        .unwrap_or(16);
    (rows.div_ceil(down).max(1), columns)
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

#[cfg(test)]
mod tests {
    use super::super::testing::gap;
    use super::*;
    use candle_core::{Device, Var};

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
    fn layers_are_candles_on_these_cores() -> Result<()> {
        layers_are_candles()
    }

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
    fn every_core_has_a_task() {
        for threads in [1, 2, 3, 16, 64] {
            for (rows, output) in [(197, 3072), (1576, 768), (25088, 128), (128, 768)] {
                let each = block_shape((rows, output), threads);
                let blocks = rows.div_ceil(each.0) * output.div_ceil(each.1);
                assert!(
                    blocks >= threads.min(output / 16),
                    "{rows} x {output} on {threads}: {each:?}"
                );
                let Cut { task, columns_each } = cut((rows, output), threads);
                let tasks = rows.div_ceil(task.0) * output.div_ceil(task.1);
                assert!(
                    tasks >= threads.min(output / 16) && columns_each > 0,
                    "{rows} x {output} on {threads}: {task:?}"
                );
            }
        }
    }

    /// As on a machine of many cores, where columns are dealt out too.
    #[test]
    fn layers_are_candles_on_many_cores() -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(16).build();
        pool.expect("threads").install(layers_are_candles)
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
