//! Depthwise convolution of channels-last images: candle's own runs one small convolution a channel.

use super::activation::Activation;
use super::kernel::computed;
use super::raw::filled_in_chunks;
use super::rows::{f32_slice, vectorised};
use super::{Path, check_channels, path, widened};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// Where a square kernel lies on its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Side of the kernel.
    pub kernel: usize,
    pub stride: usize,
    /// Zeros before the first row and column.
    pub before: usize,
    /// Zeros after the last.
    pub after: usize,
}

impl Placement {
    /// TensorFlow's `same` padding of a `side` x `side` input: `ceil(side / stride)` results, and where the zeros do
    /// not go up evenly one more after than before (timm `pad_same`).
    pub fn same(side: usize, kernel: usize, stride: usize) -> Self {
        let covered = (side.div_ceil(stride) - 1) * stride + kernel;
        let zeros = covered.saturating_sub(side);
        Self {
            kernel,
            stride,
            before: zeros / 2,
            after: zeros - zeros / 2,
        }
    }

    /// Results along a side.
    pub fn results(&self, side: usize) -> usize {
        (side + self.before + self.after - self.kernel) / self.stride + 1
    }

    /// B, H', W' and C for those of the input.
    fn of(&self, (b, h, w, c): (usize, usize, usize, usize)) -> (usize, usize, usize, usize) {
        (b, self.results(h), self.results(w), c)
    }

    /// Refuses a weight that is not K K x C.
    fn check(&self, channels: usize, weight: &[usize]) -> Result<()> {
        if weight != [self.kernel * self.kernel, channels] {
            bail!("depthwise-conv: the weight is {weight:?}")
        }
        Ok(())
    }

    /// The input row (or column) under tap `tap` of result `at`, if it is not padding.
    pub(super) fn under(&self, at: usize, tap: usize, side: usize) -> Option<usize> {
        (at * self.stride + tap)
            .checked_sub(self.before)
            .filter(|&i| i < side)
    }

    /// The result whose tap `tap` lies on input row (or column) `at`, if there is one.
    pub(super) fn over(&self, at: usize, tap: usize, results: usize) -> Option<usize> {
        let from = (at + self.before).checked_sub(tap)?;
        (from % self.stride == 0 && from / self.stride < results).then_some(from / self.stride)
    }

    /// (row tap, column tap, place in the weight).
    pub(super) fn taps(&self) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let kernel = self.kernel;
        (0..kernel * kernel).map(move |tap| (tap / kernel, tap % kernel, tap))
    }

    /// `x` (B x H x W x C) with its padding, and whole strides, so that every tap is a slice of a reshaped view.
    pub(super) fn padded(&self, x: &Tensor) -> Result<Tensor> {
        x.pad_with_zeros(1, self.before, self.after + self.stride)?
            .pad_with_zeros(2, self.before, self.after + self.stride)
    }

    /// What tap (i, j) sees of a padded image that was h x w: B x H' x W' x C.
    pub(super) fn slice(
        &self,
        padded: &Tensor,
        (i, j): (usize, usize),
        (h, w): (usize, usize),
    ) -> Result<Tensor> {
        let rows = strided(padded, 1, i, self.results(h), self.stride)?;
        strided(&rows, 2, j, self.results(w), self.stride)
    }
}

/// Each channel of `x` (B x H x W x C) with its own kernel, `weight` (K K x C, tap by tap): B x H' x W' x C.
/// Differentiable in both.
pub fn depthwise_conv(x: &Tensor, weight: &Tensor, placement: Placement) -> Result<Tensor> {
    match path(x, &[x, weight]) {
        Path::Kernel => x
            .contiguous()?
            .apply_op2(&weight.contiguous()?, Forward(placement)),
        Path::Widened => {
            depthwise_conv(&widened(x)?, &widened(weight)?, placement)?.to_dtype(x.dtype())
        }
        // f32 alone has a kernel of ours on a device.
        Path::Fused if x.dtype() == DType::F32 && weight.dtype() == DType::F32 => x
            .contiguous()?
            .apply_op2_no_bwd(&weight.contiguous()?, &Forward(placement)),
        Path::Composed | Path::Fused => composed(x, weight, placement),
    }
}

