//! CKA against Gram matrices, assignment against every permutation, similarity against its definition.

use super::support::{normal, refused};
use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use vitrepl_prelude::Result;
use vitrepl_prelude::score::{
    CkaEstimate, best_assignment, component_similarity, linear_cka, specialisation,
};

fn matrix(value: &serde_json::Value) -> Tensor {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
    let width = rows[0].len();
    Tensor::from_vec(rows.concat(), (rows.len(), width), &Device::Cpu).unwrap()
}

#[test]
fn cka_is_that_of_gram_matrices() -> Result<()> {
    let file: serde_json::Value = serde_json::from_str(include_str!("cka.json")).unwrap();
    let x = matrix(&file["x"]);
    let cases = file["cases"].as_object().unwrap();
    assert_eq!(cases.len(), 2);
    for (name, case) in cases {
        let y = matrix(&case["y"]);
        for (estimate, key) in [
            (CkaEstimate::Plain, "plain"),
            (CkaEstimate::Unbiased, "unbiased"),
        ] {
            let (found, wanted) = (linear_cka(&x, &y, estimate)?, case[key].as_f64().unwrap());
            assert!(
                (found - wanted).abs() < 1e-12,
                "{name}, {key}: {found} for {wanted}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_unbiased_estimate_is_about_0_for_representations_that_have_nothing_in_common() -> Result<()>
{
    let (mut plain, mut unbiased) = (0.0, 0.0);
    for seed in 0..20 {
        let (x, y) = (normal(seed, (40, 64)), normal(100 + seed, (40, 64)));
        plain += linear_cka(&x, &y, CkaEstimate::Plain)? / 20.0;
        unbiased += linear_cka(&x, &y, CkaEstimate::Unbiased)? / 20.0;
    }
    assert!(plain > 0.5, "{plain}");
    assert!(unbiased.abs() < 0.03, "{unbiased}");
    Ok(())
}

#[test]
fn cka_refuses_what_has_no_similarity() {
    let x = normal(1, (10, 4));
    let still = Tensor::ones((10, 4), DType::F32, &Device::Cpu).unwrap();
    refused(
        linear_cka(&x, &still, CkaEstimate::Plain),
        &["y", "10 images", "do not vary"],
    );
    refused(
        linear_cka(&x, &normal(2, (9, 4)), CkaEstimate::Plain),
        &["9 images", "10 images"],
    );
    let few = normal(3, (3, 4));
    refused(
        linear_cka(&few, &few, CkaEstimate::Unbiased),
        &["3 images", "4 or more"],
    );
    let broken = (x.clone() * f64::NAN).unwrap();
    refused(linear_cka(&broken, &x, CkaEstimate::Plain), &["NaN"]);
}

/// The greatest sum over all ways to match the fewer of rows and columns.
fn brute_force(values: &[Vec<f64>]) -> f64 {
    fn best(values: &[Vec<f64>], row: usize, taken: &mut Vec<bool>, skips: usize) -> f64 {
        if row == values.len() {
            return 0.0;
        }
        let mut most = f64::NEG_INFINITY;
        if skips > 0 {
            most = best(values, row + 1, taken, skips - 1);
        }
        for column in 0..taken.len() {
            if !taken[column] {
                taken[column] = true;
                most = most.max(values[row][column] + best(values, row + 1, taken, skips));
                taken[column] = false;
            }
        }
        most
    }
    let columns = values[0].len();
    let skips = values.len().saturating_sub(columns);
    best(values, 0, &mut vec![false; columns], skips)
}

proptest! {
    #[test]
    fn assignment_is_the_best_of_all(
        (rows, columns) in (1usize..6, 1usize..6),
        drawn in prop::collection::vec(-8i32..8, 25),
    ) {
        // Few different values, so that ties are common.
        let values: Vec<Vec<f64>> = (0..rows)
            .map(|r| (0..columns).map(|c| f64::from(drawn[r * 5 + c]) / 4.0).collect())
            .collect();
        let found = best_assignment(&values).unwrap();
        let matched: Vec<usize> = found.iter().flatten().copied().collect();
        prop_assert_eq!(matched.len(), rows.min(columns));
        let mut distinct = matched.clone();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(distinct.len(), matched.len());
        let sum: f64 = found.iter().enumerate().filter_map(|(r, c)| c.map(|c| values[r][c])).sum();
        prop_assert!((sum - brute_force(&values)).abs() < 1e-9, "{} for {}", sum, brute_force(&values));
    }
}

#[test]
fn assignment_refuses_what_cannot_be_matched() {
    refused(best_assignment(&[]), &["0 x 0"]);
    refused(
        best_assignment(&[vec![1.0, 2.0], vec![1.0]]),
        &["2 values in each row"],
    );
    refused(best_assignment(&[vec![f64::NAN]]), &["NaN", "finite"]);
}

#[test]
fn similarity_is_the_correlation_over_images_and_channels() -> Result<()> {
    let (a, b) = (normal(5, (3, 50, 8)), normal(6, (2, 50, 8)));
    let b = (b + a.narrow(0, 1, 2)?)?;
    let directions = normal(7, (2, 8));
    // An orthonormal basis of the two directions, by hand.
    let rows: Vec<Vec<f64>> = directions.to_dtype(DType::F64)?.to_vec2()?;
    let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
    let scaled = |x: &[f64]| -> Vec<f64> { x.iter().map(|v| v / dot(x, x).sqrt()).collect() };
    let first = scaled(&rows[0]);
    let along = dot(&rows[1], &first);
    let second: Vec<f64> = rows[1]
        .iter()
        .zip(&first)
        .map(|(v, f)| v - along * f)
        .collect();
    let basis = [first, scaled(&second)];
    for within in [false, true] {
        let found = component_similarity(&a, &b, within.then_some(&directions))?;
        let deviations = |t: &Tensor| -> Result<Vec<f64>> {
            let t = t.to_dtype(DType::F64)?;
            let rows: Vec<Vec<f64>> = t.broadcast_sub(&t.mean_keepdim(0)?)?.to_vec2()?;
            Ok(rows
                .iter()
                .flat_map(|row| match within {
                    true => basis.iter().map(|b| dot(b, row)).collect(),
                    false => row.clone(),
                })
                .collect())
        };
        for (i, found) in found.iter().enumerate().take(3) {
            for (j, found) in found.iter().enumerate().take(2) {
                let (x, y) = (deviations(&a.get(i)?)?, deviations(&b.get(j)?)?);
                let wanted = dot(&x, &y) / (dot(&x, &x) * dot(&y, &y)).sqrt();
                assert!(
                    (found - wanted).abs() < 1e-6,
                    "{i} {j}: {found} for {wanted}"
                );
            }
        }
    }
    // A constant component is like nothing; another size does not matter.
    let still = Tensor::ones((1, 50, 8), DType::F32, &Device::Cpu)?;
    assert_eq!(
        component_similarity(&a, &still, None)?,
        [[0.0], [0.0], [0.0]]
    );
    let twice = (a.narrow(0, 0, 1)? * -3.0)?;
    assert!((component_similarity(&a, &twice, None)?[0][0] + 1.0).abs() < 1e-6);
    refused(
        component_similarity(&a, &normal(1, (2, 49, 8)), None),
        &["49 images", "50 images"],
    );
    Ok(())
}

#[test]
fn a_component_of_one_feature_is_selective_and_one_of_all_is_not() -> Result<()> {
    let one = specialisation(&[0.0, 0.7, -0.2])?.unwrap();
    assert_eq!(
        (one.best, one.best_share, one.selectivity, one.ratio),
        (1, 1.0, 1.0, None)
    );
    let all = specialisation(&[0.4, 0.4, 0.4, 0.4])?.unwrap();
    assert!(all.selectivity.abs() < 1e-12 && all.ratio == Some(1.0));
    assert_eq!(specialisation(&[-0.1, 0.0])?, None);
    refused(specialisation(&[0.4]), &["two features or more"]);
    refused(specialisation(&[0.4, f64::INFINITY]), &["inf"]);
    Ok(())
}
