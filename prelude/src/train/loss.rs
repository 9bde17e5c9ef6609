//! What is minimised, and how many are right.

use crate::Result;
use candle_core::{D, DType, Tensor};

/// Mean cross entropy of `logits` (B x classes) against `labels` (B, u32).
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    Ok(surprise(logits, labels)?.mean_all()?)
}

/// Cross entropy of each row: B.
pub fn surprise(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let picked = log_softmax(logits)?.gather(&labels.unsqueeze(1)?, 1)?;
    Ok(picked.squeeze(1)?.neg()?)
}

fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    // The maximum is a constant here: it cancels out of the result, and so out of the gradient.
    let max = logits.detach().max_keepdim(D::Minus1)?;
    let shifted = logits.broadcast_sub(&max)?;
    let total = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok(shifted.broadcast_sub(&total)?)
}

/// CLIP's loss: each image against all texts and each text against all images, `images` and `texts`
/// B x d, not normalised; `logit_scale` is the logarithm of the factor on the cosines, kept at most
/// ln 100. Equal texts in one batch share the target among them: `same` is B x B, 1 where the texts of
/// row and column are equal.
pub fn contrastive(
    images: &Tensor,
    texts: &Tensor,
    logit_scale: &Tensor,
    same: &Tensor,
) -> Result<Tensor> {
    let scale = logit_scale.minimum(100f64.ln())?.exp()?;
    let logits = normalised(images)?
        .matmul(&normalised(texts)?.t()?)?
        .broadcast_mul(&scale)?;
    let target = same.broadcast_div(&same.sum_keepdim(D::Minus1)?)?;
    let count = images.dim(0)? as f64;
    let to_texts = (log_softmax(&logits)? * &target)?.sum_all()?;
    let to_images = (log_softmax(&logits.t()?.contiguous()?)? * &target)?.sum_all()?;
    Ok(((to_texts + to_images)? / (-2. * count))?)
}

/// Rows of unit length.
pub fn normalised(x: &Tensor) -> Result<Tensor> {
    let length = (x.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}

/// How many rows of `logits` have their largest value at the label.
pub fn correct(logits: &Tensor, labels: &Tensor) -> Result<usize> {
    let right = logits.argmax(D::Minus1)?.eq(labels)?;
    Ok(right.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()? as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn cross_entropy_of_even_logits_is_the_log_of_their_number() -> Result<()> {
        let logits = Tensor::full(3f32, (2, 5), &Device::Cpu)?;
        let labels = Tensor::new(&[0u32, 4], &Device::Cpu)?;
        let loss = cross_entropy(&logits, &labels)?.to_scalar::<f32>()?;
        assert!((loss - 5f32.ln()).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn contrastive_loss_prefers_the_right_pairs() -> Result<()> {
        let device = Device::Cpu;
        let eye = Tensor::eye(4, DType::F32, &device)?;
        let scale = Tensor::new(3f32, &device)?;
        let swapped = eye.index_select(&Tensor::new(&[1u32, 0, 3, 2], &device)?, 0)?;
        let right = contrastive(&eye, &eye, &scale, &eye)?.to_scalar::<f32>()?;
        let wrong = contrastive(&eye, &swapped, &scale, &eye)?.to_scalar::<f32>()?;
        // -ln(e^s / (e^s + 3)) with s = e^3, and s more when every pair is wrong.
        let expected = (1. + 3. * (-3f32.exp()).exp()).ln();
        assert!((right - expected).abs() < 1e-4, "{right} {expected}");
        assert!((wrong - expected - 3f32.exp()).abs() < 1e-3, "{wrong}");
        Ok(())
    }

    #[test]
    fn counts_what_is_right() -> Result<()> {
        let logits = Tensor::new(&[[1f32, 2., 0.], [5., 2., 0.], [0., 2., 3.]], &Device::Cpu)?;
        let labels = Tensor::new(&[1u32, 1, 2], &Device::Cpu)?;
        assert_eq!(correct(&logits, &labels)?, 2);
        Ok(())
    }
}
