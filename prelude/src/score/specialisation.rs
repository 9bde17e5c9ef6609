//! How specialised a component is: whether it scores for one feature or for all alike.

use crate::{Error, Result};

/// Three views of how a component's scores are spread over features. Scores at or below 0 count as 0; `share` of a feature
/// is its score over the sum of all.
#[derive(Clone, Debug, PartialEq)]
pub struct Specialisation {
    /// The feature with the highest score, by its place.
    pub best: usize,
    /// That feature's share of the sum of scores: 1 where no other has any, 1/F where all F are alike.
    pub best_share: f64,
    /// 1 - H / ln F, with H = - sum share ln share the entropy of the shares over F features: 0 where all are alike, 1 where
    /// one feature has everything.
    pub selectivity: f64,
    /// The highest score over the second highest; none where no second one is above 0.
    pub ratio: Option<f64>,
}

/// How specialised a component with these `scores`, one a feature, is; none where no score is above 0.
///
/// Scores as [`variance_attributed`](super::variance_attributed) are correlations: shares of their sum compare features,
/// and are no shares of variance.
///
/// ```
/// use vitrepl_prelude::score::specialisation;
///
/// let found = specialisation(&[0.6, 0.2, -0.1, 0.0])?.unwrap();
/// assert_eq!((found.best, found.ratio), (0, Some(0.6 / 0.2)));
/// assert!((found.best_share - 0.75).abs() < 1e-12);
/// // 1 - (0.75 ln(4/3) + 0.25 ln 4) / ln 4
/// assert!((found.selectivity - 0.5944).abs() < 1e-4);
/// # Ok::<(), vitrepl_prelude::Error>(())
/// ```
///
/// # Errors
/// Fewer than two scores, NaN or infinity.
pub fn specialisation(scores: &[f64]) -> Result<Option<Specialisation>> {
    if scores.len() < 2 {
        let expected = "of two features or more: a component is specialised against other features";
        return Err(Error::argument("scores", scores.len(), expected));
    }
    if let Some(score) = scores.iter().find(|s| !s.is_finite()) {
        let expected = "finite numbers; look at the contributions they came from";
        return Err(Error::argument("scores", score, expected));
    }
    let positive = scores.iter().map(|s| s.max(0.0));
    let sum: f64 = positive.clone().sum();
    if sum <= 0.0 {
        return Ok(None);
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let (best, second) = (order[0], scores[order[1]]);
    let shares = positive.map(|s| s / sum).filter(|share| *share > 0.0);
    let entropy: f64 = -shares.map(|share| share * share.ln()).sum::<f64>();
    Ok(Some(Specialisation {
        best,
        best_share: scores[best] / sum,
        selectivity: (1.0 - entropy / (scores.len() as f64).ln()).clamp(0.0, 1.0),
        ratio: (second > 0.0).then(|| scores[best] / second),
    }))
}
