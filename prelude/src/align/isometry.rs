//! The isometry term of the loss, `D * mean((W^T W - I)^2)`, and its gradient 4 / (n D) W (W^T W - I): exactly, or from
//! random probes.
//!
//! With a matrix P (D x k) of random signs over the root of k, E[P P^T] = I. So W (W^T W - I) P P^T is the gradient on
//! average, and |(W^T W - I) P|^2 the term (Hutchinson's estimator); both take k columns of W's D. Where the maps are
//! isometries the estimated gradient is zero, as the exact one is: its noise goes away with the term.

use candle_core::{DType, Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Multiplications that take as long as Adam takes for one weight, which it reads from memory and writes back.
const ADAM: usize = 128;

/// How the isometry term of the loss and its gradient are taken at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Isometry {
    /// Exactly where that costs no more than the rest of a step; elsewhere from half as many random probes as a batch has
    /// images and 16 more, at least 24, which is as much work as the rest.
    #[default]
    Auto,
    /// Exactly: 4 n d D min(d, D) operations for n maps of d x D.
    Exact,
    /// Unbiased, from so many random probes: 8 n d D of them for each.
    Probes(usize),
}

impl Isometry {
    /// The probes of a step with maps of `d` x `width` and so many images; none where the term is taken exactly.
    pub(super) fn probes(self, d: usize, width: usize, batch: usize) -> Option<usize> {
        let side = d.min(width);
        match self {
            Self::Exact => None,
            Self::Probes(count) => Some(count),
            Self::Auto if side <= batch + ADAM => None,
            Self::Auto => Some((batch / 2 + 16).clamp(24, side)),
        }
    }
}

/// Random probes of each step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probes {
    pub count: usize,
    pub seed: u64,
}

impl Probes {
    /// Those of step number `step`, width x count.
    fn at(self, step: usize, width: usize, device: &Device) -> Result<Tensor> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // The first streams of this seed split and shuffle the images.
        rng.set_stream(u64::MAX - step as u64);
        let size = 1.0 / (self.count as f32).sqrt();
        let signs = (0..width * self.count).map(|_| if rng.random() { size } else { -size });
        let signs: Vec<f32> = signs.collect();
        Ok(Tensor::from_vec(signs, (width, self.count), device)?)
    }

    /// The term at maps `w` (n x d x D), estimated, and the two factors of its gradient over 4 / (n D): n x d x k and
    /// k x D.
    pub fn estimate(self, w: &Tensor, step: usize) -> Result<(f32, Tensor, Tensor)> {
        let (n, d, width) = w.dims3()?;
        let p = self.at(step, width, w.device())?;
        let mapped = w.reshape((n * d, width))?.matmul(&p)?;
        let mapped = mapped.reshape((n, d, self.count))?;
        let excess = w.transpose(1, 2)?.matmul(&mapped)?.broadcast_sub(&p)?;
        let term = mean_of_squares(&excess, n * width)?;
        Ok((term, w.matmul(&excess)?, p.t()?))
    }
}

/// The term at maps `w` (n x d x D), and its gradient over 4 / (n D), n x d x D. The smaller of W^T W and W W^T is
/// formed: W (W^T W - I) is (W W^T - I) W, and the terms differ by the D - d directions that W has no row for.
pub(super) fn exact(w: &Tensor) -> Result<(f32, Tensor)> {
    let (n, d, width) = w.dims3()?;
    let excess = excess(w)?;
    let gradient = match d < width {
        true => excess.matmul(w)?,
        false => w.matmul(&excess)?,
    };
    let missing = width.saturating_sub(d) as f32 / width as f32;
    Ok((mean_of_squares(&excess, n * width)? + missing, gradient))
}

/// The term at maps `w` (n x d x D).
pub(super) fn term(w: &Tensor) -> Result<f32> {
    let (_, d, width) = w.dims3()?;
    let mut total = 0.0;
    let n = w.dim(0)?;
    // One map at a time: those of all would take as much memory as the maps.
    for i in 0..n {
        total += f64::from(mean_of_squares(&excess(&w.narrow(0, i, 1)?)?, width)?);
    }
    let missing = width.saturating_sub(d) as f64 / width as f64;
    Ok((total / n as f64 + missing) as f32)
}

