//! Spearman's rank correlation.

use crate::check;
use crate::{Error, Result};

/// The correlation of the ranks of `a` and `b`, ties sharing their mean rank, as `scipy.stats.spearmanr`.
///
/// # Errors
/// Lengths that differ, fewer than two values, NaN; values that are all the same, which have no order (scipy answers
/// NaN).
pub fn spearman(a: &[f64], b: &[f64]) -> Result<f64> {
    check::same("b", b.len(), a.len(), "values")?;
    if a.len() < 2 {
        return Err(Error::argument(
            "a",
            format!("{} values", a.len()),
            "two values or more, for there to be an order",
        ));
    }
    if a.iter().chain(b).any(|v| v.is_nan()) {
        return Err(Error::argument(
            "values",
            "NaN",
            "numbers that have an order",
        ));
    }
    for (name, values) in [("a", a), ("b", b)] {
        if values.iter().all(|v| *v == values[0]) {
            return Err(Error::argument(
                name,
                format!("{} times {}", values.len(), values[0]),
                "values that are not all the same, for there to be an order; look at what they are scores of",
            ));
        }
    }
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() - 1) as f64 / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum()
    };
    Ok(product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt())
}

/// Ranks from 0; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tied in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let rank = first as f64 + (tied.len() - 1) as f64 / 2.0;
        tied.iter().for_each(|&i| ranks[i] = rank);
        first += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_scipy_computes_it() -> Result<()> {
        let r = |a: &[f64], b: &[f64]| spearman(a, b);
        // scipy.stats.spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) -> 0.8207826816681233
        assert!(
            (r(&[1., 2., 3., 4., 5.], &[5., 6., 7., 8., 7.])? - 0.8207826816681233).abs() < 1e-12
        );
        assert_eq!(r(&[1., 2., 3.], &[-1., -8., -9.])?, -1.0);
        let constant = r(&[1., 2., 3.], &[4., 4., 4.]).unwrap_err().to_string();
        assert!(constant.contains("b = 3 times 4"), "{constant}");
        assert!(r(&[1., 2.], &[1.]).is_err());
        assert!(r(&[1., f64::NAN], &[1., 2.]).is_err());
        Ok(())
    }
}
