//! Texts that go with what a head or a unit does.

use crate::Result;
use candle_core::{D, DType, Device, Tensor};

/// The Pearson correlation over images of each column of `units` (B x u) with each of `texts` (B x m): u x m. A column that
/// does not vary correlates with nothing.
pub(super) fn correlations(units: &Tensor, texts: &Tensor) -> Result<Vec<Vec<f64>>> {
    let (a, b) = (standardised(units)?, standardised(texts)?);
    let images = a.dim(0)? as f64;
    Ok((a.t()?.contiguous()?.matmul(&b)? / images)?.to_vec2()?)
}

/// The Pearson correlation over images of what `part` gives along each text with what `whole` gives along it (B x m each):
/// the paper's score of a component for a feature, with each text as a feature of its own.
pub(super) fn attributed(part: &Tensor, whole: &Tensor) -> Result<Vec<f64>> {
    let products = (standardised(part)? * standardised(whole)?)?;
    Ok(products.mean(0)?.to_vec1()?)
}

fn standardised(x: &Tensor) -> Result<Tensor> {
    let x = x.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let x = x.broadcast_sub(&x.mean_keepdim(0)?)?;
    let deviation = x.sqr()?.mean_keepdim(0)?.sqrt()?;
    // Below this a deviation is rounding, and the quotient is 0.
    let still = deviation.lt(1e-9)?.to_dtype(DType::F64)?;
    let kept = (1.0 - &still)?;
    Ok(x.broadcast_mul(&kept)?
        .broadcast_div(&(deviation + still)?)?)
}

/// Rows brought to unit length.
pub(super) fn unit(x: &Tensor) -> Result<Tensor> {
    let x = x.to_dtype(DType::F64)?;
    let lengths = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    Ok(x.broadcast_div(&lengths.maximum(f64::MIN_POSITIVE)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_credited_with_the_texts_along_which_it_moves_the_whole() -> Result<()> {
        let part = Tensor::new(&[[1f64, 0.], [2., 0.], [3., 0.]], &Device::Cpu)?;
        let whole = Tensor::new(&[[2f64, 7.], [4., 1.], [6., 5.]], &Device::Cpu)?;
        let found = attributed(&part, &whole)?;
        assert!((found[0] - 1.0).abs() < 1e-12);
        assert_eq!(found[1], 0.0);
        Ok(())
    }

    #[test]
    fn a_unit_correlates_with_what_it_follows_and_a_still_one_with_nothing() -> Result<()> {
        let units = Tensor::new(&[[1f64, 5., 2.], [2., 5., 1.], [3., 5., 0.]], &Device::Cpu)?;
        let texts = Tensor::new(&[[10f64], [20.], [30.]], &Device::Cpu)?;
        let found = correlations(&units, &texts)?;
        assert!((found[0][0] - 1.0).abs() < 1e-12);
        assert_eq!(found[1][0], 0.0);
        assert!((found[2][0] + 1.0).abs() < 1e-12);
        Ok(())
    }
}