/// W W^T - I or W^T W - I, whichever is smaller.
fn excess(w: &Tensor) -> Result<Tensor> {
    let (_, d, width) = w.dims3()?;
    let turned = w.transpose(1, 2)?;
    let product = match d < width {
        true => w.matmul(&turned)?,
        false => turned.matmul(w)?,
    };
    let eye = Tensor::eye(d.min(width), DType::F32, w.device())?;
    Ok(product.broadcast_sub(&eye)?)
}

/// The squares of all of n x a x b over `of`, summed for each component and then in f64: they are too many for one f32
/// sum.
fn mean_of_squares(values: &Tensor, of: usize) -> Result<f32> {
    let squares = values.sqr()?.sum((1, 2))?.to_vec1::<f32>()?;
    let total: f64 = squares.into_iter().map(f64::from).sum();
    Ok((total / of as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(t: &Tensor) -> Result<f32> {
        Ok(t.abs()?.flatten_all()?.max(0)?.to_scalar()?)
    }

    /// Wide maps, tall ones and square ones: the mean over many probes is the exact term and the exact gradient.
    #[test]
    fn probes_are_unbiased() -> Result<()> {
        for (d, width) in [(6, 10), (10, 6), (8, 8)] {
            let w = Tensor::randn(0f32, 0.4, (3, d, width), &Device::Cpu)?;
            let (term, gradient) = exact(&w)?;
            let (mut terms, mut gradients) = (0.0, gradient.zeros_like()?);
            const DRAWS: usize = 4000;
            let probes = Probes { count: 4, seed: 3 };
            for step in 0..DRAWS {
                let (term, left, right) = probes.estimate(&w, step)?;
                terms += f64::from(term) / DRAWS as f64;
                let drawn = left.broadcast_matmul(&right.contiguous()?)?;
                gradients = (gradients + (drawn / DRAWS as f64)?)?;
            }
            assert!(
                (terms / f64::from(term) - 1.0).abs() < 0.05,
                "{terms} {term}"
            );
            let off = most(&(gradients - &gradient)?)? / most(&gradient)?;
            assert!(off < 0.15, "{d} x {width}: {off}");
        }
        Ok(())
    }

    #[test]
    fn an_isometry_has_no_noise() -> Result<()> {
        let turn = Tensor::new(
            &[[[0f32, 1., 0.], [-1., 0., 0.], [0., 0., 1.]]],
            &Device::Cpu,
        )?;
        let (term, left, _) = Probes { count: 2, seed: 0 }.estimate(&turn, 0)?;
        assert_eq!((term, most(&left)?), (0.0, 0.0));
        assert_eq!(super::term(&turn)?, 0.0);
        Ok(())
    }

    /// Both sides, by the definition.
    #[test]
    fn the_exact_term_is_the_definition() -> Result<()> {
        for (d, width) in [(3, 7), (7, 3)] {
            let w = Tensor::randn(0f32, 0.5, (4, d, width), &Device::Cpu)?;
            let eye = Tensor::eye(width, DType::F32, &Device::Cpu)?;
            let apart = w.transpose(1, 2)?.matmul(&w)?.broadcast_sub(&eye)?;
            let want = width as f32 * apart.sqr()?.mean_all()?.to_scalar::<f32>()?;
            let (got, gradient) = exact(&w)?;
            assert!((got - want).abs() < 1e-5 * want, "{got} {want}");
            assert!((term(&w)? - want).abs() < 1e-5 * want);
            assert!(most(&(gradient - w.matmul(&apart)?)?)? < 1e-5);
        }
        Ok(())
    }

    #[test]
    fn few_directions_are_taken_exactly() {
        assert_eq!(Isometry::Auto.probes(96, 64, 16), None);
        assert_eq!(Isometry::Auto.probes(768, 768, 32), Some(32));
        assert_eq!(Isometry::Auto.probes(768, 768, 512), Some(272));
        assert_eq!(Isometry::Auto.probes(768, 768, 1024), None);
        assert_eq!(Isometry::Exact.probes(768, 768, 32), None);
        assert_eq!(Isometry::Probes(3).probes(8, 8, 32), Some(3));
    }
}
