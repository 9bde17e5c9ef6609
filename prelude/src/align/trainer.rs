//! One optimisation step of the aligner, its gradient derived by hand.
//!
//! With z = sum_i c_i W_i + b, unit vectors z' = z / |z| and y' = y / |y|, and B images:
//!
//! - d(1 - cos)/dz = -(y' - cos z') / (|z| B), and from it the gradients of W_i (c_i^T dz) and b (sum of dz);
//! - d[D mean((W^T W - I)^2)]/dW_i = 4 / (n D) W_i (W_i^T W_i - I), the mean over the n x D x D entries, exactly or from
//!   random probes.
//!
//! The components lie side by side in one (B x n d) matrix, so that forward and gradient are one product each; probes are
//! further rows of it.

use candle_core::{D, Tensor};

use super::adam::{Parameter, Rate};
use super::check;
use super::isometry::{self, Probes};
use crate::Result;

/// PyTorch's guard against a zero vector in a cosine.
const EPS: f64 = 1e-8;

/// The two terms of the loss at one step, before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// Mean cosine between the aligned sum and the target.
    pub cosine: f32,
    /// `D * mean((W^T W - I)^2)`: the paper's `lambda * mean_i ||W_i^T W_i - I||_F^2` with lambda = 1/D; an estimate
    /// where it is taken from random probes.
    pub orthogonality: f32,
}

/// Weights, bias and their moments; advances one batch at a time, in place.
#[derive(Debug)]
pub struct Trainer {
    pub(super) weights: Parameter,
    pub(super) bias: Parameter,
    pub(super) rate: Rate,
    pub(super) orthogonality: f64,
    pub(super) probes: Option<Probes>,
    pub(super) steps: usize,
}

/// Loss and gradients at one batch.
#[derive(Debug)]
pub struct Gradients {
    /// The loss at the weights the gradients were taken at.
    pub loss: Loss,
    /// n x d x D.
    pub weights: Tensor,
    /// D.
    pub bias: Tensor,
}

impl Trainer {
    /// Starts from `weights` (n x d x D) and `bias` (D), which are copied. `weight_decay` is an L2 penalty
    /// as in `torch.optim.Adam`; `orthogonality` multiplies `D * mean((W^T W - I)^2)`.
    pub fn new(
        weights: &Tensor,
        bias: &Tensor,
        learning_rate: f64,
        weight_decay: f64,
        orthogonality: f64,
    ) -> Result<Self> {
        let (_, _, width) = check::stack("weights", weights)?;
        check::same("bias", bias.elem_count(), width, "values")?;
        Ok(Self {
            weights: Parameter::new(weights)?,
            bias: Parameter::new(&bias.flatten_all()?)?,
            rate: Rate {
                learning_rate,
                weight_decay,
            },
            orthogonality,
            probes: None,
            steps: 0,
        })
    }

    /// This trainer with the isometry term taken from `count` random probes of `seed` at each step, unbiased: see
    /// [`Isometry`](super::Isometry).
    pub fn with_probes(self, count: usize, seed: u64) -> Self {
        Self {
            probes: Some(Probes { count, seed }),
            ..self
        }
    }

    /// The maps, n x d x D, as they are now.
    pub fn weights(&self) -> &Tensor {
        self.weights.value()
    }

    /// The shared bias, D, as it is now.
    pub fn bias(&self) -> &Tensor {
        self.bias.value()
    }

    /// One Adam step on `contributions` (n x B x d) against `targets` (B x D); the loss before it.
    pub fn step(&mut self, contributions: &Tensor, targets: &Tensor) -> Result<Loss> {
        let g = self.gradients(contributions, targets)?;
        self.steps += 1;
        self.weights.step(&g.weights, self.rate, self.steps)?;
        self.bias.step(&g.bias, self.rate, self.steps)?;
        Ok(g.loss)
    }

    /// Loss and gradients (weight decay not among them) at `contributions` (n x B x d), `targets` (B x D).
    pub fn gradients(&self, contributions: &Tensor, targets: &Tensor) -> Result<Gradients> {
        let w = self.weights();
        let (n, d, width) = w.dims3()?;
        let images = contributions.dim(1)?;
        check::same("targets", targets.dim(0)?, images, "images")?;

        let z = forward(&side_by_side(contributions)?, w, self.bias())?;
        let (z_unit, z_norm) = unit(&z)?;
        let (y_unit, _) = unit(targets)?;
        let cos = (&z_unit * &y_unit)?.sum_keepdim(D::Minus1)?;
        let grad_z =
            (z_unit.broadcast_mul(&cos)? - y_unit)?.broadcast_div(&(z_norm * images as f64)?)?;

        let pull = 4.0 * self.orthogonality / (n * width) as f64;
        let c = contributions.transpose(1, 2)?.contiguous()?;
        let (orthogonality, grad_w) = match self.probes {
            None => {
                let (term, gradient) = isometry::exact(w)?;
                let grad_w = c.reshape((n * d, images))?.matmul(&grad_z)?;
                let grad_w = grad_w.reshape((n, d, width))?;
                (term, (grad_w + (gradient * pull)?)?)
            }
            Some(probes) => {
                let (term, left, right) = probes.estimate(w, self.steps)?;
                let rows = images + probes.count;
                let left = Tensor::cat(&[c, left], 2)?.reshape((n * d, rows))?;
                let right = Tensor::cat(&[&grad_z, &(right * pull)?], 0)?;
                (term, left.matmul(&right)?.reshape((n, d, width))?)
            }
        };

        Ok(Gradients {
            loss: Loss {
                cosine: cos.mean_all()?.to_scalar::<f32>()?,
                orthogonality,
            },
            weights: grad_w,
            bias: grad_z.sum(0)?,
        })
    }
}

/// n x B x d as B x (n d).
pub(super) fn side_by_side(contributions: &Tensor) -> Result<Tensor> {
    let (n, b, d) = contributions.dims3()?;
    Ok(contributions
        .transpose(0, 1)?
        .contiguous()?
        .reshape((b, n * d))?)
}

/// sum_i c_i W_i + b: B x D.
pub(super) fn forward(side_by_side: &Tensor, weights: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (n, d, width) = weights.dims3()?;
    Ok(side_by_side
        .matmul(&weights.reshape((n * d, width))?)?
        .broadcast_add(bias)?)
}

/// Rows over their norms, and the norms (B x 1).
pub(super) fn unit(rows: &Tensor) -> Result<(Tensor, Tensor)> {
    let norm = rows.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.maximum(EPS)?;
    Ok((rows.broadcast_div(&norm)?, norm))
}

/// Mean cosine between the rows of `a` and `b`.
pub(super) fn mean_cosine(a: &Tensor, b: &Tensor) -> Result<f32> {
    let (a, b) = (unit(a)?.0, unit(b)?.0);
    let cos = (a * b)?.sum(D::Minus1)?.to_vec1::<f32>()?;
    let total: f64 = cos.iter().map(|&c| f64::from(c)).sum();
    Ok((total / cos.len() as f64) as f32)
}
