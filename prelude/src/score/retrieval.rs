//! Images found by some components alone: by a text, and by a probe image with respect to a feature (paper section 5.1).

use candle_core::{DType, Device, Tensor};

use super::{Ranked, rank};
use crate::check;
use crate::decompose::{ImageChunks, each_block};
use crate::{Error, Result};

/// For each image the product of `text` (D) with the sum over the components `set` of `aligned` (n x B x D). The product
/// is not divided by lengths, as published: a group of components that barely varies orders images by little.
///
/// # Errors
/// Shapes that do not fit, NaN or infinity, no component, one that is not there.
pub fn by_text<C: ImageChunks + ?Sized>(
    aligned: &C,
    set: &[usize],
    text: &Tensor,
) -> Result<Vec<f64>> {
    let (n, images, width) = aligned.extent("contributions")?;
    let set = some_of(set, n)?;
    let text = f64s(text)?.flatten_all()?;
    check::same("text", text.elem_count(), width, "channels")?;
    check::finite("text", &text)?;
    let text = text.unsqueeze(1)?.contiguous()?;
    let mut products = Vec::with_capacity(images);
    each_block(aligned, |_, block| {
        let found: Vec<f64> = sum_of(block, &set)?
            .matmul(&text)?
            .flatten_all()?
            .to_vec1()?;
        products.extend(found);
        Ok(())
    })?;
    Ok(products)
}

/// For each image the cosine between its sum over the components `set` of `contributions` (n x B x d, as they are, not
/// aligned) and that of the probe image, `probe` n x d. An image whose sum is zero has cosine 0.
///
/// # Errors
/// As [`by_text`], and a probe whose sum is zero.
pub fn by_image<C: ImageChunks + ?Sized>(
    contributions: &C,
    set: &[usize],
    probe: &Tensor,
) -> Result<Vec<f64>> {
    let (n, images, width) = contributions.extent("contributions")?;
    let set = some_of(set, n)?;
    check::matrix("probe", probe)?;
    check::same("probe", probe.dim(0)?, n, "components")?;
    check::same("probe", probe.dim(1)?, width, "channels")?;
    let probe = sum_of(&probe.unsqueeze(1)?, &set)?;
    let probe: Vec<f64> = probe.flatten_all()?.to_vec1()?;
    let length = norm(&probe);
    if length == 0.0 {
        return Err(Error::argument(
            "probe",
            "zero in these components",
            "an image in which they contribute something",
        ));
    }
    let cosine = |sum: &Vec<f64>| {
        let dot: f64 = sum.iter().zip(&probe).map(|(a, b)| a * b).sum();
        match norm(sum) {
            0.0 => 0.0,
            own => dot / (own * length),
        }
    };
    let mut cosines = Vec::with_capacity(images);
    each_block(contributions, |_, block| {
        let sums: Vec<Vec<f64>> = sum_of(block, &set)?.to_vec2()?;
        cosines.extend(sums.iter().map(cosine));
        Ok(())
    })?;
    Ok(cosines)
}

/// The score of each component for feature number `feature` less the largest of its scores for the other features:
/// what speaks for this feature rather than for another one. `scores` has one row of n scores for each feature. With
/// `floor` the largest is at least 0, as in the published code.
///
/// # Errors
/// Rows of different lengths, fewer than two features, a feature that is not there.
pub fn contrast(scores: &[Vec<f64>], feature: usize, floor: bool) -> Result<Vec<f64>> {
    let n = scores.first().map_or(0, Vec::len);
    for row in scores {
        check::same("scores", row.len(), n, "components")?;
    }
    if scores.len() < 2 || feature >= scores.len() {
        return Err(Error::argument(
            "feature",
            feature,
            format!(
                "one of the {} features given, of which there must be two or more",
                scores.len()
            ),
        ));
    }
    let others = |i: usize| {
        let rows = scores.iter().enumerate().filter(|(f, _)| *f != feature);
        rows.map(|(_, row)| row[i])
            .fold(if floor { 0.0 } else { f64::NEG_INFINITY }, f64::max)
    };
    Ok((0..n).map(|i| scores[feature][i] - others(i)).collect())
}

/// The `k` images with the highest scores under `names`, best first; equal scores keep the order of the images.
///
/// # Errors
/// As many names as scores are wanted, `k` from 1 to the number of images, no NaN.
pub fn nearest(names: &[String], scores: &[f64], k: usize) -> Result<Vec<Ranked>> {
    if k == 0 || k > scores.len() {
        return Err(Error::argument(
            "k",
            k,
            format!("from 1 to {}, the number of images", scores.len()),
        ));
    }
    let mut ranked = rank(names, scores)?;
    ranked.truncate(k);
    Ok(ranked)
}

/// The share of the `k` images with the highest scores that are `wanted`; equal scores keep the order of the images.
///
/// # Errors
/// As many marks as scores are wanted, `k` from 1 to the number of images, no NaN.
pub fn precision_at(scores: &[f64], wanted: &[bool], k: usize) -> Result<f64> {
    crate::check::same("wanted", wanted.len(), scores.len(), "images")?;
    if k == 0 || k > scores.len() || scores.iter().any(|s| s.is_nan()) {
        return Err(Error::argument(
            "k",
            k,
            format!(
                "from 1 to {}, the number of images, and scores without NaN",
                scores.len()
            ),
        ));
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let right = order[..k].iter().filter(|&&i| wanted[i]).count();
    Ok(right as f64 / k as f64)
}

/// The components of `set`, each once, of which there must be one.
fn some_of(set: &[usize], n: usize) -> Result<Vec<usize>> {
    let set = super::ablation::distinct(set, n)?;
    match set.is_empty() {
        true => Err(Error::argument(
            "components",
            "none",
            "at least one component",
        )),
        false => Ok(set),
    }
}

/// b x d, f64 on the CPU: the sum over the components `set` of a block.
fn sum_of(block: &Tensor, set: &[usize]) -> Result<Tensor> {
    let mut sum = f64s(&block.get(set[0])?)?;
    for i in &set[1..] {
        sum = (sum + f64s(&block.get(*i)?)?)?;
    }
    check::finite("contributions", &sum)?;
    Ok(sum.contiguous()?)
}

fn f64s(t: &Tensor) -> Result<Tensor> {
    Ok(t.to_device(&Device::Cpu)?.to_dtype(DType::F64)?)
}

fn norm(a: &[f64]) -> f64 {
    a.iter().map(|v| v * v).sum::<f64>().sqrt()
}
