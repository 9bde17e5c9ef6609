//! Walking rows of contiguous f32 storage in parallel, and the elementary functions the kernels share.

use super::raw::filled_in_chunks;
use candle_core::{CpuStorage, Layout, Result, bail};
use rayon::prelude::*;

/// Elements a task should have at least, so that small tensors stay on one thread.
const GRAIN: usize = 1 << 14;

/// The contiguous f32 data that `storage` and `layout` describe.
pub fn f32_slice<'a>(
    op: &'static str,
    storage: &'a CpuStorage,
    layout: &Layout,
) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!(
            "{op}: the input is not contiguous (shape {:?})",
            layout.shape()
        )
    };
    match storage {
        CpuStorage::F32(data) => Ok(&data[start..end]),
        other => bail!(
            "{op}: f32 wanted, got {:?}",
            candle_core::backend::BackendStorage::dtype(other)
        ),
    }
}

/// Rows of `width` a task should take together.
pub fn rows_per_task(width: usize) -> usize {
    (GRAIN / width.max(1)).max(1)
}

/// Runs `f` compiled for the widest vectors of this processor (AVX-512 or AVX2), where the rest of the program is
/// compiled for all processors. What `f` calls must be inlined to be compiled so.
#[inline(always)]
pub fn vectorised<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// `len` values of `buffer`, which grows by zeros where it is too short, from the beginning of a line of the cache on: a vector
/// that lies across two lines takes two reads.
pub fn from_a_line(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    const LINE: usize = 16;
    if buffer.len() < len + LINE {
        buffer.resize(len + LINE, 0.0)
    }
    let start = buffer.as_ptr().align_offset(64).min(LINE);
    &mut buffer[start..][..len]
}

/// Fill each `width`-wide row of a new buffer from the same row of `x`.
pub fn map_rows(x: &[f32], width: usize, f: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let chunk = rows_per_task(width) * width.max(1);
    filled_in_chunks(x.len(), chunk, |task, out| {
        let x = &x[task * chunk..][..out.len()];
        vectorised(
            #[inline(always)]
            || {
                for (out, x) in out.chunks_mut(width).zip(x.chunks(width)) {
                    f(x, out)
                }
            },
        )
    })
}

/// Fill each `width`-wide row of a new buffer from the same rows of `a` and `b`.
pub fn zip_rows(
    a: &[f32],
    b: &[f32],
    width: usize,
    f: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
) -> Vec<f32> {
    let chunk = rows_per_task(width) * width.max(1);
    filled_in_chunks(a.len(), chunk, |task, out| {
        let (a, b) = (&a[task * chunk..], &b[task * chunk..]);
        vectorised(
            #[inline(always)]
            || {
                let rows = a.chunks(width).zip(b.chunks(width));
                for (out, (a, b)) in out.chunks_mut(width).zip(rows) {
                    f(a, b, out)
                }
            },
        )
    })
}

/// Sum over rows of `f(row a, row b, accumulator)`; the accumulator has `out_width` entries.
pub fn fold_rows(
    a: &[f32],
    b: &[f32],
    width: usize,
    out_width: usize,
    f: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
) -> Vec<f32> {
    // A fixed chunking and a sequential last sum keep the result independent of the thread count.
    let chunk = rows_per_task(width) * width.max(1);
    let partial: Vec<Vec<f32>> = a
        .par_chunks(chunk)
        .zip(b.par_chunks(chunk))
        .map(|(a, b)| {
            let mut acc = vec![0f32; out_width];
            vectorised(
                #[inline(always)]
                || {
                    for (a, b) in a.chunks(width).zip(b.chunks(width)) {
                        f(a, b, &mut acc)
                    }
                },
            );
            acc
        })
        .collect();
    let mut total = vec![0f32; out_width];
    for part in partial {
        for (t, p) in total.iter_mut().zip(part) {
            *t += p
        }
    }
    total
}

/// Lanes a reduction keeps, so that the compiler may vectorise it.
const LANES: usize = 16;

