//! Sparse text codes: a vector written as a sum of few texts out of a vocabulary.
//!
//! Two ways: orthogonal matching pursuit (Pati, Rezaiifar, Krishnaprasad 1993), which picks text after text, and
//! the non-negative lasso, as SpLiCE codes CLIP's embeddings (Bhalla et al., "Interpreting CLIP with Sparse Linear
//! Concept Embeddings", NeurIPS 2024). Nothing is centred here; a caller who wants differences from a mean subtracts
//! it from data and texts first.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::check;
use crate::{Error, Result};

/// A text less than this share of which lies outside the texts picked already adds no direction.
const SPENT: f64 = 1e-6;

/// The lasso stops when its duality gap is below this share of the data's own squared length.
const GAP: f64 = 1e-12;

/// Passes over the vocabulary after which the lasso gives up.
const PASSES: usize = 100_000;

/// The texts of one vector in the order in which they were picked.
#[derive(Debug, Clone)]
pub struct Pursuit {
    /// Rows of the texts.
    pub picks: Vec<usize>,
    /// For 1, 2, ... picks the coefficients of those texts, in the order of the picks.
    pub coefficients: Vec<Vec<f64>>,
    /// For 1, 2, ... picks the length of what is left of the vector.
    pub residuals: Vec<f64>,
    /// The vector's own length.
    pub length: f64,
}

impl Pursuit {
    /// The share of the vector's squared length that its texts account for after all picks.
    pub fn explained(&self) -> f64 {
        explained(self.length, self.residuals.last().copied())
    }
}

/// A non-negative code of one vector.
#[derive(Debug, Clone)]
pub struct SparseCode {
    /// One coefficient a text, none below zero, most of them exactly zero.
    pub coefficients: Vec<f64>,
    /// The length of what is left of the vector.
    pub residual: f64,
    /// The vector's own length.
    pub length: f64,
}

impl SparseCode {
    /// Rows of the texts with a coefficient above zero, the largest first, and the coefficients.
    pub fn texts(&self) -> Vec<(usize, f64)> {
        let used = self.coefficients.iter().copied().enumerate();
        let mut used: Vec<_> = used.filter(|(_, c)| *c > 0.0).collect();
        used.sort_by(|a, b| b.1.total_cmp(&a.1));
        used
    }

    /// The share of the vector's squared length that its texts account for.
    pub fn explained(&self) -> f64 {
        explained(self.length, Some(self.residual))
    }
}

fn explained(length: f64, residual: Option<f64>) -> f64 {
    match (length > 0.0, residual) {
        (true, Some(residual)) => 1.0 - (residual / length).powi(2),
        _ => 0.0,
    }
}

/// Codes each row of `data` (P x D) by up to `count` of `texts` (m x D): the next text is the one with the largest
/// absolute product with what is left, and after each pick the coefficients of all picks are fitted anew by least
/// squares. Fewer texts are picked where nothing is left to explain.
///
/// # Errors
/// Shapes that do not fit, NaN or infinity, a `count` of 0 or above the number of texts.
pub fn matching_pursuit(data: &Tensor, texts: &Tensor, count: usize) -> Result<Vec<Pursuit>> {
    let (vectors, texts) = rows(data, texts)?;
    if count == 0 || count > texts.len() {
        return Err(Error::argument(
            "count",
            count,
            format!("from 1 to {}, the number of texts", texts.len()),
        ));
    }
    Ok(vectors
        .par_iter()
        .map(|vector| pursue(vector, &texts, count))
        .collect())
}

fn pursue(vector: &[f64], texts: &[Vec<f64>], count: usize) -> Pursuit {
    let mut pursuit = Pursuit {
        picks: Vec::new(),
        coefficients: Vec::new(),
        residuals: Vec::new(),
        length: norm(vector),
    };
    let mut left = vector.to_vec();
    // texts[picks] = units^T R, R upper triangular by columns; along = units vector.
    let mut units: Vec<Vec<f64>> = Vec::new();
    let mut columns: Vec<Vec<f64>> = Vec::new();
    let mut along: Vec<f64> = Vec::new();
    while pursuit.picks.len() < count {
        let products: Vec<f64> = texts.iter().map(|text| dot(text, &left).abs()).collect();
        let fresh = (0..texts.len()).filter(|j| !pursuit.picks.contains(j));
        let Some(pick) = fresh.reduce(|best, j| {
            if products[j] > products[best] {
                j
            } else {
                best
            }
        }) else {
            break;
        };
        if products[pick] <= SPENT * SPENT * pursuit.length * norm(&texts[pick]) {
            break;
        }
        let mut unit = texts[pick].clone();
        let mut column = vec![0.0; units.len()];
        // Twice is enough for full precision.
        for _ in 0..2 {
            for (q, c) in units.iter().zip(&mut column) {
                let shared = dot(q, &unit);
                *c += shared;
                unit.iter_mut().zip(q).for_each(|(u, q)| *u -= shared * q);
            }
        }
        let length = norm(&unit);
        if length <= SPENT * norm(&texts[pick]) {
            break;
        }
        unit.iter_mut().for_each(|u| *u /= length);
        column.push(length);
        let share = dot(&unit, &left);
        left.iter_mut()
            .zip(&unit)
            .for_each(|(l, u)| *l -= share * u);
        along.push(share);
        units.push(unit);
        columns.push(column);
        pursuit.picks.push(pick);
        pursuit.coefficients.push(solve(&columns, &along));
        pursuit.residuals.push(norm(&left));
    }
    pursuit
}

