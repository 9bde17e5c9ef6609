//! How much of a feature each component carries.
//!
//! With Q an orthonormal basis of the span of the feature's texts, S = (sum_i c_i) Q and s_i = c_i Q centred over the
//! images, there are four scores:
//!
//! | | of component i | depends on the order of the texts |
//! | --- | --- | --- |
//! | [`variance_attributed`] | mean over directions of the correlation of s_i with S: the paper's | yes |
//! | [`correlation_attributed`] | trace cov(s_i, S) / sqrt(trace cov(s_i) trace cov(S)) | no |
//! | [`covariance_attributed`] | mean over directions of cov(s_i, S) | no |
//! | [`variance_explained`] | trace cov(s_i) / trace cov(c_i) | no |
//!
//! The paper's score takes each direction by itself and gives all the same weight, whatever their variance, and which
//! directions these are depends on the order of the texts (Gram-Schmidt takes the first text as it is, of each later
//! one what it adds). Ranks of components move with that order. `correlation_attributed` weighs directions by their
//! variance, and no rotation within the span changes it. With one text both are the same correlation, but for the
//! factor (B - 1) / B of the published code.
//!
//! **What the scores count.** Texts that add no direction ([`Basis`]) are left out and named on standard error. A
//! component that does not vary along the feature scores 0: it does not carry it. The total must vary, and there must
//! be as many images as directions; else no score is returned.
//!
//! **A head that does nothing need not score 0.** Under [`Sharing::Equal`](crate::decompose::Sharing::Equal), the
//! paper's rule, each component has an equal part of the norms' constants, and that part varies from image to image.
//! See there for what it comes to; under `Sharing::Own` such a head scores exactly 0.

use candle_core::Tensor;
use rayon::prelude::*;

use super::{Basis, enough};
use crate::check;
use crate::{Error, Result};

/// Variances below this share of the values' square are rounding, not variance.
const CONSTANT: f64 = 1e-12;

/// The paper's score: the mean over the feature's directions of cov(S, s_i) / (std(S) std(s_i)) for each component i of
/// `contributions` (n x B x d), the feature given by `features` (k x d, one row a text): the mean of products over
/// images against unbiased standard deviations, as published, so at most (B - 1) / B in size. It depends on the order
/// of the texts; [`correlation_attributed`] does not. A direction in which a component does not vary counts 0 for it;
/// by the paper's [`Sharing`](crate::decompose::Sharing) rule even a dead head varies, and so scores something.
///
/// # Errors
/// Shapes that do not fit, NaN or infinity, features that are all zero; one image, fewer images than the features have
/// directions, a direction along which the total does not vary.
pub fn variance_attributed(contributions: &Tensor, features: &Tensor) -> Result<Vec<f64>> {
    let scores = Projected::on(contributions, features, Basis::tensor)?;
    let total = scores.varying_total()?;
    let b = scores.images as f64;
    Ok(scores.each(|s, k| {
        let (own, all) = (column(s, scores.k, k), column(&total, scores.k, k));
        let (covariance, own, all) = moments(own, all);
        match own > 0.0 {
            true => (covariance / (own * all).sqrt()) * (b - 1.0) / b,
            false => 0.0,
        }
    }))
}

/// The order-free score: trace cov(s_i, S) / sqrt(trace cov(s_i) trace cov(S)) for each component i of `contributions`
/// (n x B x d), the traces over the span of `features` (k x d, one row a text); from -1 to 1. Directions weigh by their
/// variance, and neither the order of the texts nor a rotation of the basis changes it, where [`variance_attributed`],
/// the paper's score, depends on both. For one text it is Pearson's correlation. 0 for a component that does not vary
/// in the span; by the paper's [`Sharing`](crate::decompose::Sharing) rule even a dead head varies.
///
/// # Errors
/// As [`variance_attributed`]; a single direction may be without variance as long as one has some.
pub fn correlation_attributed(contributions: &Tensor, features: &Tensor) -> Result<Vec<f64>> {
    let scores = Projected::on(contributions, features, Basis::principal)?;
    let total = scores.total();
    if scores.constant(&total).iter().all(|constant| *constant) {
        return Err(still_total(scores.images, "any direction of the features"));
    }
    let score = |s: &Vec<f64>| {
        let (covariance, own, all) = moments(s.iter().copied(), total.iter().copied());
        match own > 0.0 {
            true => covariance / (own * all).sqrt(),
            false => 0.0,
        }
    };
    Ok(scores.components.par_iter().map(score).collect())
}

