//! An orthonormal basis of the span of a feature's instantiations.

use candle_core::{DType, Device, Tensor};

use crate::align::check;
use crate::{Error, Result};

/// A vector whose part outside the span so far is smaller than this share of it lies in the span.
const DEPENDENT: f64 = 1e-6;

/// Orthonormal directions q_1, q_2, ... (d x k): the Q of a QR decomposition of the features as columns, up to
/// signs, which no score depends on. Their order matters for scores that are means over directions: the first is
/// the first feature's, each next one what its feature adds. Features that add nothing are left out.
#[derive(Debug, Clone)]
pub struct Basis {
    directions: Vec<Vec<f64>>,
}

impl Basis {
    /// From `features`, k x d, one row an instantiation ("sea", "forest", ...). Computed in f64 by Gram-Schmidt,
    /// each vector orthogonalised twice, which is as good as Householder's method.
    ///
    /// # Errors
    /// No features, NaN or infinity, or only zero vectors.
    pub fn of(features: &Tensor) -> Result<Self> {
        check::matrix("features", features)?;
        check::finite("features", features)?;
        let rows = features.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let mut directions: Vec<Vec<f64>> = Vec::with_capacity(rows.len());
        for mut row in rows {
            let length = norm(&row);
            for _ in 0..2 {
                for q in &directions {
                    let along = dot(q, &row);
                    row.iter_mut().zip(q).for_each(|(r, q)| *r -= along * q);
                }
            }
            let rest = norm(&row);
            if rest > DEPENDENT * length && directions.len() < row.len() {
                row.iter_mut().for_each(|r| *r /= rest);
                directions.push(row);
            }
        }
        if directions.is_empty() {
            return Err(Error::argument(
                "features",
                "zero vectors only",
                "at least one vector that is not zero",
            ));
        }
        Ok(Self { directions })
    }

    /// Number of directions, at most the number of features.
    pub fn len(&self) -> usize {
        self.directions.len()
    }

    /// Never: a basis has at least one direction.
    pub fn is_empty(&self) -> bool {
        self.directions.is_empty()
    }

    /// The directions as columns, d x k, f32.
    pub fn tensor(&self, device: &Device) -> Result<Tensor> {
        let (k, d) = (self.len(), self.directions[0].len());
        let flat: Vec<f32> = self
            .directions
            .iter()
            .flatten()
            .map(|&v| v as f32)
            .collect();
        Ok(Tensor::from_vec(flat, (k, d), device)?.t()?.contiguous()?)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}