/// Sum of `f` over a row.
#[inline(always)]
pub fn sum_of(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut acc = [0f32; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|&x| f(x)).sum();
    for chunk in chunks {
        for (a, &x) in acc.iter_mut().zip(chunk) {
            *a += f(x)
        }
    }
    acc.iter().sum::<f32>() + rest
}

/// Sum of `f` over two rows taken together.
#[inline(always)]
pub fn sum_of_pairs(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut acc = [0f32; LANES];
    let (ca, cb) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = (ca.remainder().iter().zip(cb.remainder()))
        .map(|(&a, &b)| f(a, b))
        .sum();
    for (a, b) in ca.zip(cb) {
        for ((acc, &a), &b) in acc.iter_mut().zip(a).zip(b) {
            *acc += f(a, b)
        }
    }
    acc.iter().sum::<f32>() + rest
}

/// Largest value of a row.
#[inline(always)]
pub fn max_of(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut acc = [f32::NEG_INFINITY; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (a, &x) in acc.iter_mut().zip(chunk) {
            *a = larger(*a, x)
        }
    }
    acc.iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, larger)
}

/// Puts `f` of it in place of each value of a row; the sum of what is there then.
#[inline(always)]
pub fn replace_and_sum(x: &mut [f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut acc = [0f32; LANES];
    let mut chunks = x.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for (a, x) in acc.iter_mut().zip(chunk) {
            *x = f(*x);
            *a += *x
        }
    }
    let mut rest = 0.0;
    for x in chunks.into_remainder() {
        *x = f(*x);
        rest += *x
    }
    acc.iter().sum::<f32>() + rest
}

/// e^x in f32 within 2 ulp, branch-free so that the compiler vectorises it (the polynomial of Cephes' `expf`). `mul_add` is
/// one instruction where [`vectorised`] finds AVX2, and a call elsewhere. Below -87 it is 0, within 2e-38: some processors take
/// ten times as long for products with the denormal numbers that masked tokens would have for probabilities.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to the nearest integer without a call, and leaves it in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LEAST: f32 = -87.0;
    let given = x;
    let x = x.clamp(LEAST, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x));
    let mut p = 1.987_569_1e-4_f32;
    p = p.mul_add(r, 1.398_199_9e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_5e-1);
    p = p.mul_add(r, 5e-1);
    let y = (p * r).mul_add(r, r) + 1.0;
    let y = y * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if given < LEAST { 0.0 } else { y }
}

/// erf(x) in f32 within 4e-7, branch-free: the rational approximation Eigen and XLA use.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let x = x.clamp(-3.832_507, 3.832_507);
    let z = x * x;
    let mut p = -2.726_142_3e-10_f32;
    p = p.mul_add(z, 2.770_681_4e-8);
    p = p.mul_add(z, -2.101_024e-6);
    p = p.mul_add(z, -5.692_506_4e-5);
    p = p.mul_add(z, -7.349_906_3e-4);
    p = p.mul_add(z, -2.954_6e-3);
    p = p.mul_add(z, -1.609_603_3e-2);
    let mut q = -1.456_607_2e-5_f32;
    q = q.mul_add(z, -2.133_740_6e-4);
    q = q.mul_add(z, -1.682_827e-3);
    q = q.mul_add(z, -7.373_329e-3);
    q = q.mul_add(z, -1.426_473_9e-2);
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_erf_match_f64() {
        for i in -8000..8000 {
            let x = i as f32 / 100.0;
            let want = (x as f64).exp();
            assert!((exp(x) as f64 - want).abs() <= 4e-7 * want, "exp({x})");
            let x = i as f32 / 1000.0;
            let want = candle_core::cpu::erf::erf_f64(x as f64);
            assert!((erf(x) as f64 - want).abs() <= 5e-7, "erf({x})");
        }
        assert_eq!([-87.1, -100.0, f32::NEG_INFINITY].map(exp), [0.0; 3]);
        assert!(exp(f32::NAN).is_nan() && exp(-87.0) > 1e-38);
    }
}