/// The mean over the feature's directions of cov(S, s_i), not normalised (the mean of products over images). The
/// components' values sum to the mean variance of the total. Whoever has large contributions has large values; the
/// order of the texts does not matter.
///
/// # Errors
/// As [`variance_attributed`].
pub fn covariance_attributed(contributions: &Tensor, features: &Tensor) -> Result<Vec<f64>> {
    let scores = Projected::on(contributions, features, Basis::tensor)?;
    let total = scores.varying_total()?;
    let b = scores.images as f64;
    Ok(scores.each(|s, k| {
        let (own, all) = (column(s, scores.k, k), column(&total, scores.k, k));
        moments(own, all).0 / b
    }))
}

/// trace(cov(s_i)) / trace(cov(c_i)): the share of each component's own variance that lies in the feature's span,
/// however small that variance is; 0 for a component that does not vary. The order of the texts does not matter.
///
/// # Errors
/// As [`variance_attributed`], but only where no component varies at all.
pub fn variance_explained(contributions: &Tensor, features: &Tensor) -> Result<Vec<f64>> {
    let scores = Projected::on(contributions, features, Basis::tensor)?;
    let wholes = (0..scores.components.len())
        .map(|i| {
            let all = check::f32(&contributions.get(i)?)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            Ok(squared_deviations(&all, scores.width))
        })
        .collect::<Result<Vec<f64>>>()?;
    if wholes.iter().all(|whole| *whole == 0.0) {
        return Err(enough::constant(
            "contributions",
            format!("{} images", scores.images),
            "no component varies over them, so every score would be 0",
        ));
    }
    let share = |(s, whole): (&Vec<f64>, f64)| {
        let inside: f64 = s.iter().map(|v| v * v).sum();
        if whole > 0.0 { inside / whole } else { 0.0 }
    };
    Ok(scores.components.iter().zip(wholes).map(share).collect())
}

fn still_total(images: usize, along: &str) -> Error {
    enough::constant(
        "contributions",
        format!("{images} images"),
        &format!(
            "their sum over components does not vary along {along}, so no component can be scored by it"
        ),
    )
}

/// The components' centred projections on a basis, each B x k in row order.
struct Projected {
    components: Vec<Vec<f64>>,
    /// For each direction the sum of all components' squared projections, before they are centred.
    squares: Vec<f64>,
    basis: Basis,
    images: usize,
    width: usize,
    k: usize,
}

impl Projected {
    fn on(
        contributions: &Tensor,
        features: &Tensor,
        directions: fn(&Basis, &candle_core::Device) -> Result<Tensor>,
    ) -> Result<Self> {
        let (n, images, width) = check::stack("contributions", contributions)?;
        let (_, d) = check::matrix("features", features)?;
        check::same("features", d, width, "channels")?;
        check::finite("contributions", contributions)?;
        let basis = Basis::of(features)?;
        let k = basis.len();
        enough::images(images, k)?;
        if !basis.dropped().is_empty() {
            eprintln!("features: {basis}");
        }
        // One product for all components: (n B x d) (d x k).
        let projected = check::f32(contributions)?
            .contiguous()?
            .reshape((n * images, width))?
            .matmul(&directions(&basis, contributions.device())?)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let mut squares = vec![0.0; k];
        for row in projected.chunks_exact(k) {
            squares
                .iter_mut()
                .zip(row)
                .for_each(|(s, &v)| *s += f64::from(v).powi(2));
        }
        let components = projected
            .par_chunks(images * k)
            .map(|s| centred(s, k))
            .collect();
        Ok(Self {
            components,
            squares,
            basis,
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

    /// For each direction, whether `total` is constant but for the rounding of the components it is the sum of.
    fn constant(&self, total: &[f64]) -> Vec<bool> {
        let variance = |k: usize| column(total, self.k, k).map(|t| t * t).sum::<f64>();
        (0..self.k)
            .map(|k| variance(k) <= CONSTANT * self.squares[k])
            .collect()
    }

    /// The total, which must vary along every direction.
    fn varying_total(&self) -> Result<Vec<f64>> {
        let total = self.total();
        match self.constant(&total).iter().position(|constant| *constant) {
            None => Ok(total),
            Some(k) => {
                let text = 1 + self.basis.kept().get(k).map_or(k, |row| *row);
                let along = match k {
                    0 => format!("text {text} of the features"),
                    _ => format!("what text {text} of the features adds to those before it"),
                };
                Err(still_total(self.images, &along))
            }
        }
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
