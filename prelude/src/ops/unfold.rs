//! The patches under a convolution's kernel as rows, so that the convolution is a matrix product.

use super::depthwise::Placement;
use super::kernel::computed;
use super::rows::f32_slice;
use super::{Path, path};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// B x H x W x C -> B x H' x W' x (K K C), tap by tap (`torch.nn.functional.unfold`, channels last).
pub fn unfold(x: &Tensor, placement: Placement) -> Result<Tensor> {
    if path(x, &[x]) == Path::Kernel {
        return x.contiguous()?.apply_op1(Unfold(placement));
    }
    // Values are only moved, so every type does as it is.
    let (_, h, w, _) = x.dims4()?;
    let p = placement;
    let padded = p.padded(x)?;
    let taps = p
        .taps()
        .map(|(i, j, _)| p.slice(&padded, (i, j), (h, w)))
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&taps, 3)
}

/// A full convolution: `x` B x H x W x C, `weight` out x C x K x K, `bias` out -> B x H' x W' x out.
pub fn conv(x: &Tensor, weight: &Tensor, bias: &Tensor, placement: Placement) -> Result<Tensor> {
    let patches = unfold(x, placement)?;
    let (b, h, w, width) = patches.dims4()?;
    // K K C rows, in the order of the patches.
    let weight = weight.permute((2, 3, 1, 0))?.contiguous()?;
    let weight = weight.reshape((width, ()))?;
    let y = patches.reshape((b * h * w, width))?.matmul(&weight)?;
    super::add_bias(&y, bias)?.reshape((b, h, w, ()))
}

struct Unfold(Placement);

impl CustomOp1 for Unfold {
    fn name(&self) -> &'static str {
        "unfold"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let p = self.0;
        let (b, h, w, c) = l.shape().dims4()?;
        let x = f32_slice(self.name(), x, l)?;
        let (rows, columns) = (p.results(h), p.results(w));
        let width = p.kernel * p.kernel * c;
        let mut out = vec![0f32; b * rows * columns * width];
        let row = |(at, out): (usize, &mut [f32])| {
            let (image, y) = (at / rows, at % rows);
            for (column, out) in out.chunks_exact_mut(width).enumerate() {
                for (i, j, tap) in p.taps() {
                    if let Some((y, x_at)) = p.under(y, i, h).zip(p.under(column, j, w)) {
                        let from = ((image * h + y) * w + x_at) * c;
                        out[tap * c..(tap + 1) * c].copy_from_slice(&x[from..from + c])
                    }
                }
            }
        };
        out.par_chunks_mut(columns * width)
            .enumerate()
            .for_each(row);
        Ok((CpuStorage::F32(out), (b, rows, columns, width).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(fold(grad, x.dims4()?, self.0)?))
    }
}

/// Adds patches up into an image of B x H x W x C: the transpose of [`unfold`].
fn fold(
    patches: &Tensor,
    (b, h, w, c): (usize, usize, usize, usize),
    p: Placement,
) -> Result<Tensor> {
    let (_, rows, columns, width) = patches.dims4()?;
    computed("fold", [patches], (b, h, w, c), |[patches]| {
        let mut out = vec![0f32; b * h * w * c];
        let row = |(at, out): (usize, &mut [f32])| {
            let (image, y) = (at / h, at % h);
            for (x, out) in out.chunks_exact_mut(c).enumerate() {
                for (i, j, tap) in p.taps() {
                    if let Some((row, column)) = p.over(y, i, rows).zip(p.over(x, j, columns)) {
                        let from = ((image * rows + row) * columns + column) * width + tap * c;
                        for (out, patch) in out.iter_mut().zip(&patches[from..from + c]) {
                            *out += patch
                        }
                    }
                }
            }
        };
        out.par_chunks_mut(w * c).enumerate().for_each(row);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn a_convolution_and_its_gradients_are_candles() -> Result<()> {
        let cpu = &Device::Cpu;
        for (side, stride) in [(6, 1), (6, 2), (7, 2)] {
            let p = Placement::same(side, 3, stride);
            let x = Var::randn(0f32, 1., (2, side, side, 3), cpu)?;
            let weight = Var::randn(0f32, 1., (5, 3, 3, 3), cpu)?;
            let bias = Var::randn(0f32, 1., 5, cpu)?;
            let got = conv(&x, &weight, &bias, p)?;
            let image = x.permute((0, 3, 1, 2))?;
            let image = image.pad_with_zeros(2, p.before, p.after)?;
            let image = image.pad_with_zeros(3, p.before, p.after)?;
            let want = image.conv2d(&weight, 0, stride, 1, 1)?;
            let want = want.permute((0, 2, 3, 1))?.broadcast_add(&bias)?;
            let probe = Tensor::randn(0f32, 1., got.shape(), cpu)?;
            let gradients = |y: &Tensor| (y * &probe)?.sum_all()?.backward();
            let (mine, theirs) = (gradients(&got)?, gradients(&want)?);
            let close = |a: &Tensor, b: &Tensor| -> Result<()> {
                let error = (a - b)?.abs()?.max_all()?.to_scalar::<f32>()?;
                assert!(error < 1e-4, "{error}");
                Ok(())
            };
            close(&got, &want)?;
            for var in [&x, &weight, &bias] {
                let (mine, theirs) = (mine.get(var), theirs.get(var));
                close(mine.expect("a gradient"), theirs.expect("a gradient"))?
            }
        }
        Ok(())
    }
}
