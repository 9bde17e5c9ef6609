//! Linear centred kernel alignment: how alike two representations of the same images are, whatever their widths, up to a
//! rotation and a common factor (Kornblith, Norouzi, Lee, Hinton, "Similarity of Neural Network Representations
//! Revisited", ICML 2019, section 3).

use candle_core::{DType, Device, Tensor};

use super::enough;
use crate::check;
use crate::{Error, Result};

/// Fewer images leave nothing to the unbiased estimate, which divides by n - 3.
const FEWEST: usize = 4;

/// Which estimate of HSIC stands in CKA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CkaEstimate {
    /// Kornblith et al.'s: |Y^T X|^2 / (|X^T X| |Y^T Y|) of centred X and Y, Frobenius norms; from 0 to 1. With few images
    /// for the width it is too high, even for independent representations.
    Plain,
    /// With the unbiased estimate of HSIC (Song et al., "Feature Selection via Dependence Maximization", JMLR 2012,
    /// equation 5; used for CKA by Nguyen, Raghu, Kornblith, ICLR 2021): 0 on average for independent representations
    /// however few the images, and then below 0 half of the time.
    #[default]
    Unbiased,
}

impl CkaEstimate {
    /// What a chart calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "linear CKA",
            Self::Unbiased => "linear CKA (unbiased)",
        }
    }
}

/// A representation prepared for [`linear_cka`]: centred, with its own norm, so that a table over many costs one product a
/// pair.
pub(crate) struct Centred {
    /// B x d, f64 on the CPU.
    rows: Tensor,
    /// Squared lengths of the rows.
    squares: Vec<f64>,
    /// HSIC of the representation with itself, up to a factor.
    own: f64,
    estimate: CkaEstimate,
}

impl Centred {
    /// None where the values do not vary over images.
    pub fn new(name: &'static str, values: &Tensor, estimate: CkaEstimate) -> Result<Option<Self>> {
        let (images, _) = check::matrix(name, values)?;
        check::finite(name, values)?;
        if images < FEWEST {
            return Err(Error::argument(
                name,
                format!("{images} images"),
                format!("{FEWEST} or more: CKA compares how images lie to each other"),
            ));
        }
        let rows = values
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F64)?
            .contiguous()?;
        let rows = rows.broadcast_sub(&rows.mean_keepdim(0)?)?;
        let squares: Vec<f64> = rows.sqr()?.sum(1)?.to_vec1()?;
        let mut centred = Self {
            rows,
            squares,
            own: 0.0,
            estimate,
        };
        centred.own = centred.product(&centred)?;
        // Rounding of values that are all the same is no variance.
        let size = values
            .to_dtype(DType::F64)?
            .sqr()?
            .sum_all()?
            .to_scalar::<f64>()?;
        let varies = centred.squares.iter().sum::<f64>() > 1e-12 * size && centred.own > 0.0;
        Ok(varies.then_some(centred))
    }

    /// HSIC of the linear kernels of both, up to a factor that is the same for all pairs of as many images.
    fn product(&self, other: &Self) -> Result<f64> {
        let cross = self.rows.t()?.matmul(&other.rows)?;
        let cross = cross.sqr()?.sum_all()?.to_scalar::<f64>()?;
        Ok(match self.estimate {
            CkaEstimate::Plain => cross,
            // Song et al.'s estimate written with features: the diagonals of both kernels are taken off.
            CkaEstimate::Unbiased => {
                let n = self.squares.len() as f64;
                let pairs = self.squares.iter().zip(&other.squares);
                let rows: f64 = pairs.map(|(a, b)| a * b).sum();
                let (a, b): (f64, f64) = (self.squares.iter().sum(), other.squares.iter().sum());
                cross - n / (n - 2.0) * rows + a * b / ((n - 1.0) * (n - 2.0))
            }
        })
    }

    /// CKA of the two.
    pub fn cka(&self, other: &Self) -> Result<f64> {
        check::same("y", other.squares.len(), self.squares.len(), "images")?;
        Ok(self.product(other)? / (self.own * other.own).sqrt())
    }
}

/// Linear CKA of two representations `x` (B x d) and `y` (B x e) of the same images in the same order, in f64.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use vitrepl_prelude::score::{CkaEstimate, linear_cka};
///
/// let x = Tensor::new(&[[1f32, 0.], [2., 1.], [0., 3.], [5., 1.], [2., 2.]], &Device::Cpu)?;
/// // The same turned by a quarter, and three times as large.
/// let y = Tensor::new(&[[0f32, 3.], [-3., 6.], [-9., 0.], [-3., 15.], [-6., 6.]], &Device::Cpu)?;
/// assert!((linear_cka(&x, &y, CkaEstimate::Plain)? - 1.0).abs() < 1e-12);
/// # Ok::<(), vitrepl_prelude::Error>(())
/// ```
///
/// # Errors
/// Numbers of images that differ, fewer than four images, NaN or infinity, a representation that does not vary (the
/// unbiased estimate of which may also be negative where images are few).
pub fn linear_cka(x: &Tensor, y: &Tensor, estimate: CkaEstimate) -> Result<f64> {
    let centred = |name, values: &Tensor| {
        let constant = || {
            let why = "its values do not vary over them, so it is like nothing";
            enough::constant(name, format!("{} images", values.dims()[0]), why)
        };
        Centred::new(name, values, estimate)?.ok_or_else(constant)
    };
    centred("x", x)?.cka(&centred("y", y)?)
}
