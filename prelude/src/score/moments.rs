//! Moments of rows that come in chunks: means and centred second moments in f64, which merge without loss (Chan, Golub,
//! LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979), so that one pass over the
//! images is enough and how they are cut does not matter.

use crate::Result;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

/// For n components and k columns the moments of each component's column and of that column of one reference, which is
/// the sum of all components or another value of the same images.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comoments {
    pub columns: usize,
    pub rows: f64,
    /// n x k.
    pub mean: Vec<f64>,
    /// n x k: the sum of squared deviations.
    pub own: Vec<f64>,
    /// k.
    pub reference_mean: Vec<f64>,
    /// k: the sum of the reference's squared deviations.
    pub reference: Vec<f64>,
    /// n x k: the sum of products of both deviations.
    pub cross: Vec<f64>,
}

impl Comoments {
    /// Of no rows.
    pub fn new(components: usize, columns: usize) -> Self {
        let each = vec![0.0; components * columns];
        Self {
            columns,
            rows: 0.0,
            mean: each.clone(),
            own: each.clone(),
            reference_mean: vec![0.0; columns],
            reference: vec![0.0; columns],
            cross: each,
        }
    }

    /// Of the rows of `components` (each b x k in row order) and of `reference` (b x k).
    pub fn of(components: &[Vec<f64>], reference: &[f64], columns: usize) -> Self {
        let (reference_mean, reference) = centred(reference, columns);
        let products = |a: &[f64], b: &[f64]| -> Vec<f64> {
            let mut sums = vec![0.0; columns];
            for (a, b) in a.chunks_exact(columns).zip(b.chunks_exact(columns)) {
                let pairs = a.iter().zip(b);
                sums.iter_mut()
                    .zip(pairs)
                    .for_each(|(sum, (a, b))| *sum += a * b);
            }
            sums
        };
        let each: Vec<[Vec<f64>; 3]> = components
            .par_iter()
            .map(|values| {
                let (mean, centred) = centred(values, columns);
                [
                    mean,
                    products(&centred, &centred),
                    products(&centred, &reference),
                ]
            })
            .collect();
        let column = |k: usize| each.iter().flat_map(|of| of[k].iter().copied()).collect();
        Self {
            columns,
            rows: (reference.len() / columns) as f64,
            mean: column(0),
            own: column(1),
            reference_mean,
            reference: products(&reference, &reference),
            cross: column(2),
        }
    }

    /// With the rows of `other`, which are of the same components and columns.
    pub fn merge(&mut self, other: &Self) {
        let rows = self.rows + other.rows;
        if rows == 0.0 {
            return;
        }
        let (weight, share) = (self.rows * other.rows / rows, other.rows / rows);
        let apart: Vec<f64> = (other.reference_mean.iter())
            .zip(&self.reference_mean)
            .map(|(b, a)| b - a)
            .collect();
        for i in 0..self.mean.len() {
            let j = i % self.columns;
            let own = other.mean[i] - self.mean[i];
            self.own[i] += other.own[i] + own * own * weight;
            self.cross[i] += other.cross[i] + own * apart[j] * weight;
            self.mean[i] += own * share;
        }
        for (j, apart) in apart.into_iter().enumerate() {
            self.reference[j] += other.reference[j] + apart * apart * weight;
            self.reference_mean[j] += apart * share;
        }
        self.rows = rows;
    }

    /// The sum of squares of component i's column j, before it is centred.
    pub fn square(&self, i: usize, j: usize) -> f64 {
        let at = i * self.columns + j;
        self.own[at] + self.rows * self.mean[at].powi(2)
    }
}

/// The mean of each column, and the columns less their means.
fn centred(values: &[f64], columns: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = values.len() / columns;
    let mut mean = vec![0.0; columns];
    for row in values.chunks_exact(columns) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
    }
    mean.iter_mut().for_each(|m| *m /= rows.max(1) as f64);
    let centred = values
        .iter()
        .enumerate()
        .map(|(i, v)| v - mean[i % columns]);
    let centred = centred.collect();
    (mean, centred)
}

/// The mean of each channel of n components and each component's squared deviations from it, summed over channels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spread {
    width: usize,
    rows: f64,
    /// n x d.
    pub mean: Vec<f64>,
    /// n.
    pub deviation: Vec<f64>,
}

impl Spread {
    /// Of no images.
    pub fn new(components: usize, width: usize) -> Self {
        Self {
            width,
            rows: 0.0,
            mean: vec![0.0; components * width],
            deviation: vec![0.0; components],
        }
    }

