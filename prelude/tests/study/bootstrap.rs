use super::support::refused;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vitrepl_prelude::Result;
use vitrepl_prelude::score::{Bootstrap, BootstrapOptions};

fn options() -> BootstrapOptions {
    BootstrapOptions::default()
}

/// Three groups of 100, 400 and 0 images.
fn groups() -> Vec<usize> {
    [vec![0; 100], vec![1; 400]].concat()
}

#[test]
fn half_right_has_the_binomials_interval_and_all_right_has_none() -> Result<()> {
    let correct: Vec<bool> = (0..500).map(|i| i >= 100 || i % 2 == 0).collect();
    let bootstrap = Bootstrap::new(&groups(), 3, &options())?.weighted(&[1.0, 3.0, 0.0])?;
    let found = bootstrap.intervals(&correct)?;
    // 1.96 sqrt(0.25 / 100) = 0.098.
    let half = found.groups[0].unwrap();
    assert!((half.low - 0.402).abs() < 0.021, "{half:?}");
    assert!((half.high - 0.598).abs() < 0.021, "{half:?}");
    let all = found.groups[1].unwrap();
    assert_eq!((all.low, all.high), (1.0, 1.0));
    assert_eq!(found.groups[2], None);
    assert_eq!(found.worst, half);
    // Each average moves as its weight of the one group that moves.
    let near = |found: f64, share: f64| {
        let expected = 1.0 - share * (1.0 - half.low);
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    };
    near(found.average.low, 0.2);
    near(found.average_of_groups.low, 0.5);
    near(found.average_weighted.unwrap().low, 0.25);
    Ok(())
}

#[test]
fn a_seed_gives_the_same_interval_and_the_level_its_width() -> Result<()> {
    let correct: Vec<bool> = (0..500).map(|i| i % 3 > 0).collect();
    let width = |options: &BootstrapOptions| -> Result<f64> {
        let found = Bootstrap::new(&groups(), 3, options)?.intervals(&correct)?;
        Ok(found.average.high - found.average.low)
    };
    let other = BootstrapOptions {
        seed: 1,
        ..options()
    };
    let narrow = BootstrapOptions {
        level: 0.5,
        ..options()
    };
    let whole =
        |options: &BootstrapOptions| Bootstrap::new(&groups(), 3, options)?.intervals(&correct);
    assert_eq!(whole(&options())?, whole(&options())?);
    assert_ne!(whole(&options())?, whole(&other)?);
    // The normal quantiles 0.674 and 1.96.
    let ratio = width(&narrow)? / width(&options())?;
    assert!((ratio - 0.344).abs() < 0.06, "{ratio}");
    Ok(())
}

#[test]
fn the_same_classifier_changes_nothing_and_pairs_are_tighter_than_two_intervals() -> Result<()> {
    let before: Vec<bool> = (0..500).map(|i| i % 2 == 0).collect();
    // Right where it was, and on 5 images of the first group besides.
    let after: Vec<bool> = (0..500).map(|i| before[i] || (i < 10)).collect();
    let bootstrap = Bootstrap::new(&groups(), 3, &options())?;
    let same = bootstrap.change(&before, &before)?;
    assert_eq!((same.worst.low, same.worst.high), (0.0, 0.0));
    let change = bootstrap.change(&before, &after)?.groups[0].unwrap();
    assert!(change.low > 0.0 && change.high <= 0.11, "{change:?}");
    let alone = bootstrap.intervals(&before)?.groups[0].unwrap();
    assert!(change.high - change.low < 0.6 * (alone.high - alone.low));
    Ok(())
}

#[test]
fn intervals_cover_the_truth_as_often_as_they_say() -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let groups = [vec![0; 150], vec![1; 150]].concat();
    let truth = [0.6, 0.9];
    let few = BootstrapOptions {
        draws: 300,
        level: 0.9,
        seed: 0,
    };
    let bootstrap = Bootstrap::new(&groups, 2, &few)?;
    let mut covered = 0;
    for _ in 0..300 {
        let correct: Vec<bool> = groups.iter().map(|g| rng.random_bool(truth[*g])).collect();
        let interval = bootstrap.intervals(&correct)?.average_of_groups;
        covered += usize::from(interval.low <= 0.75 && 0.75 <= interval.high);
    }
    let share = covered as f64 / 300.0;
    assert!((0.84..=0.95).contains(&share), "{share}");
    Ok(())
}

#[test]
fn senseless_settings_are_refused() {
    let with = |draws, level| {
        let options = BootstrapOptions {
            draws,
            level,
            seed: 0,
        };
        Bootstrap::new(&groups(), 3, &options)
    };
    refused(with(10, 0.95), &["draws = 10", "100 or more"]);
    refused(with(1000, 1.0), &["level = 1", "below 1"]);
    refused(with(1000, f64::NAN), &["level"]);
    refused(Bootstrap::new(&[], 2, &options()), &["no images"]);
    refused(Bootstrap::new(&[0, 2], 2, &options()), &["groups = 2"]);
    let bootstrap = Bootstrap::new(&groups(), 3, &options()).unwrap();
    refused(bootstrap.intervals(&[true]), &["correct", "500 images"]);
    refused(
        bootstrap.weighted(&[1.0, 1.0, 1.0]),
        &["no images", "group 2"],
    );
}
