//! How much of a feature each component carries.
//!
//! With Q the basis of the feature's span, t = (sum_i c_i) Q and s_i = c_i Q centred over the images: the
//! covariance of s_i with t, direction by direction (they sum to t's variance over components), or their
//! correlation, or the share of a component's own variance that lies in the span.

use candle_core::Tensor;
use rayon::prelude::*;

use super::Basis;
use crate::Result;
use crate::align::check;

/// Variances below this share of the values' square are rounding, not variance.
const CONSTANT: f64 = 1e-12;

/// The mean over the feature's directions of cov(t, s_i) / (std(t) std(s_i)) for each component i of
/// `contributions` (n x B x d), the feature given by `features` (k x d): the mean of products over images against
/// unbiased standard deviations, as published, so at most (B - 1) / B in size. A direction in which the component
/// or the total does not vary counts 0.
///
/// # Errors
/// Shapes that do not fit, NaN or infinity, features that are all zero.
pub fn variance_attributed(contributions: &Tensor, features: &Tensor) -> Result<Vec<f64>> {
    let scores = Scores::new(contributions, features)?;
    let total = scores.total();
    let b = scores.images as f64;
    Ok(scores.each(|s, k| {
        let (own, all) = (column(s, scores.k, k), column(&total, scores.k, k));
        let (covariance, own, all) = moments(own, all);
        let deviation = (own * all).sqrt();
        match deviation > 0.0 && b > 1.0 {
            true => (covariance / deviation) * (b - 1.0) / b,
            false => 0.0,
        }
    }))
}

/// The mean over the feature's directions of cov(t, s_i), not normalised (the mean of products over images). The
/// components' values sum to the mean variance of the total.
///
/// # Errors
/// As [`variance_attributed`].
pub fn covariance_attributed(contributions: &Tensor, features: &Tensor) -> Result<Vec<f64>> {
    let scores = Scores::new(contributions, features)?;
    let total = scores.total();
    let b = scores.images as f64;
    Ok(scores.each(|s, k| {
        let (own, all) = (column(s, scores.k, k), column(&total, scores.k, k));
        moments(own, all).0 / b
    }))
}

/// trace(cov(c_i Q)) / trace(cov(c_i)): the share of each component's variance that lies in the feature's span;
/// 0 for a component that does not vary.
///
/// # Errors
/// As [`variance_attributed`].
pub fn variance_explained(contributions: &Tensor, features: &Tensor) -> Result<Vec<f64>> {
    let scores = Scores::new(contributions, features)?;
    scores
        .components
        .iter()
        .enumerate()
        .map(|(i, s)| {
            let inside: f64 = s.iter().map(|v| v * v).sum();
            let all = check::f32(&contributions.get(i)?)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            let whole = squared_deviations(&all, scores.width);
            Ok(if whole > 0.0 { inside / whole } else { 0.0 })
        })
        .collect()
}

/// The components' centred projections on a basis, each B x k in row order.
struct Scores {
    components: Vec<Vec<f64>>,
    images: usize,
    width: usize,
    k: usize,
}

impl Scores {
    fn new(contributions: &Tensor, features: &Tensor) -> Result<Self> {
        let (n, images, width) = check::stack("contributions", contributions)?;
        let (_, d) = check::matrix("features", features)?;
        check::same("features", d, width, "channels")?;
        check::finite("contributions", contributions)?;
        let basis = Basis::of(features)?;
        let k = basis.len();
        // One product for all components: (n B x d) (d x k).
        let projected = check::f32(contributions)?
            .contiguous()?
            .reshape((n * images, width))?
            .matmul(&basis.tensor(contributions.device())?)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let components = projected
            .par_chunks(images * k)
            .map(|s| centred(s, k))
            .collect();
        Ok(Self {
            components,
            images,
            width,
            k,
        })
    }

    fn total(&self) -> Vec<f64> {
        let mut total = vec![0.0; self.images * self.k];
        for s in &self.components {
            total.iter_mut().zip(s).for_each(|(t, s)| *t += s);
        }
        total
    }

    /// For each component the mean of `score` over the directions.
    fn each(&self, score: impl Fn(&[f64], usize) -> f64 + Sync) -> Vec<f64> {
        self.components
            .par_iter()
            .map(|s| (0..self.k).map(|k| score(s, k)).sum::<f64>() / self.k as f64)
            .collect()
    }
}

/// Columns of a matrix of `k` columns less their means; a column that is constant but for rounding becomes zero.
fn centred(values: &[f32], k: usize) -> Vec<f64> {
    let mut out: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
    let rows = (out.len() / k) as f64;
    for j in 0..k {
        let mean = column(&out, k, j).sum::<f64>() / rows;
        let (mut square, mut deviation) = (0.0, 0.0);
        for v in out.iter_mut().skip(j).step_by(k) {
            square += *v * *v;
            *v -= mean;
            deviation += *v * *v;
        }
        if deviation <= CONSTANT * square {
            out.iter_mut().skip(j).step_by(k).for_each(|v| *v = 0.0);
        }
    }
    out
}

fn column(values: &[f64], k: usize, j: usize) -> impl Iterator<Item = f64> {
    values.iter().skip(j).step_by(k).copied()
}

/// Sums of a b, a a and b b.
fn moments(a: impl Iterator<Item = f64>, b: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    a.zip(b).fold((0.0, 0.0, 0.0), |(ab, aa, bb), (a, b)| {
        (ab + a * b, aa + a * a, bb + b * b)
    })
}

/// The sum over rows and channels of squared deviations from the channel's mean.
fn squared_deviations(values: &[f32], width: usize) -> f64 {
    let rows = (values.len() / width) as f64;
    let mut mean = vec![0.0; width];
    for row in values.chunks_exact(width) {
        mean.iter_mut()
            .zip(row)
            .for_each(|(m, &v)| *m += f64::from(v));
    }
    mean.iter_mut().for_each(|m| *m /= rows);
    let sum = |row: &[f32]| -> f64 {
        row.iter()
            .zip(&mean)
            .map(|(&v, m)| (f64::from(v) - m).powi(2))
            .sum()
    };
    let deviation: f64 = values.par_chunks_exact(width).map(sum).sum();
    let square: f64 = mean.iter().map(|m| m * m).sum::<f64>() * rows;
    if deviation <= CONSTANT * square {
        0.0
    } else {
        deviation
    }
}
