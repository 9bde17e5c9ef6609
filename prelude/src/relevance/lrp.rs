//! Layer-wise relevance propagation through a vision transformer, and the transformer attribution made of it
//! ("Transformer Interpretability Beyond Attention Visualization", Chefer, Gur, Wolf, CVPR 2021, with alpha = 1).
//!
//! Relevance is one at the class's logit and is handed down operation by operation. The rules, with `a / b` short for a
//! division in which b is kept away from zero by 1e-9:
//!
//! | operation | rule |
//! | --- | --- |
//! | linear | over the positive products `x+ w+` and `x- w-` alone, bias left out |
//! | product of two | `x (R / z) y` for each factor, and half of that |
//! | residual sum | `x R / z` for both summands, each scaled so that the two share R's total by their absolute totals |
//! | the stream going two ways | `x (R1 / x + R2 / x)` |
//! | norm, softmax, activation, LayerScale | R as it is |
//!
//! The rule for sums adds over a whole image. It divides by small numbers, so that everything here is f64.

use super::attention::{class_row, rolled};
use crate::activations::{ActivationCache, Objective, record, select};
use crate::check;
use crate::models::ImageEncoder;
use crate::trace::{Op, Tape};
use crate::{Error, Result};
use candle_core::{D, DType, Device, Tensor};

/// Keeps divisors away from zero.
const SMALL: f64 = 1e-9;

/// The relevance of each block's attention for the class of each image: B x H x T x T a block, f64 on the CPU.
///
/// # Errors
/// When the model is no ViT that reads its class token, or the objective is a direction, which has no logit.
pub fn attention_relevance(
    model: &dyn ImageEncoder,
    pixels: &Tensor,
    objective: Objective,
) -> Result<Vec<Tensor>> {
    let mut linear = linear_weights(model)?;
    let blocks = model.blocks().len();
    let (weight, classes) = match objective {
        Objective::Logit(classes) => match linear.len() {
            n if n == 4 * blocks + 1 => (linear.pop(), classes),
            _ => {
                return Err(Error::argument(
                    "objective",
                    "the model's own logit",
                    "a head that is one linear layer: take Objective::Head(&head, &classes)",
                ));
            }
        },
        Objective::Head(head, classes) => (Some(f64s(head.weight())?), classes),
        Objective::Along(_) => {
            return Err(Error::argument(
                "objective",
                "a direction",
                "a class: relevance starts at a logit; take Objective::Head or Objective::Logit",
            ));
        }
    };
    // A CLIP projects its class token behind the last block.
    let projection = linear.get(4 * blocks).cloned();
    linear.truncate(4 * blocks);
    let (Some(weight), true) = (weight, linear.len() == 4 * blocks) else {
        return Err(Error::argument(
            "model",
            format!("{} linear layers in {blocks} blocks", linear.len()),
            "a ViT, with four in each block",
        ));
    };
    let seen = record(model, pixels, &select(model, &["block *"])?)?;
    let last = format!("block {}", blocks - 1);
    let stream = f64s(&seen.get(&format!("{last} resid_post"))?)?;
    let (b, t, width) = stream.dims3()?;
    check::same("classes", classes.len(), b, "images")?;
    let features = model.forward(pixels, &Tape::off())?;
    let representation = f64s(features.representation.value())?;
    check::same("head", weight.dim(1)?, representation.dim(1)?, "channels")?;

    let one_hot = one_hot(classes, weight.dim(0)?)?;
    let mut relevance = through_linear(&representation, &weight, &one_hot)?;
    if let (Some(projection), true) = (projection, relevance.dim(1)? != width) {
        let class_token = f64s(features.tokens.value())?.narrow(1, 0, 1)?.squeeze(1)?;
        relevance = through_linear(&class_token, &projection, &relevance)?;
    }
    check::same(
        "representation",
        relevance.dim(1)?,
        width,
        "channels of the stream",
    )?;
    let rest = Tensor::zeros((b, t - 1, width), DType::F64, &Device::Cpu)?;
    let mut relevance = Tensor::cat(&[relevance.unsqueeze(1)?, rest], 1)?;
    let mut found = Vec::with_capacity(blocks);
    for block in (0..blocks).rev() {
        let weights = &linear[4 * block..4 * block + 4];
        let values = Values { seen: &seen, block };
        let (of_attention, below) = through_block(&values, weights, &relevance)?;
        found.push(of_attention);
        relevance = below;
    }
    found.reverse();
    Ok(found)
}