/// The solution of R x = b, R upper triangular and given by its columns.
fn solve(columns: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let mut x = b.to_vec();
    for j in (0..x.len()).rev() {
        x[j] /= columns[j][j];
        let value = x[j];
        for (x, r) in x[..j].iter_mut().zip(&columns[j]) {
            *x -= r * value;
        }
    }
    x
}

/// Codes each row y of `data` (P x D) by the c >= 0 with the least `|y - c texts|^2 / (2 D) + alpha sum(c)`, `texts`
/// m x D: scikit-learn's `Lasso(alpha, positive=True, fit_intercept=False)`, by coordinate descent until the duality
/// gap is below 1e-12 of `|y|^2 / (2 D)`. A larger `alpha` uses fewer texts.
///
/// # Errors
/// Shapes that do not fit, NaN or infinity, an `alpha` that is not above 0, a descent that does not converge.
pub fn sparse_code(data: &Tensor, texts: &Tensor, alpha: f64) -> Result<Vec<SparseCode>> {
    if !(alpha > 0.0 && alpha.is_finite()) {
        return Err(Error::argument(
            "alpha",
            alpha,
            "a number above 0; 0.0005 of unit vectors uses some ten texts",
        ));
    }
    let (vectors, texts) = rows(data, texts)?;
    let squares: Vec<f64> = texts.iter().map(|text| dot(text, text)).collect();
    vectors
        .par_iter()
        .map(|vector| Descent::new(vector, &texts, &squares, alpha).run())
        .collect()
}

/// Coordinate descent for one vector.
struct Descent<'a> {
    vector: &'a [f64],
    texts: &'a [Vec<f64>],
    squares: &'a [f64],
    /// `alpha` times the number of channels: the penalty of `|y - c texts|^2 / 2`.
    penalty: f64,
    coefficients: Vec<f64>,
    left: Vec<f64>,
}

impl<'a> Descent<'a> {
    fn new(vector: &'a [f64], texts: &'a [Vec<f64>], squares: &'a [f64], alpha: f64) -> Self {
        Self {
            vector,
            texts,
            squares,
            penalty: alpha * vector.len() as f64,
            coefficients: vec![0.0; texts.len()],
            left: vector.to_vec(),
        }
    }

    fn run(mut self) -> Result<SparseCode> {
        let length = norm(self.vector);
        let enough = GAP * 0.5 * length * length;
        let all: Vec<usize> = (0..self.texts.len()).collect();
        for pass in 0..PASSES {
            // Texts in use are swept more often than the whole vocabulary, which mostly stays at zero.
            self.sweep(&all);
            let used: Vec<usize> = (all.iter().copied())
                .filter(|&j| self.coefficients[j] > 0.0)
                .collect();
            for _ in 0..10 {
                self.sweep(&used);
            }
            if self.gap() <= enough {
                return Ok(SparseCode {
                    residual: norm(&self.left),
                    coefficients: self.coefficients,
                    length,
                });
            }
            if pass % 64 == 63 {
                self.refresh();
            }
        }
        Err(Error::argument(
            "alpha",
            self.penalty / self.vector.len() as f64,
            "a larger one: the code does not settle, because too many texts say nearly the same",
        ))
    }

    fn sweep(&mut self, texts: &[usize]) {
        for &j in texts {
            let (text, square) = (&self.texts[j], self.squares[j]);
            if square == 0.0 {
                continue;
            }
            let old = self.coefficients[j];
            let new = ((dot(text, &self.left) + square * old - self.penalty) / square).max(0.0);
            if new != old {
                let change = new - old;
                self.left
                    .iter_mut()
                    .zip(text)
                    .for_each(|(l, t)| *l -= change * t);
                self.coefficients[j] = new;
            }
        }
    }

    /// What is left, computed anew, so that rounding does not add up over many sweeps.
    fn refresh(&mut self) {
        self.left = self.vector.to_vec();
        for (c, text) in self.coefficients.iter().zip(self.texts) {
            if *c > 0.0 {
                self.left
                    .iter_mut()
                    .zip(text)
                    .for_each(|(l, t)| *l -= c * t);
            }
        }
    }

    /// The primal value less that of the dual point that what is left scales to.
    fn gap(&self) -> f64 {
        let products = self.texts.iter().map(|text| dot(text, &self.left));
        let largest = products.fold(0.0, f64::max);
        let scale = match largest > self.penalty {
            true => self.penalty / largest,
            false => 1.0,
        };
        let left = dot(&self.left, &self.left);
        let sum: f64 = self.coefficients.iter().sum();
        let along = dot(&self.left, self.vector);
        let primal = 0.5 * left + self.penalty * sum;
        let dual = scale * along - 0.5 * scale * scale * left;
        primal - dual
    }
}

type Rows = Vec<Vec<f64>>;

/// The rows of `data` and `texts`, checked, in f64.
fn rows(data: &Tensor, texts: &Tensor) -> Result<(Rows, Rows)> {
    let (_, d) = check::matrix("data", data)?;
    let (_, width) = check::matrix("texts", texts)?;
    check::same("texts", width, d, "channels")?;
    check::finite("data", data)?;
    check::finite("texts", texts)?;
    let rows = |t: &Tensor| -> Result<Rows> {
        Ok(t.to_device(&Device::Cpu)?
            .to_dtype(DType::F64)?
            .to_vec2::<f64>()?)
    };
    Ok((rows(data)?, rows(texts)?))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}
