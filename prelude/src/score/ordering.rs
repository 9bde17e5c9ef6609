//! Does the score of a component tell how well it orders images? (Paper section 5, table of rank correlations.)
//!
//! For each feature and component: the Pearson correlation over images between the component's products with a word and
//! those of CLIP's own image embedding, averaged over the feature's words. Spearman's correlation of these with
//! [`super::variance_attributed`] says whether the score orders the components of a feature, and the features of a
//! component, as the images themselves do.

use candle_core::{DType, Tensor};

use super::attribution::variances_attributed;
use super::moments::{Comoments, projected};
use super::spearman;
use crate::check;
use crate::decompose::{ImageChunks, each_block};
use crate::{Error, Result};

/// The rank correlations of one model.
#[derive(Clone)]
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

/// Compares the order that [`variance_attributed`](super::variance_attributed) gives with that of CLIP's scores. `aligned` is n x B x D, `features`
/// one w x D for each feature (its words' embeddings), `clip_images` CLIP's embeddings of the same B images, B x D.
///
/// # Errors
/// Shapes that do not fit, NaN or infinity, fewer than two features or components, for which there is no order.
pub fn ordering<C: ImageChunks + ?Sized>(
    aligned: &C,
    features: &[Tensor],
    clip_images: &Tensor,
) -> Result<Ordering> {
    let (n, _, _) = aligned.extent("aligned")?;
    let k = features.len();
    if k < 2 {
        let found = format!("{k} features");
        return Err(Error::argument(
            "features",
            found,
            "two or more, for there to be an order",
        ));
    }
    // The words of all features as one list, so that one pass over the images is enough.
    let mut by_word = word_correlations(aligned, &Tensor::cat(features, 0)?, clip_images)?;
    let mut correlation = Vec::with_capacity(k);
    for words in features {
        let rest = by_word.split_off(words.dim(0)?);
        correlation.push(column_means(&by_word));
        by_word = rest;
    }
    let attributed = variances_attributed(aligned, &features.iter().collect::<Vec<_>>())?;
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
pub fn word_correlations<C: ImageChunks + ?Sized>(
    aligned: &C,
    words: &Tensor,
    clip_images: &Tensor,
) -> Result<Vec<Vec<f64>>> {
    let (n, images, width) = aligned.extent("aligned")?;
    let (w, d) = check::matrix("words", words)?;
    let (rows, reference_width) = check::matrix("clip_images", clip_images)?;
    check::same("words", d, width, "channels")?;
    check::same("clip_images", rows, images, "images")?;
    check::same("clip_images", reference_width, width, "channels")?;
    check::finite("clip_images", clip_images)?;
    let turned = words.to_dtype(DType::F64)?.t()?.contiguous()?;
    // Columns are words.
    let mut moments = Comoments::new(n, w);
    each_block(aligned, |start, block| {
        let turned = turned.to_device(block.device())?;
        let reference = clip_images.narrow(0, start, block.dim(1)?)?.unsqueeze(0)?;
        let reference = projected(&reference.to_device(block.device())?, &turned)?;
        let own = projected(block, &turned)?;
        check::finite_sum("aligned", own.iter().flatten().sum())?;
        moments.merge(&Comoments::of(&own, &reference[0], w));
        Ok(())
    })?;
    let pearson = |word: usize, i: usize| {
        let own = moments.own[i * w + word];
        let reference = moments.reference[word];
        match own > 0.0 && reference > 0.0 {
            true => moments.cross[i * w + word] / (own * reference).sqrt(),
            false => 0.0,
        }
    };
    Ok((0..w)
        .map(|word| (0..n).map(|i| pearson(word, i)).collect())
        .collect())
}

fn column_means(rows: &[Vec<f64>]) -> Vec<f64> {
    let columns = rows.first().map_or(0, Vec::len);
    (0..columns)
        .map(|i| rows.iter().map(|row| row[i]).sum::<f64>() / rows.len() as f64)
        .collect()
}