/// The rollout of ReLU(gradient times relevance), mean over heads, from block `start` on: the class token's row, B x T.
/// `relevance` and `gradients` are B x H x T x T a block. The published code does not divide rows by their sums.
///
/// # Errors
/// When `start` is no block, or shapes differ.
pub fn transformer_attribution(
    relevance: &[Tensor],
    gradients: &[Tensor],
    start: usize,
    row_normalised: bool,
) -> Result<Tensor> {
    check::same("gradients", gradients.len(), relevance.len(), "blocks")?;
    let maps = relevance
        .iter()
        .zip(gradients)
        .map(|(relevance, gradient)| Ok((f64s(relevance)? * f64s(gradient)?)?.relu()?.mean(1)?))
        .collect::<Result<Vec<_>>>()?;
    class_row(&rolled(&maps, start, row_normalised)?)
}

/// The weights of the model's linear layers, in the order of the forward pass.
fn linear_weights(model: &dyn ImageEncoder) -> Result<Vec<Tensor>> {
    let size = model.image_size();
    let blank = Tensor::zeros((1, 3, size, size), DType::F32, model.device())?;
    let tape = Tape::structure();
    model.forward(&blank, &tape)?;
    tape.take_nodes()
        .into_iter()
        .filter_map(|node| match node.op {
            Op::Linear { weight, .. } => Some(f64s(&weight)),
            _ => None,
        })
        .collect()
}

/// The recorded values of one block.
struct Values<'a> {
    seen: &'a ActivationCache,
    block: usize,
}

impl Values<'_> {
    fn get(&self, kind: &str) -> Result<Tensor> {
        f64s(&self.seen.get(&format!("block {} {kind}", self.block))?)
    }
}

/// The relevance of a block's attention, and of the stream before the block.
fn through_block(
    values: &Values,
    weights: &[Tensor],
    relevance: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let [qkv, proj, fc1, fc2] = weights else {
        return Err(Error::trace("a block without its four linear layers"));
    };
    let (mid, mlp_out) = (values.get("resid_mid")?, values.get("mlp_out")?);
    let (stream, mlp) = through_sum(&mid, &mlp_out, relevance)?;
    let mlp = through_linear(&values.get("mlp_post")?, fc2, &mlp)?;
    let mlp = through_linear(&values.get("ln2")?, fc1, &mlp)?;
    let relevance = through_copies(&mid, &stream, &mlp)?;

    let (pre, attn_out) = (values.get("resid_pre")?, values.get("attn_out")?);
    let (stream, attention) = through_sum(&pre, &attn_out, &relevance)?;
    let (q, k, v) = (values.get("q")?, values.get("k")?, values.get("v")?);
    let (b, heads, t, head_width) = q.dims4()?;
    let z = values.get("z")?;
    let width = heads * head_width;
    let side_by_side = |x: &Tensor| x.transpose(1, 2)?.reshape((b, t, width));
    let of_z = through_linear(&side_by_side(&z)?, proj, &attention)?;
    let of_z = of_z.reshape((b, t, heads, head_width))?.transpose(1, 2)?;
    let pattern = values.get("pattern")?;
    let share = divided(&of_z.contiguous()?, &z.contiguous()?)?;
    let v = v.contiguous()?;
    let of_pattern = ((&pattern * share.matmul(&v.t()?)?)? * 0.5)?;
    let of_v = ((&v * pattern.t()?.contiguous()?.matmul(&share)?)? * 0.5)?;
    // Softmax and the scale hand relevance on as it is.
    let (q, k) = (q.contiguous()?, k.contiguous()?);
    let share = divided(&of_pattern, &q.matmul(&k.t()?)?)?;
    let of_q = ((&q * share.matmul(&k)?)? * 0.5)?;
    let of_k = ((&k * share.t()?.contiguous()?.matmul(&q)?)? * 0.5)?;
    let of_qkv = Tensor::cat(
        &[
            side_by_side(&of_q)?,
            side_by_side(&of_k)?,
            side_by_side(&of_v)?,
        ],
        D::Minus1,
    )?;
    let of_norm = through_linear(&values.get("ln1")?, qkv, &of_qkv)?;
    Ok((of_pattern, through_copies(&pre, &stream, &of_norm)?))
}

