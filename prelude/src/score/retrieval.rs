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
    let text = text.flatten_all()?.unsqueeze(0)?;
    let found = by_texts(aligned, &[set], &text)?;
    Ok(found.into_iter().flatten().next().unwrap_or_default())
}

/// [`by_text`] of several sets of components and several `texts` (m x D) in one pass over the images: sets x texts x
/// images.
///
/// # Errors
/// As [`by_text`].
pub fn by_texts<C: ImageChunks + ?Sized>(
    aligned: &C,
    sets: &[impl AsRef<[usize]>],
    texts: &Tensor,
) -> Result<Vec<Vec<Vec<f64>>>> {
    let (n, images, width) = aligned.extent("contributions")?;
    let sets = some_of_each(sets, n)?;
    let (m, channels) = check::matrix("text", texts)?;
    check::same("text", channels, width, "channels")?;
    let texts = f64s(texts)?;
    check::finite("text", &texts)?;
    let texts = texts.t()?.contiguous()?;
    let mut products = vec![vec![Vec::with_capacity(images); m]; sets.len()];
    each_block(aligned, |_, block| {
        for (set, products) in sets.iter().zip(&mut products) {
            let found = sum_of(block, set)?.matmul(&texts)?.t()?.contiguous()?;
            for (all, of_block) in products.iter_mut().zip(found.to_vec2::<f64>()?) {
                all.extend(of_block);
            }
        }
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
    let found = by_image_each(contributions, &[set], probe)?;
    Ok(found.into_iter().next().unwrap_or_default())
}

/// [`by_image`] of several sets of components in one pass over the images: sets x images.
///
/// # Errors
/// As [`by_image`].
pub fn by_image_each<C: ImageChunks + ?Sized>(
    contributions: &C,
    sets: &[impl AsRef<[usize]>],
    probe: &Tensor,
) -> Result<Vec<Vec<f64>>> {
    let (n, images, width) = contributions.extent("contributions")?;
    check::matrix("probe", probe)?;
    check::same("probe", probe.dim(0)?, n, "components")?;
    check::same("probe", probe.dim(1)?, width, "channels")?;
    let probe = probe.unsqueeze(1)?;
    let mut all = Vec::with_capacity(sets.len());
    for set in some_of_each(sets, n)? {
        let sum: Vec<f64> = sum_of(&probe, &set)?.flatten_all()?.to_vec1()?;
        let length = norm(&sum);
        if length == 0.0 {
            return Err(Error::argument(
                "probe",
                "zero in these components",
                "an image in which they contribute something",
            ));
        }
        all.push((set, sum, length, Vec::with_capacity(images)));
    }
    each_block(contributions, |_, block| {
        for (set, probe, length, cosines) in &mut all {
            let sums: Vec<Vec<f64>> = sum_of(block, set)?.to_vec2()?;
            cosines.extend(sums.iter().map(|sum| {
                let dot: f64 = sum.iter().zip(probe.iter()).map(|(a, b)| a * b).sum();
                match norm(sum) {
                    0.0 => 0.0,
                    own => dot / (own * *length),
                }
            }));
        }
        Ok(())
    })?;
    Ok(all.into_iter().map(|(.., cosines)| cosines).collect())
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

fn some_of_each(sets: &[impl AsRef<[usize]>], n: usize) -> Result<Vec<Vec<usize>>> {
    sets.iter().map(|set| some_of(set.as_ref(), n)).collect()
}

/// b x d, f64 on the CPU: the sum over the components `set` of a block.
pub(crate) fn sum_of(block: &Tensor, set: &[usize]) -> Result<Tensor> {
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
