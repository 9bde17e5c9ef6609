//! Maps made of attention, and of attention times its gradient. Each block's tensor is B x H x T x T.

use crate::{Error, Result};
use candle_core::{D, Tensor};

/// B x T x T matrices, block by block.
type Maps = Vec<Tensor>;

/// Attention rollout ("Quantifying Attention Flow in Transformers", Abnar, Zuidema 2020): the product over blocks of the
/// heads' mean attention plus identity, rows divided by their sums; the class token's row: B x T.
///
/// # Errors
/// When there is no block, or shapes differ.
pub fn rollout(attention: &[Tensor]) -> Result<Tensor> {
    let maps = attention
        .iter()
        .map(|a| Ok(a.mean(1)?))
        .collect::<Result<Maps>>()?;
    class_row(&rolled(&maps, 0, true)?)
}

/// The class token's attention in the last block, mean over heads: B x T.
///
/// # Errors
/// When there is no block.
pub fn last_attention(attention: &[Tensor]) -> Result<Tensor> {
    class_row(&last(attention)?.mean(1)?)
}

/// "Generic Attention-model Explainability" (Chefer, Gur, Wolf, ICCV 2021): R starts as identity, and each block adds the
/// heads' mean of ReLU(gradient times attention), times R; the class token's row: B x T.
///
/// # Errors
/// When there is no block, or shapes differ.
pub fn generic_attention(attention: &[Tensor], gradients: &[Tensor]) -> Result<Tensor> {
    let first = last(attention)?;
    let (b, _, t, _) = first.dims4()?;
    let mut relevance = identity(first, b, t)?;
    for (attention, gradient) in attention.iter().zip(gradients) {
        let map = (attention * gradient)?.relu()?.mean(1)?;
        relevance = (&relevance + map.matmul(&relevance)?)?;
    }
    class_row(&relevance)
}

/// Chefer et al.'s Grad-CAM baseline: in the last block, ReLU of the heads' mean of the class token's attention to the
/// patches times that head's mean gradient there: B x patches. The first `prefix` tokens are no patches.
///
/// # Errors
/// When there is no block.
pub fn attention_grad_cam(
    attention: &[Tensor],
    gradients: &[Tensor],
    prefix: usize,
) -> Result<Tensor> {
    let patches = |t: &Tensor| -> Result<Tensor> {
        let (b, heads, tokens, _) = t.dims4()?;
        let row = t.narrow(2, 0, 1)?.narrow(3, prefix, tokens - prefix)?;
        Ok(row.reshape((b, heads, tokens - prefix))?)
    };
    let (attention, gradient) = (patches(last(attention)?)?, patches(last(gradients)?)?);
    let weights = gradient.mean_keepdim(D::Minus1)?;
    Ok(attention.broadcast_mul(&weights)?.mean(1)?.relu()?)
}

fn last(blocks: &[Tensor]) -> Result<&Tensor> {
    blocks.last().ok_or_else(|| {
        Error::argument(
            "attention",
            "no block",
            "the attention of one block or more",
        )
    })
}

fn identity(like: &Tensor, b: usize, t: usize) -> Result<Tensor> {
    let eye = Tensor::eye(t, like.dtype(), like.device())?;
    Ok(eye.unsqueeze(0)?.repeat((b, 1, 1))?)
}

/// The product over the blocks from `start` on of each map plus identity, later ones on the left; with `normalised`, rows
/// are divided by their sums first.
pub(super) fn rolled(maps: &[Tensor], start: usize, normalised: bool) -> Result<Tensor> {
    let mut product: Option<Tensor> = None;
    for map in maps.iter().skip(start) {
        let (b, t, _) = map.dims3()?;
        let mut map = (map + identity(map, b, t)?)?;
        if normalised {
            map = map.broadcast_div(&map.sum_keepdim(D::Minus1)?)?
        }
        product = Some(match product {
            None => map,
            Some(before) => map.matmul(&before)?,
        })
    }
    product.ok_or_else(|| {
        let expected = format!("below {}, the number of blocks", maps.len());
        Error::argument("start", start, expected)
    })
}

/// The first row of each matrix, B x T.
pub(super) fn class_row(matrices: &Tensor) -> Result<Tensor> {
    Ok(matrices.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?)
}
