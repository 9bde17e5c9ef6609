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

use candle_core::{DType, Device, Tensor};

use super::moments::{Comoments, Spread, projected, total};
use super::{Basis, enough};
use crate::check;
use crate::decompose::{ImageChunks, each_block};
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
pub fn variance_attributed<C: ImageChunks + ?Sized>(
    contributions: &C,
    features: &Tensor,
) -> Result<Vec<f64>> {
    one(variances_attributed(contributions, &[features])?)
}

/// [`variance_attributed`] of several features in one pass over the images: features x components.
pub(super) fn variances_attributed<C: ImageChunks + ?Sized>(
    contributions: &C,
    features: &[&Tensor],
) -> Result<Vec<Vec<f64>>> {
    let each = Projected::on_each(contributions, features, Basis::tensor)?;
    each.iter().map(Projected::variance_attributed).collect()
}

/// The order-free score: trace cov(s_i, S) / sqrt(trace cov(s_i) trace cov(S)) for each component i of `contributions`
/// (n x B x d), the traces over the span of `features` (k x d, one row a text); from -1 to 1. Directions weigh by their
/// variance, and neither the order of the texts nor a rotation of the basis changes it, where [`variance_attributed`],
/// the paper's score, depends on both. For one text it is Pearson's correlation. 0 for a component that does not vary
/// in the span; by the paper's [`Sharing`](crate::decompose::Sharing) rule even a dead head varies.
///
/// # Errors
/// As [`variance_attributed`]; a single direction may be without variance as long as one has some.
pub fn correlation_attributed<C: ImageChunks + ?Sized>(
    contributions: &C,
    features: &Tensor,
) -> Result<Vec<f64>> {
    one(correlations_attributed(contributions, &[features])?)
}

/// [`correlation_attributed`] of several features in one pass over the images: features x components.
pub(super) fn correlations_attributed<C: ImageChunks + ?Sized>(
    contributions: &C,
    features: &[&Tensor],
) -> Result<Vec<Vec<f64>>> {
    let each = Projected::on_each(contributions, features, Basis::principal)?;
    each.iter().map(Projected::correlation_attributed).collect()
}

/// The mean over the feature's directions of cov(S, s_i), not normalised (the mean of products over images). The
/// components' values sum to the mean variance of the total. Whoever has large contributions has large values; the
/// order of the texts does not matter.
///
/// # Errors
/// As [`variance_attributed`].
pub fn covariance_attributed<C: ImageChunks + ?Sized>(
    contributions: &C,
    features: &Tensor,
) -> Result<Vec<f64>> {
    one(covariances_attributed(contributions, &[features])?)
}

/// [`covariance_attributed`] of several features in one pass over the images: features x components.
pub(super) fn covariances_attributed<C: ImageChunks + ?Sized>(
    contributions: &C,
    features: &[&Tensor],
) -> Result<Vec<Vec<f64>>> {
    let each = Projected::on_each(contributions, features, Basis::tensor)?;
    each.iter()
        .map(|scores| {
            scores.check_total()?;
            let b = scores.images as f64;
            Ok(scores.each(|i, j| scores.moments(i, j).0 / b))
        })
        .collect()
}

/// trace(cov(s_i)) / trace(cov(c_i)): the share of each component's own variance that lies in the feature's span,
/// however small that variance is; 0 for a component that does not vary. The order of the texts does not matter.
///
/// # Errors
/// As [`variance_attributed`], but only where no component varies at all.
pub fn variance_explained<C: ImageChunks + ?Sized>(
    contributions: &C,
    features: &Tensor,
) -> Result<Vec<f64>> {
    one(variances_explained(contributions, &[features])?)
}

