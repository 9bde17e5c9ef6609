//! Does the score of a component tell how well it orders images? (Paper section 5, table of rank correlations.)
//!
//! For each feature and component: the Pearson correlation over images between the component's products with a word and
//! those of CLIP's own image embedding, averaged over the feature's words. Spearman's correlation of these with
//! [`super::variance_attributed`] says whether the score orders the components of a feature, and the features of a
//! component, as the images themselves do.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::{spearman, variance_attributed};
use crate::Result;
use crate::check;

/// The rank correlations of one model.
#[derive(Debug, Clone)]
pub struct Ordering {
    /// Features x components: the mean over words of the correlation with CLIP.
    pub correlation: Vec<Vec<f64>>,
    /// Features x components: the score.
    pub attributed: Vec<Vec<f64>>,
    /// For each component Spearman's correlation over the features.
    pub within: Vec<f64>,
    /// For each feature Spearman's correlation over the components.
    pub between: Vec<f64>,
}

impl Ordering {
    /// The mean over components of [`Self::within`].
    pub fn mean_within(&self) -> f64 {
        mean(&self.within)
    }

    /// The mean over features of [`Self::between`].
    pub fn mean_between(&self) -> f64 {
        mean(&self.between)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Compares the order that [`variance_attributed`] gives with that of CLIP's scores. `aligned` is n x B x D, `features`
/// one w x D for each feature (its words' embeddings), `clip_images` CLIP's embeddings of the same B images, B x D.
///
/// # Errors
/// Shapes that do not fit, NaN or infinity, fewer than two features or components, for which there is no order.
pub fn ordering(aligned: &Tensor, features: &[Tensor], clip_images: &Tensor) -> Result<Ordering> {
    let mut correlation = Vec::with_capacity(features.len());
    let mut attributed = Vec::with_capacity(features.len());
    for words in features {
        let by_word = word_correlations(aligned, words, clip_images)?;
        correlation.push(column_means(&by_word));
        attributed.push(variance_attributed(aligned, words)?);
    }
    let (n, k) = (aligned.dim(0)?, features.len());
    let of_component =
        |table: &[Vec<f64>], i: usize| -> Vec<f64> { (0..k).map(|f| table[f][i]).collect() };
    let within = (0..n)
        .map(|i| {
            spearman(
                &of_component(&correlation, i),
                &of_component(&attributed, i),
            )
        })
        .collect::<Result<_>>()?;
    let between = (correlation.iter().zip(&attributed))
        .map(|(r, v)| spearman(r, v))
        .collect::<Result<_>>()?;
    Ok(Ordering {
        correlation,
        attributed,
        within,
        between,
    })
}

/// For each word (a row of `words`, w x D) and component of `aligned` (n x B x D) the Pearson correlation over images of
/// the component's product with the word and that of `clip_images` (B x D): w x n. It is 0 where a component does not
/// vary along the word.
///
/// # Errors
/// Shapes that do not fit, NaN or infinity.
pub fn word_correlations(
    aligned: &Tensor,
    words: &Tensor,
    clip_images: &Tensor,
) -> Result<Vec<Vec<f64>>> {
    let (n, images, width) = check::stack("aligned", aligned)?;
    let (w, d) = check::matrix("words", words)?;
    let (rows, reference_width) = check::matrix("clip_images", clip_images)?;
    check::same("words", d, width, "channels")?;
    check::same("clip_images", rows, images, "images")?;
    check::same("clip_images", reference_width, width, "channels")?;
    check::finite("aligned", aligned)?;
    check::finite("clip_images", clip_images)?;
    let f64s = |t: &Tensor| {
        t.to_device(&Device::Cpu)?
            .to_dtype(DType::F64)?
            .contiguous()
    };
    let turned = f64s(words)?.t()?;
    // Columns are words: n B x w, and B x w.
    let own = f64s(aligned)?.reshape((n * images, width))?;
    let own: Vec<f64> = own.matmul(&turned)?.flatten_all()?.to_vec1()?;
    let reference: Vec<f64> = f64s(clip_images)?
        .matmul(&turned)?
        .flatten_all()?
        .to_vec1()?;
    Ok((0..w)
        .into_par_iter()
        .map(|word| {
            let column = |values: &[f64]| -> Vec<f64> {
                values.iter().skip(word).step_by(w).copied().collect()
            };
            let reference = column(&reference);
            own.chunks_exact(images * w)
                .map(|component| pearson(&column(component), &reference))
                .collect()
        })
        .collect())
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    match aa > 0.0 && bb > 0.0 {
        true => ab / (aa * bb).sqrt(),
        false => 0.0,
    }
}

fn column_means(rows: &[Vec<f64>]) -> Vec<f64> {
    let columns = rows.first().map_or(0, Vec::len);
    (0..columns)
        .map(|i| rows.iter().map(|row| row[i]).sum::<f64>() / rows.len() as f64)
        .collect()
}