/// The same result, composed of candle's differentiable operations.
fn composed(x: &Tensor, weight: &Tensor, p: Placement) -> Result<Tensor> {
    let (_, h, w, c) = x.dims4()?;
    let padded = p.padded(x)?;
    let mut sum: Option<Tensor> = None;
    for (i, j, tap) in p.taps() {
        let slice = p.slice(&padded, (i, j), (h, w))?;
        let term = slice.broadcast_mul(&weight.get(tap)?.reshape((1, 1, 1, c))?)?;
        sum = Some(match sum {
            Some(sum) => (sum + term)?,
            None => term,
        })
    }
    match sum {
        Some(sum) => Ok(sum),
        None => bail!("a kernel without taps"),
    }
}

/// `count` entries of `x` along `axis` from `start` on, `stride` apart.
fn strided(x: &Tensor, axis: usize, start: usize, count: usize, stride: usize) -> Result<Tensor> {
    let mut dims = x.dims().to_vec();
    dims[axis] = count;
    dims.insert(axis + 1, stride);
    let x = x.narrow(axis, start, count * stride)?.contiguous()?;
    x.reshape(dims)?.narrow(axis + 1, 0, 1)?.squeeze(axis + 1)
}

/// [`depthwise_conv`], then `bias` a channel, then `activation`: in one pass where nothing is tracked.
pub fn depthwise_conv_then(
    x: &Tensor,
    weight: &Tensor,
    placement: Placement,
    bias: &Tensor,
    activation: Activation,
) -> Result<Tensor> {
    check_channels("depthwise convolution", "bias", x, bias)?;
    let inputs = [x, weight, bias];
    let tracked = inputs.iter().any(|t| t.track_op());
    if path(x, &inputs) == Path::Kernel && !tracked && weight.dtype() == x.dtype() {
        let image = x.dims4()?;
        placement.check(image.3, weight.dims())?;
        let shape = placement.of(image);
        return computed(
            "depthwise-conv",
            [x, weight, bias],
            shape,
            |[x, weight, bias]| convolved(x, weight, placement, image, Some((bias, activation))),
        );
    }
    let y = depthwise_conv(x, weight, placement)?;
    activation.apply(&super::add_bias(&y, bias)?)
}

/// The values of a convolution of a B x H x W x C image, with what follows it.
fn convolved(
    x: &[f32],
    weight: &[f32],
    p: Placement,
    image: (usize, usize, usize, usize),
    then: Option<(&[f32], Activation)>,
) -> Vec<f32> {
    let ((b, rows, columns, c), (_, h, w, _)) = (p.of(image), image);
    filled_in_chunks(b * rows * columns * c, (columns * c).max(1), |at, out| {
        let (image, y) = (at / rows, at % rows);
        vectorised(
            #[inline(always)]
            || {
                for (column, out) in out.chunks_exact_mut(c).enumerate() {
                    if let Some((bias, _)) = then {
                        out.copy_from_slice(bias)
                    }
                    for tap in 0..p.kernel * p.kernel {
                        let (i, j) = (tap / p.kernel, tap % p.kernel);
                        let at = p.under(y, i, h).zip(p.under(column, j, w));
                        if let Some((y, x_at)) = at {
                            let from = ((image * h + y) * w + x_at) * c;
                            let weight = &weight[tap * c..(tap + 1) * c];
                            multiply_add(&x[from..from + c], weight, out)
                        }
                    }
                    if let Some((_, activation)) = then {
                        activation.replace(out)
                    }
                }
            },
        )
    })
}

struct Forward(Placement);