/// `a / b`, b kept away from zero; 0 where b is 0.
fn divided(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let positive = b.maximum(SMALL)?;
    let divisor = (positive + b.minimum(SMALL)?)?;
    let is_zero = |t: &Tensor| t.eq(0.0)?.to_dtype(DType::F64);
    let divisor = (&divisor + (is_zero(&divisor)? * SMALL)?)?;
    let there = (1.0 - is_zero(b)?)?;
    Ok(((a / divisor)? * there)?)
}

/// Relevance through `x W^T`, x ... x in, R ... x out.
fn through_linear(x: &Tensor, weight: &Tensor, relevance: &Tensor) -> Result<Tensor> {
    let shape = x.shape().clone();
    let flat = |t: &Tensor| t.flatten_to(t.rank() - 2)?.contiguous();
    let (x, relevance) = match x.rank() {
        2 => (x.contiguous()?, relevance.contiguous()?),
        _ => (flat(x)?, flat(relevance)?),
    };
    let (up, down) = (|t: &Tensor| t.maximum(0.0), |t: &Tensor| t.minimum(0.0));
    let parts = [(up(&x)?, up(weight)?), (down(&x)?, down(weight)?)];
    let total = (parts[0].0.matmul(&parts[0].1.t()?)? + parts[1].0.matmul(&parts[1].1.t()?)?)?;
    let share = divided(&relevance, &total)?;
    let [first, second] = parts.map(|(x, w)| -> Result<Tensor> { Ok((x * share.matmul(&w)?)?) });
    Ok((first? + second?)?.reshape(shape)?)
}

/// Relevance through `a + b`, B x T x C: the two share each image's total by their absolute totals.
fn through_sum(a: &Tensor, b: &Tensor, relevance: &Tensor) -> Result<(Tensor, Tensor)> {
    let share = divided(relevance, &(a + b)?)?;
    let parts = [(a * &share)?, (b * &share)?];
    let total = |t: &Tensor| t.sum_keepdim((1, 2));
    let totals = [total(&parts[0])?, total(&parts[1])?];
    let size = (totals[0].abs()? + totals[1].abs()?)?;
    let all = total(relevance)?;
    let [a, b] = [0, 1].map(|i| -> Result<Tensor> {
        let wanted = (divided(&totals[i].abs()?, &size)? * &all)?;
        Ok(parts[i].broadcast_mul(&divided(&wanted, &totals[i])?)?)
    });
    Ok((a?, b?))
}

/// Relevance of a value that goes two ways.
fn through_copies(x: &Tensor, one: &Tensor, other: &Tensor) -> Result<Tensor> {
    Ok((x * (divided(one, x)? + divided(other, x)?)?)?)
}

fn one_hot(classes: &[usize], count: usize) -> Result<Tensor> {
    let mut values = vec![0f64; classes.len() * count];
    for (row, &class) in values.chunks_exact_mut(count).zip(classes) {
        let place = row.get_mut(class).ok_or_else(|| {
            let expected = format!("below {count}, the number of classes of the head");
            Error::argument("class", class, expected)
        })?;
        *place = 1.0
    }
    Ok(Tensor::from_vec(
        values,
        (classes.len(), count),
        &Device::Cpu,
    )?)
}

fn f64s(t: &Tensor) -> Result<Tensor> {
    Ok(t.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64)?)
}
