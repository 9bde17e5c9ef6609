//! The covariance of vectors that come in chunks.

use candle_core::{Device, Tensor};

use crate::Result;

/// Mean and sum of outer products of deviations of vectors, in f64; two of them merge to those of all vectors (Chan,
/// Golub, LeVeque 1979).
#[derive(Clone)]
pub(super) struct Scatter {
    rows: usize,
    /// d.
    mean: Vec<f64>,
    /// d x d.
    products: Vec<f64>,
}

impl Scatter {
    /// Of no vectors of `width` channels.
    pub fn new(width: usize) -> Self {
        Self {
            rows: 0,
            mean: vec![0.0; width],
            products: vec![0.0; width * width],
        }
    }

    /// Of the rows of `data`, b x d in f64 on the CPU.
    pub fn of(data: &Tensor) -> Result<Self> {
        let mean = data.mean_keepdim(0)?;
        let centred = data.broadcast_sub(&mean)?;
        Ok(Self {
            rows: data.dim(0)?,
            mean: mean.flatten_all()?.to_vec1()?,
            products: centred.t()?.matmul(&centred)?.flatten_all()?.to_vec1()?,
        })
    }

    /// With the vectors of `other`.
    pub fn merge(&mut self, other: &Self) {
        let rows = self.rows + other.rows;
        if rows == 0 {
            return;
        }
        let share = other.rows as f64 / rows as f64;
        let weight = self.rows as f64 * share;
        let apart: Vec<f64> = self
            .mean
            .iter()
            .zip(&other.mean)
            .map(|(a, b)| b - a)
            .collect();
        let lines = self.products.chunks_exact_mut(apart.len());
        let others = other.products.chunks_exact(apart.len());
        for ((line, other), a) in lines.zip(others).zip(&apart) {
            for ((sum, other), b) in line.iter_mut().zip(other).zip(&apart) {
                *sum += other + a * b * weight;
            }
        }
        self.mean
            .iter_mut()
            .zip(&apart)
            .for_each(|(m, a)| *m += a * share);
        self.rows = rows;
    }

    /// Number of channels.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// Number of vectors.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// 1 x d.
    pub fn mean(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(
            &self.mean,
            (1, self.width()),
            &Device::Cpu,
        )?)
    }

    /// d x d, unbiased.
    pub fn covariance(&self) -> Result<Tensor> {
        let rows = self.rows.saturating_sub(1).max(1) as f64;
        let values = self.products.iter().map(|v| v / rows).collect();
        Ok(Tensor::from_vec(
            values,
            (self.width(), self.width()),
            &Device::Cpu,
        )?)
    }

    /// The mean over vectors of their squared lengths.
    pub fn mean_square(&self) -> f64 {
        let deviations: f64 = self.products.iter().step_by(self.width() + 1).sum();
        deviations / self.rows.max(1) as f64 + self.mean.iter().map(|m| m * m).sum::<f64>()
    }
}
