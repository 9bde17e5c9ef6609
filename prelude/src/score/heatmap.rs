//! Maps over patches made ready to be laid over an image: enlarged, and scaled so that single patches do not decide the
//! colours of all others.

use candle_core::{DType, Device, Tensor};

use crate::check;
use crate::{Error, Result};

/// Which values of a signed map are shown (Captum's `sign`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShownSign {
    /// All values, in -1 to 1.
    #[default]
    All,
    /// Values above 0, in 0 to 1; others are 0.
    Positive,
    /// Values below 0, in 0 to 1; others are 0.
    Negative,
    /// Absolute values, in 0 to 1.
    Absolute,
}

/// A map with values in -1 to 1 (or 0 to 1), and what 1 stands for.
#[derive(Clone)]
pub struct Scaled {
    /// H x W, f32 on the CPU.
    pub values: Tensor,
    /// The value that became 1; larger ones became 1 too.
    pub threshold: f64,
    /// Number of values beyond the threshold.
    pub beyond: usize,
}

/// `map` (h x w) enlarged to `height` x `width` by bilinear interpolation between the middles of the patches, as
/// PyTorch's `interpolate(mode="bilinear", align_corners=False)`: H x W, f32 on the CPU.
///
/// # Errors
/// When `map` is no matrix, holds NaN or infinity, or a side is 0.
pub fn enlarge(map: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (h, w) = check::matrix("map", map)?;
    check::finite("map", map)?;
    if height == 0 || width == 0 {
        return Err(Error::argument(
            "size",
            format!("{height} x {width}"),
            "one pixel or more each way",
        ));
    }
    let rows = matrix(h, height)?;
    let columns = matrix(w, width)?;
    let map = map
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?
        .contiguous()?;
    let enlarged = rows.matmul(&map)?.matmul(&columns.t()?)?;
    Ok(enlarged.to_dtype(DType::F32)?)
}

/// `to` x `from`: the weights of `from` patches for each of `to` pixels along one side.
fn matrix(from: usize, to: usize) -> Result<Tensor> {
    let mut weights = vec![0f64; to * from];
    for (i, row) in weights.chunks_exact_mut(from).enumerate() {
        let place = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
        let low = (place as usize).min(from - 1);
        let high = (low + 1).min(from - 1);
        let share = place - low as f64;
        row[low] += 1.0 - share;
        row[high] += share;
    }
    Ok(Tensor::from_vec(weights, (to, from), &Device::Cpu)?)
}

/// `map` as Captum's `visualize_image_attr` scales it: divided by the value at which the running sum of the ascending
/// absolute values reaches `100 - outliers` percent of the whole, and clipped (Captum's `outlier_perc`, 2 in the paper's
/// pictures).
///
/// # Errors
/// When `map` is no matrix, holds NaN or infinity, `outliers` is not from 0 to below 100, or no value has the sign
/// that is to be shown.
pub fn scaled(map: &Tensor, sign: ShownSign, outliers: f64) -> Result<Scaled> {
    let shape = check::matrix("map", map)?;
    check::finite("map", map)?;
    if !(0.0..100.0).contains(&outliers) {
        return Err(Error::argument(
            "outliers",
            outliers,
            "a percentage from 0 to below 100",
        ));
    }
    let values: Vec<f64> = map
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?
        .flatten_all()?
        .to_vec1()?;
    let shown: Vec<f64> = values
        .iter()
        .map(|v| match sign {
            ShownSign::All => *v,
            ShownSign::Positive => v.max(0.0),
            ShownSign::Negative => (-v).max(0.0),
            ShownSign::Absolute => v.abs(),
        })
        .collect();
    let threshold = threshold(&shown, outliers);
    if threshold == 0.0 {
        return Err(Error::argument(
            "map",
            format!("0 everywhere, or nearly, where {sign:?} values are shown"),
            "a map with some values of that sign, or ShownSign::All",
        ));
    }
    let beyond = shown.iter().filter(|v| v.abs() > threshold).count();
    let values: Vec<f32> = shown
        .iter()
        .map(|v| (v / threshold).clamp(-1.0, 1.0) as f32)
        .collect();
    Ok(Scaled {
        values: Tensor::from_vec(values, shape, &Device::Cpu)?,
        threshold,
        beyond,
    })
}

/// The first of the ascending absolute values at which their running sum reaches all but `outliers` percent.
fn threshold(values: &[f64], outliers: f64) -> f64 {
    let mut sizes: Vec<f64> = values.iter().map(|v| v.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let whole: f64 = sizes.iter().sum();
    let enough = whole * 0.01 * (100.0 - outliers);
    let mut sum = 0.0;
    for size in &sizes {
        sum += size;
        if sum >= enough {
            return *size;
        }
    }
    // Rounding may leave the running sum just below the whole.
    sizes.last().copied().unwrap_or(0.0)
}