/// [`variance_explained`] of several features in one pass over the images: features x components.
pub(super) fn variances_explained<C: ImageChunks + ?Sized>(
    contributions: &C,
    features: &[&Tensor],
) -> Result<Vec<Vec<f64>>> {
    let (n, images, width) = contributions.extent("contributions")?;
    let mut spread = Spread::new(n, width);
    let each = Projected::with(contributions, features, Basis::tensor, |block| {
        spread.merge(&Spread::of(block)?);
        Ok(())
    })?;
    // Deviations that are the rounding of values far from 0 are none.
    let wholes = spread.deviation.iter().enumerate().map(|(i, deviation)| {
        let mean = &spread.mean[i * width..(i + 1) * width];
        let square = deviation + images as f64 * mean.iter().map(|m| m * m).sum::<f64>();
        if *deviation > CONSTANT * square {
            *deviation
        } else {
            0.0
        }
    });
    let wholes: Vec<f64> = wholes.collect();
    if wholes.iter().all(|whole| *whole == 0.0) {
        return Err(enough::constant(
            "contributions",
            format!("{images} images"),
            "no component varies over them, so every score would be 0",
        ));
    }
    let shares = |scores: &Projected| {
        let each = wholes.iter().enumerate().map(|(i, &whole)| {
            let inside: f64 = (0..scores.k).map(|j| scores.moments(i, j).1).sum();
            if whole > 0.0 { inside / whole } else { 0.0 }
        });
        each.collect()
    };
    Ok(each.iter().map(shares).collect())
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

/// The answer of a pass over one feature.
fn one(answers: Vec<Vec<f64>>) -> Result<Vec<f64>> {
    let count = answers.len();
    let answer = answers.into_iter().next();
    answer.ok_or_else(|| Error::argument("features", format!("{count} answers"), "one"))
}

/// The moments of the components' projections on a basis, and of their sum's.
struct Projected {
    moments: Comoments,
    basis: Basis,
    components: usize,
    images: usize,
    k: usize,
}

impl Projected {
    fn on_each<C: ImageChunks + ?Sized>(
        contributions: &C,
        features: &[&Tensor],
        directions: Directions,
    ) -> Result<Vec<Self>> {
        Self::with(contributions, features, directions, |_| Ok(()))
    }

    /// In one pass over the images, in which each block goes to `beside` too.
    fn with<C: ImageChunks + ?Sized>(
        contributions: &C,
        features: &[&Tensor],
        directions: Directions,
        mut beside: impl FnMut(&Tensor) -> Result<()>,
    ) -> Result<Vec<Self>> {
        let (n, images, width) = contributions.extent("contributions")?;
        let mut all = Vec::with_capacity(features.len());
        for features in features {
            let (_, d) = check::matrix("features", features)?;
            check::same("features", d, width, "channels")?;
            let basis = Basis::of(features)?;
            let k = basis.len();
            enough::images(images, k)?;
            if !basis.dropped().is_empty() {
                eprintln!("features: {basis}");
            }
            all.push((
                directions(&basis, &Device::Cpu)?.to_dtype(DType::F64)?,
                Self {
                    moments: Comoments::new(n, k),
                    basis,
                    components: n,
                    images,
                    k,
                },
            ));
        }
        each_block(contributions, |_, block| {
            for (directions, scores) in &mut all {
                // One copy, made where the contributions are.
                if !directions.device().same_device(block.device()) {
                    *directions = directions.to_device(block.device())?;
                }
                let each = projected(block, directions)?;
                let total = total(&each);
                check::finite_sum("contributions", total.iter().sum())?;
                scores
                    .moments
                    .merge(&Comoments::of(&each, &total, scores.k));
            }
            beside(block)
        })?;
        Ok(all.into_iter().map(|(_, scores)| scores).collect())
    }

    /// Of component i along direction j the sums of products with the total and of squares, centred; 0 where it is
    /// constant but for rounding.
    fn moments(&self, i: usize, j: usize) -> (f64, f64) {
        let at = i * self.k + j;
        match self.moments.own[at] > CONSTANT * self.moments.square(i, j) {
            true => (self.moments.cross[at], self.moments.own[at]),
            false => (0.0, 0.0),
        }
    }

    /// Whether the total is constant along direction j but for the rounding of the components it is the sum of.
    fn constant(&self, j: usize) -> bool {
        let squares: f64 = (0..self.components)
            .map(|i| self.moments.square(i, j))
            .sum();
        self.moments.reference[j] <= CONSTANT * squares
    }

    /// Refuses a total that does not vary along every direction.
    fn check_total(&self) -> Result<()> {
        match (0..self.k).find(|&j| self.constant(j)) {
            None => Ok(()),
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

    fn correlation_attributed(&self) -> Result<Vec<f64>> {
        if (0..self.k).all(|j| self.constant(j)) {
            return Err(still_total(self.images, "any direction of the features"));
        }
        let all: f64 = self.moments.reference.iter().sum();
        let score = |i: usize| {
            let each = (0..self.k).map(|j| self.moments(i, j));
            let (covariance, own) =
                each.fold((0.0, 0.0), |(c, o), (cross, own)| (c + cross, o + own));
            match own > 0.0 {
                true => covariance / (own * all).sqrt(),
                false => 0.0,
            }
        };
        Ok((0..self.components).map(score).collect())
    }

    fn variance_attributed(&self) -> Result<Vec<f64>> {
        self.check_total()?;
        let b = self.images as f64;
        Ok(self.each(|i, j| {
            let (covariance, own) = self.moments(i, j);
            match own > 0.0 {
                true => covariance / (own * self.moments.reference[j]).sqrt() * (b - 1.0) / b,
                false => 0.0,
            }
        }))
    }

    /// For each component the mean of `score` over the directions.
    fn each(&self, score: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        (0..self.components)
            .map(|i| (0..self.k).map(|j| score(i, j)).sum::<f64>() / self.k as f64)
            .collect()
    }
}

/// The directions of a basis as columns, d x k.
type Directions = fn(&Basis, &Device) -> Result<Tensor>;