impl CustomOp2 for Forward {
    fn name(&self) -> &'static str {
        "depthwise-conv"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let image = lx.shape().dims4()?;
        self.0.check(image.3, lw.dims())?;
        let x = f32_slice(self.name(), x, lx)?;
        let weight = f32_slice(self.name(), weight, lw)?;
        let out = convolved(x, weight, self.0, image, None);
        Ok((CpuStorage::F32(out), self.0.of(image).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        lx: &Layout,
        weight: &CudaStorage,
        lw: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let p = self.0;
        let (b, h, w, c) = lx.shape().dims4()?;
        let (_, rows, columns, _) = p.of((b, h, w, c));
        let convolution = super::raw::cuda::Convolution {
            input: [b, h, w, c],
            results: [rows, columns],
            kernel: p.kernel,
            stride: p.stride,
            before: p.before,
        };
        let out = super::raw::cuda::depthwise((x, lx), (weight, lw), convolution)?;
        Ok((out, (b, rows, columns, c).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dx = backward_input(x.dims4()?, weight, grad, self.0)?;
        let dw = backward_weight(x, grad, self.0)?;
        Ok((Some(dx), Some(dw)))
    }
}

/// `out += a * b`.
#[inline(always)]
fn multiply_add(a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out += a * b
    }
}

/// The gradient of an input, B x H x W x C, from the weight and the gradient of the result.
fn backward_input(
    (b, h, w, c): (usize, usize, usize, usize),
    weight: &Tensor,
    grad: &Tensor,
    p: Placement,
) -> Result<Tensor> {
    let (_, rows, columns, _) = grad.dims4()?;
    let inputs = [weight, grad];
    computed(
        "depthwise-conv backward",
        inputs,
        (b, h, w, c),
        |[weight, grad]| {
            let mut out = vec![0f32; b * h * w * c];
            let row = |(at, out): (usize, &mut [f32])| {
                let (image, y) = (at / h, at % h);
                for (x, out) in out.chunks_exact_mut(c).enumerate() {
                    for (i, j, tap) in p.taps() {
                        let at = p.over(y, i, rows).zip(p.over(x, j, columns));
                        if let Some((row, column)) = at {
                            let from = ((image * rows + row) * columns + column) * c;
                            multiply_add(
                                &grad[from..from + c],
                                &weight[tap * c..(tap + 1) * c],
                                out,
                            )
                        }
                    }
                }
            };
            out.par_chunks_mut(w * c).enumerate().for_each(row);
            out
        },
    )
}

/// The gradient of the weight, from the input and the gradient of the result.
fn backward_weight(x: &Tensor, grad: &Tensor, p: Placement) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    let (_, rows, columns, _) = grad.dims4()?;
    let taps = p.kernel * p.kernel;
    computed(
        "depthwise-conv backward",
        [x, grad],
        (taps, c),
        |[x, grad]| {
            let size = taps * c;
            // One sum an image, added up in order: the result does not depend on the number of threads.
            let image = |image: usize| {
                let mut sum = vec![0f32; size];
                for row in 0..rows {
                    for column in 0..columns {
                        let from = ((image * rows + row) * columns + column) * c;
                        let grad = &grad[from..from + c];
                        for (i, j, tap) in p.taps() {
                            let at = p.under(row, i, h).zip(p.under(column, j, w));
                            if let Some((y, x_at)) = at {
                                let from = ((image * h + y) * w + x_at) * c;
                                let sum = &mut sum[tap * c..(tap + 1) * c];
                                multiply_add(&x[from..from + c], grad, sum)
                            }
                        }
                    }
                }
                sum
            };
            let images: Vec<_> = (0..b).into_par_iter().map(image).collect();
            let mut out = vec![0f32; size];
            for image in images {
                for (out, x) in out.iter_mut().zip(image) {
                    *out += x
                }
            }
            out
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// The sum over taps, written with candle's own operations.
    fn written_out(x: &Tensor, weight: &Tensor, p: Placement) -> Result<Tensor> {
        let (_, _, _, c) = x.dims4()?;
        let x = x
            .permute((0, 3, 1, 2))?
            .pad_with_zeros(2, p.before, p.after)?
            .pad_with_zeros(3, p.before, p.after)?;
        let kernel = weight.t()?.reshape((c, 1, p.kernel, p.kernel))?;
        let y = x.conv2d(&kernel, 0, p.stride, 1, c)?;
        y.permute((0, 2, 3, 1))
    }

    fn close(a: &Tensor, b: &Tensor) -> Result<()> {
        assert_eq!(a.dims(), b.dims());
        let error = (a - b)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(error < 1e-4, "{error}");
        Ok(())
    }

    #[test]
    fn values_and_gradients_are_candles() -> Result<()> {
        let cpu = &Device::Cpu;
        for (side, stride) in [(6, 1), (6, 2), (7, 2), (5, 1)] {
            let p = Placement::same(side, 3, stride);
            let x = Var::randn(0f32, 1., (2, side, side, 5), cpu)?;
            let weight = Var::randn(0f32, 1., (9, 5), cpu)?;
            let got = depthwise_conv(x.as_tensor(), weight.as_tensor(), p)?;
            let want = written_out(x.as_tensor(), weight.as_tensor(), p)?;
            close(&got, &want)?;
            let probe = Tensor::randn(0f32, 1., got.shape(), cpu)?;
            let got = (got * &probe)?.sum_all()?.backward()?;
            // candle has no gradient of a grouped convolution: the strided slices have.
            let (h, c) = (p.results(side), 5);
            let padded = p.padded(&x)?;
            let mut sum = Tensor::zeros((2, h, h, c), DType::F32, cpu)?;
            for (i, j, tap) in p.taps() {
                let slice = p.slice(&padded, (i, j), (side, side))?;
                sum = (sum + slice.broadcast_mul(&weight.get(tap)?.reshape((1, 1, 1, c))?)?)?
            }
            close(&sum, &want)?;
            let want = (sum * &probe)?.sum_all()?.backward()?;
            for var in [&x, &weight] {
                let (got, want) = (got.get(var), want.get(var));
                close(got.expect("a gradient"), want.expect("a gradient"))?
            }
        }
        Ok(())
    }

    #[test]
    fn bias_and_activation_in_one_pass_are_those_after_it() -> Result<()> {
        let cpu = &Device::Cpu;
        for (side, stride, c) in [(1, 1, 1), (6, 1, 5), (7, 2, 67)] {
            let p = Placement::same(side, 3, stride);
            let x = Tensor::randn(0f32, 1., (2, c, side, side), cpu)?.permute((0, 2, 3, 1))?;
            let weight = Tensor::randn(0f32, 1., (9, c), cpu)?;
            let bias = Tensor::randn(0f32, 1., c, cpu)?;
            let then = |x: &Tensor| depthwise_conv_then(x, &weight, p, &bias, Activation::GeluTanh);
            let want = written_out(&x, &weight, p)?.broadcast_add(&bias)?;
            let want = super::super::activation::composed_gelu_tanh(&want)?;
            close(&then(&x)?, &want)?;
            let tracked = Var::from_tensor(&x)?;
            let gradients = then(&tracked)?.sum_all()?.backward()?;
            assert!(gradients.get(&tracked).is_some());
        }
        Ok(())
    }

    #[test]
    fn same_padding_is_tensorflows() {
        let p = |side, stride| {
            let p = Placement::same(side, 3, stride);
            (p.before, p.after, p.results(side))
        };
        assert_eq!(p(224, 2), (0, 1, 112));
        assert_eq!(p(56, 1), (1, 1, 56));
        assert_eq!(p(7, 2), (1, 1, 4));
    }
}