    /// Of a block, n x b x d.
    pub fn of(block: &Tensor) -> Result<Self> {
        let (n, rows, width) = block.dims3()?;
        let components = (0..n)
            .map(|i| values(&block.get(i)?))
            .collect::<Result<Vec<_>>>()?;
        let each: Vec<(Vec<f64>, f64)> = components
            .par_iter()
            .map(|values| spread(values, width))
            .collect();
        Ok(Self {
            width,
            rows: rows as f64,
            mean: each.iter().flat_map(|(mean, _)| mean.clone()).collect(),
            deviation: each.iter().map(|(_, deviation)| *deviation).collect(),
        })
    }

    /// With the images of `other`.
    pub fn merge(&mut self, other: &Self) {
        let rows = self.rows + other.rows;
        if rows == 0.0 {
            return;
        }
        let (weight, share) = (self.rows * other.rows / rows, other.rows / rows);
        let means = self.mean.chunks_exact_mut(self.width);
        let others = other.mean.chunks_exact(self.width);
        for (i, (mean, other_mean)) in means.zip(others).enumerate() {
            let mut apart = 0.0;
            for (a, b) in mean.iter_mut().zip(other_mean) {
                apart += (b - *a).powi(2);
                *a += (b - *a) * share;
            }
            self.deviation[i] += other.deviation[i] + apart * weight;
        }
        self.rows = rows;
    }
}

/// The mean of each channel of rows of `width`, and the sum of squared deviations.
fn spread(values: &[f32], width: usize) -> (Vec<f64>, f64) {
    let rows = (values.len() / width).max(1) as f64;
    let mut mean = vec![0.0; width];
    for row in values.chunks_exact(width) {
        mean.iter_mut()
            .zip(row)
            .for_each(|(m, &v)| *m += f64::from(v));
    }
    mean.iter_mut().for_each(|m| *m /= rows);
    let row = |row: &[f32]| -> f64 {
        let deviations = row.iter().zip(&mean).map(|(&v, m)| f64::from(v) - m);
        deviations.map(|v| v * v).sum()
    };
    let deviation = values.chunks_exact(width).map(row).sum();
    (mean, deviation)
}

/// The values of a tensor in row order, as f32.
fn values(t: &Tensor) -> Result<Vec<f32>> {
    Ok(t.to_device(&Device::Cpu)?
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1()?)
}

/// For each component of a block (n x b x d) its products with `directions` (d x k, f64), b x k in row order.
///
/// In f64: the rounding of an f32 product depends on how many rows are multiplied at once.
pub(super) fn projected(block: &Tensor, directions: &Tensor) -> Result<Vec<Vec<f64>>> {
    (0..block.dim(0)?)
        .map(|i| {
            let component = block.get(i)?.to_dtype(DType::F64)?.contiguous()?;
            Ok(component.matmul(directions)?.flatten_all()?.to_vec1()?)
        })
        .collect()
}

/// The sum of the components' rows.
pub(super) fn total(components: &[Vec<f64>]) -> Vec<f64> {
    let mut total = vec![0.0; components.first().map_or(0, Vec::len)];
    for values in components {
        total.iter_mut().zip(values).for_each(|(t, v)| *t += v);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, rows: usize, columns: usize) -> Vec<Vec<f64>> {
        let value = |i: usize| 100.0 + (i as f64 * 0.7).sin();
        (0..n)
            .map(|c| {
                (0..rows * columns)
                    .map(|i| value(i * (c + 1) + c))
                    .collect()
            })
            .collect()
    }

    #[test]
    fn moments_of_parts_merge_to_those_of_the_whole_in_any_order() {
        let all = rows(3, 12, 2);
        let whole = Comoments::of(&all, &total(&all), 2);
        let parts: Vec<Comoments> = [0..1, 1..8, 8..12]
            .into_iter()
            .map(|range| {
                let part: Vec<Vec<f64>> = all
                    .iter()
                    .map(|c| c[2 * range.start..2 * range.end].to_vec())
                    .collect();
                Comoments::of(&part, &total(&part), 2)
            })
            .collect();
        for order in [[0, 1, 2], [2, 0, 1]] {
            let mut merged = Comoments::new(3, 2);
            order.iter().for_each(|&i| merged.merge(&parts[i]));
            let pairs = [
                (&merged.mean, &whole.mean),
                (&merged.own, &whole.own),
                (&merged.cross, &whole.cross),
                (&merged.reference, &whole.reference),
                (&merged.reference_mean, &whole.reference_mean),
            ];
            for (got, want) in pairs {
                for (got, want) in got.iter().zip(want) {
                    assert!((got - want).abs() < 1e-9 * want.abs(), "{got} for {want}");
                }
            }
        }
    }
}
