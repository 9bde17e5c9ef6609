//! Numbers that mean nothing are errors with a remedy, and texts that add nothing are no directions.

mod common;

use candle_core::{DType, Device, Tensor};
use vitrepl_prelude::Result;
use vitrepl_prelude::score::*;

/// Values between -1 and 1 without order, the same in numpy.
fn numbers(shape: &[usize], seed: usize) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n)
        .map(|i| (i as f64 * 12.9898 + seed as f64 * 78.233).sin() * 43758.5453)
        .map(|x| (2.0 * (x - x.floor()) - 1.0) as f32)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn rows(rows: &[&[f32]]) -> Tensor {
    Tensor::new(rows.to_vec(), &Device::Cpu).unwrap()
}

/// The message names each of `parts`, in words of the library's own.
#[track_caller]
fn refused<T>(result: Result<T>, parts: &[&str]) {
    let text = common::refused(result, parts);
    assert!(!text.contains("tensor:"), "candle's own words: {text}");
}

#[track_caller]
fn near(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance, "{got:?} for {want:?}");
    }
}

type Score = fn(&Tensor, &Tensor) -> Result<Vec<f64>>;

const SCORES: [Score; 4] = [
    variance_attributed,
    correlation_attributed,
    covariance_attributed,
    variance_explained,
];

#[test]
fn one_image_is_an_error_of_every_score() {
    let (c, f) = (numbers(&[3, 1, 4], 1), numbers(&[2, 4], 2));
    for score in SCORES {
        refused(score(&c, &f), &["contributions = 1 image", "two or more"]);
    }
    refused(
        text_span(&c.get(0).unwrap(), &f, 1),
        &["one image", "two or more"],
    );
}

#[test]
fn fewer_images_than_directions_are_an_error_of_every_score() {
    let f = numbers(&[4, 6], 2);
    for score in SCORES {
        let few = score(&numbers(&[3, 3, 6], 1), &f);
        refused(
            few,
            &["3 images", "directions, 4", "more images or fewer texts"],
        );
        assert!(score(&numbers(&[3, 4, 6], 1), &f).is_ok());
    }
    // Texts that add no direction ask for no image.
    let twice = Tensor::cat(&[&numbers(&[2, 6], 2), &numbers(&[2, 6], 2)], 0).unwrap();
    assert!(variance_attributed(&numbers(&[3, 3, 6], 1), &twice).is_ok());
    refused(
        text_span(&numbers(&[3, 6], 1), &f, 4),
        &["directions = 4", "at most 3, the number of images"],
    );
}

#[test]
fn a_total_that_does_not_vary_is_an_error_and_a_still_component_scores_0() {
    let moving = numbers(&[1, 8, 4], 1);
    let still = Tensor::full(3.7f32, (1, 8, 4), &Device::Cpu).unwrap();
    let f = numbers(&[2, 4], 2);
    let one_still = Tensor::cat(&[&moving, &still], 0).unwrap();
    for score in SCORES {
        let scores = score(&one_still, &f).unwrap();
        assert!(scores[0] > 0.0 && scores[1] == 0.0, "{scores:?}");
        // Nothing moves at all: the same image eight times.
        let all_still = Tensor::cat(&[&still, &still], 0).unwrap();
        refused(
            score(&all_still, &f),
            &["8 images", "are they all the same"],
        );
    }
    // Components that move against each other leave a total of rounding errors.
    let against = Tensor::cat(&[&moving, &(&moving * -1.0).unwrap(), &still], 0).unwrap();
    for score in [
        variance_attributed,
        correlation_attributed,
        covariance_attributed,
    ] {
        refused(score(&against, &f), &["sum over components does not vary"]);
    }
    assert_eq!(variance_explained(&against, &f).unwrap()[2], 0.0);
    refused(
        text_span(&still.get(0).unwrap(), &f, 1),
        &["data = 8 images", "do not vary", "leave this component out"],
    );
}

#[test]
fn one_direction_without_variance_is_named_by_the_papers_score() {
    // All movement is along x.
    let c = rows(&[&[1., 5.], &[2., 5.], &[4., 5.]])
        .unsqueeze(0)
        .unwrap();
    let xy = rows(&[&[1., 0.], &[0., 1.]]);
    refused(
        variance_attributed(&c, &xy),
        &["what text 2 of the features adds", "does not vary"],
    );
    // The traces go over the span: there is variance in it.
    near(&correlation_attributed(&c, &xy).unwrap(), &[1.0], 1e-12);
}

#[test]
fn the_order_free_score_is_numpys() -> Result<()> {
    // import numpy as np
    // def numbers(shape, seed):
    //     x = np.sin(np.arange(np.prod(shape)) * 12.9898 + seed * 78.233) * 43758.5453
    //     return (2 * (x - np.floor(x)) - 1).astype(np.float32).astype(np.float64).reshape(shape)
    // c, f, b = numbers((4, 12, 5), 1), numbers((3, 5), 2), 12
    // q = np.linalg.qr(f.T)[0]
    // s = (c - c.mean(1, keepdims=True)) @ q; S = s.sum(0)
    // (s * S).sum((1, 2)) / np.sqrt((s**2).sum((1, 2)) * (S**2).sum())
    // np.mean((s * S).sum(1) / np.sqrt((s**2).sum(1) * (S**2).sum(0)), -1) * (b - 1) / b
    let (c, f) = (numbers(&[4, 12, 5], 1), numbers(&[3, 5], 2));
    near(
        &correlation_attributed(&c, &f)?,
        &[0.41357003, 0.4965109, 0.69467325, 0.43158443],
        1e-6,
    );
    near(
        &variance_attributed(&c, &f)?,
        &[0.42379573, 0.39173569, 0.62058642, 0.37699991],
        1e-6,
    );
    Ok(())
}

#[test]
fn the_order_free_score_by_hand() -> Result<()> {
    // s_1 = (-1, 0, 1) along x, s_2 = (1, 0, 1) - 2/3 along y; S has both.
    let c = Tensor::new(
        &[
            [[0f32, 0., 9.], [1., 0., 9.], [2., 0., 9.]],
            [[0., 3., 1.], [0., 2., 1.], [0., 3., 1.]],
        ],
        &Device::Cpu,
    )?;
    let xy = rows(&[&[2., 0., 0.], &[3., 0.5, 0.]]);
    // trace cov(s_1, S) = 2, trace cov(s_1) = 2, trace cov(s_2) = 2/3, trace cov(S) = 8/3.
    let want = [
        2.0 / (2.0 * 8.0 / 3.0f64).sqrt(),
        (2.0 / 3.0) / (16.0f64 / 9.0).sqrt(),
    ];
    near(&correlation_attributed(&c, &xy)?, &want, 1e-7);
    Ok(())
}

#[test]
fn the_papers_score_knows_the_order_of_the_texts_and_the_other_one_does_not() -> Result<()> {
    // Channels of different deviation, as representations have.
    let deviations = Tensor::new(&[9f32, 1., 3., 0.2, 5., 0.5, 1., 2.], &Device::Cpu)?;
    let c = numbers(&[6, 40, 8], 3).broadcast_mul(&deviations)?;
    let f = numbers(&[4, 8], 4);
    let orders = [[0u32, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]];
    let shuffled: Vec<Tensor> = orders
        .iter()
        .map(|order| Ok(f.index_select(&Tensor::new(order, &Device::Cpu)?, 0)?))
        .collect::<Result<_>>()?;
    let want = correlation_attributed(&c, &f)?;
    for texts in &shuffled {
        near(&correlation_attributed(&c, texts)?, &want, 1e-6);
        near(
            &covariance_attributed(&c, texts)?,
            &covariance_attributed(&c, &f)?,
            1e-6,
        );
        near(
            &variance_explained(&c, texts)?,
            &variance_explained(&c, &f)?,
            1e-6,
        );
    }
    let paper: Vec<Vec<f64>> = shuffled
        .iter()
        .map(|texts| variance_attributed(&c, texts))
        .collect::<Result<_>>()?;
    let moved = paper[0].iter().zip(&paper[1]).map(|(a, b)| (a - b).abs());
    assert!(moved.fold(0.0, f64::max) > 0.01, "{paper:?}");
    // Any other texts of the same span: rotated, mixed, of other lengths.
    let mixed = numbers(&[4, 4], 5).matmul(&f)?;
    near(&correlation_attributed(&c, &mixed)?, &want, 1e-5);
    Ok(())
}

#[test]
fn for_one_text_both_are_pearsons_correlation() -> Result<()> {
    let (c, f) = (numbers(&[5, 30, 6], 6), numbers(&[1, 6], 7));
    let along = |x: &Tensor| -> Result<Vec<f64>> {
        let values = x.matmul(&f.t()?)?.flatten_all()?.to_dtype(DType::F64)?;
        Ok(values.to_vec1()?)
    };
    let total = along(&c.sum(0)?)?;
    let scores = correlation_attributed(&c, &f)?;
    let paper = variance_attributed(&c, &f)?;
    for (i, (score, paper)) in scores.iter().zip(&paper).enumerate() {
        let own = along(&c.get(i)?)?;
        let want = pearson(&own, &total);
        assert!((score - want).abs() < 1e-5, "{score} for {want}");
        assert!((paper - want * 29.0 / 30.0).abs() < 1e-5);
    }
    Ok(())
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum()
    };
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

/// A direction that hardly differs from the first one: its singular value is about half of `by`.
fn nearly(first: &Tensor, by: f64) -> Tensor {
    let noise = numbers(&[1, first.dim(1).unwrap()], 9);
    let unit = |t: &Tensor| {
        let length = t
            .sqr()
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        (t / f64::from(length).sqrt()).unwrap()
    };
    (unit(first) + (unit(&noise) * by).unwrap()).unwrap()
}

#[test]
fn near_duplicates_are_no_further_directions() -> Result<()> {
    let f = numbers(&[3, 16], 1);
    let sea = f.narrow(0, 0, 1)?;
    for (by, further) in [(1e-4, false), (8e-4, false), (1e-2, true), (0.5, true)] {
        let with = Tensor::cat(&[&f, &nearly(&sea, by)], 0)?;
        let basis = Basis::of(&with)?;
        assert_eq!(basis.len(), 3 + usize::from(further), "by {by}");
        if further {
            assert!(basis.dropped().is_empty() && basis.kept() == [0, 1, 2, 3]);
            continue;
        }
        assert_eq!(basis.kept(), [0, 1, 2]);
        let dropped = &basis.dropped()[0];
        assert_eq!((dropped.row, dropped.nearest), (3, 0));
        assert!(dropped.cosine > 0.999_999, "{dropped:?}");
        let names = ["sea", "wood", "city", "sea."];
        assert_eq!(
            basis.describe(&names)?,
            "3 directions of 4 texts: \"sea.\" adds nothing (nearest: \"sea\", cosine 1.000000)"
        );
        assert!(
            basis
                .to_string()
                .contains("text 4 adds nothing (nearest: text 1")
        );
        refused(basis.describe(&names[1..]), &["3 texts", "4 texts"]);
        // The scores are those of the texts that count, wherever the near-duplicate stands.
        let c = numbers(&[5, 40, 16], 2);
        near(
            &variance_attributed(&c, &with)?,
            &variance_attributed(&c, &f)?,
            1e-9,
        );
        let first = Tensor::cat(&[&nearly(&sea, by), &f], 0)?;
        assert_eq!(Basis::of(&first)?.len(), 3);
        near(
            &correlation_attributed(&c, &first)?,
            &correlation_attributed(&c, &with)?,
            1e-6,
        );
    }
    Ok(())
}

#[test]
fn the_cut_is_relative_and_does_not_know_the_length_of_a_text() -> Result<()> {
    let f = numbers(&[3, 16], 1);
    // Tiny, and of very different lengths: three directions all the same.
    let lengths = Tensor::new(&[[1e-6f32], [1.0], [1e5]], &Device::Cpu)?;
    let basis = Basis::of(&f.broadcast_mul(&lengths)?)?;
    assert_eq!(basis.len(), 3);
    // A zero vector is no direction, and neither are texts beyond the width.
    let zero = Tensor::cat(&[&f, &f.zeros_like()?.narrow(0, 0, 1)?], 0)?;
    assert!(
        Basis::of(&zero)?
            .to_string()
            .contains("text 4 is a zero vector")
    );
    assert_eq!(Basis::of(&numbers(&[9, 4], 3))?.kept(), [0, 1, 2, 3]);
    // Many texts beside each other: those that add nothing are counted.
    let many = Tensor::cat(&[&f; 5], 0)?;
    let text = Basis::of(&many)?.to_string();
    assert!(text.starts_with("3 directions of 15 texts"), "{text}");
    assert!(text.ends_with("nor do 7 more"), "{text}");
    Ok(())
}

#[test]
fn a_combination_of_two_texts_adds_nothing_either() -> Result<()> {
    let f = numbers(&[2, 8], 1);
    let sum = f.sum_keepdim(0)?;
    let basis = Basis::of(&Tensor::cat(&[&f, &sum], 0)?)?;
    assert_eq!((basis.len(), basis.kept()), (2, &[0, 1][..]));
    // Twice the same beside something nearly the same: the copy goes, whichever of them raised the rank.
    let a = f.narrow(0, 0, 1)?;
    let three = Tensor::cat(&[&a, &nearly(&a, 3e-3), &a], 0)?;
    assert_eq!(Basis::of(&three)?.kept(), [0, 1]);
    Ok(())
}

#[test]
fn a_text_span_does_not_pick_the_same_text_twice() -> Result<()> {
    let data = numbers(&[30, 16], 1);
    let f = numbers(&[3, 16], 2);
    let texts = Tensor::cat(&[&f, &nearly(&f.narrow(0, 1, 1)?, 5e-4)], 0)?;
    let span = text_span(&data, &texts, 4)?;
    assert_eq!(span.picks.len(), 3);
    assert!(span.std.iter().all(|s| *s > 0.1), "{:?}", span.std);
    Ok(())
}

#[test]
fn what_has_no_order_is_not_ranked() {
    refused(
        spearman(&[1.0, 2.0, 3.0], &[4.0, 4.0, 4.0]),
        &["b = 3 times 4", "not all the same"],
    );
    let names = ["a", "b"].map(String::from);
    refused(
        rank(&names, &[0.0, 0.0]),
        &["2 times 0", "look at the features"],
    );
    refused(difference(&names, &[0.3, 0.2], &[0.3, 0.2]), &["2 times 0"]);
    assert!(rank(&names, &[0.0, 0.1]).is_ok());
    assert!(rank(&names[..1], &[0.0]).is_ok());
}

#[test]
fn means_of_no_images_are_refused() {
    let none = Tensor::zeros((3, 0, 4), DType::F32, &Device::Cpu).unwrap();
    refused(component_means(&none), &["[3, 0, 4]", "nothing empty"]);
}

#[test]
fn an_image_that_is_its_own_mean_is_not_ablated_in_silence() {
    let c = numbers(&[3, 1, 4], 1);
    let own = component_means(&c).unwrap();
    let head = LinearHead::new(numbers(&[2, 4], 2), numbers(&[2], 3)).unwrap();
    let expected = ["means = equal to the contributions", "whose images differ"];
    refused(ablate(&c, &own, &[0]), &expected);
    refused(Ablation::new(&c, &own, &head), &expected);
    let same = Tensor::cat(&[&c, &c, &c, &c], 1).unwrap();
    refused(Ablation::new(&same, &own, &head), &expected);
    // Means of other images change it.
    let means = component_means(&numbers(&[3, 5, 4], 4)).unwrap();
    assert!(ablate(&c, &means, &[0]).is_ok() && Ablation::new(&c, &means, &head).is_ok());
}

#[test]
fn a_head_of_another_width_or_of_one_class_is_refused_in_plain_words() {
    let c = numbers(&[3, 5, 4], 1);
    let means = component_means(&c).unwrap();
    let head = |classes: usize, width: usize| {
        let bias = Tensor::zeros(classes, DType::F32, &Device::Cpu).unwrap();
        LinearHead::new(numbers(&[classes, width], 2), bias).unwrap()
    };
    let expected = [
        "contributions = 4 channels",
        "7 channels, as this head takes",
    ];
    refused(Ablation::new(&c, &means, &head(2, 7)), &expected);
    refused(
        head(2, 7).predict(&c.get(0).unwrap()),
        &["4 channels", "7 channels"],
    );
    refused(
        Ablation::new(&c, &means, &head(1, 4)),
        &["1 class", "two classes"],
    );
    refused(
        head(1, 4).predict(&c.get(0).unwrap()),
        &["1 class", "two classes"],
    );
    refused(zero_shot(&numbers(&[1, 4], 1)), &["1 class", "two or more"]);
    let nan = (c.get(0).unwrap() / 0.0).unwrap();
    refused(
        head(2, 4).predict(&nan),
        &["representations", "NaN or infinity"],
    );
    refused(
        ablate(&c, &(means.clone() / 0.0).unwrap(), &[0]),
        &["means", "NaN or infinity"],
    );
    // Other types than f32 are taken.
    let wide = means.to_dtype(DType::F64).unwrap();
    assert!(Ablation::new(&c, &wide, &head(2, 4)).is_ok());
    assert!(ablate(&c.to_dtype(DType::F64).unwrap(), &wide, &[1]).is_ok());
    let other = [numbers(&[2, 4], 1), numbers(&[2, 5], 1)];
    refused(class_embeddings(&other), &["5 channels", "4 channels"]);
    let half = [numbers(&[2, 4], 1).to_dtype(DType::F16).unwrap()];
    assert_eq!(class_embeddings(&half).unwrap().dims(), [1, 4]);
}

#[test]
fn directions_and_scores_of_other_widths_are_refused_in_plain_words() {
    let c = numbers(&[3, 9, 4], 1);
    for score in SCORES {
        refused(
            score(&c, &numbers(&[2, 5], 1)),
            &["features = 5 channels", "4 channels"],
        );
    }
    refused(
        text_span(&c.get(0).unwrap(), &numbers(&[2, 5], 1), 1),
        &["texts = 5 channels"],
    );
}

/// Predictions of a perfect classifier of `classes`, whose labels count in the order of `renamed`.
fn renamed(images: usize, classes: usize, renamed: impl Fn(usize) -> usize) -> Accuracy {
    let predicted: Vec<usize> = (0..images).map(|i| (i * 7) % classes).collect();
    let labels: Vec<usize> = predicted.iter().map(|p| renamed(*p)).collect();
    Accuracy::of(&predicted, &labels, classes).unwrap()
}

#[test]
fn accuracy_at_chance_brings_a_hint_on_the_order_of_classes() -> Result<()> {
    let right = renamed(500, 10, |c| c);
    assert_eq!((right.share(), right.hint()), (1.0, None));
    assert_eq!(right.to_string(), "100.0 % of 500 images");
    let mixed = renamed(500, 10, |c| (c + 3) % 10);
    let hint = mixed.hint().expect("a hint");
    for part in [
        "0.0 % of 500 images",
        "another order",
        "100.0 % would be right",
        "wnids",
    ] {
        assert!(hint.contains(part), "\"{part}\" is not in: {hint}");
    }
    assert_eq!(mixed.to_string(), hint);
    // Coin throws of three classes: at chance, and no order would help.
    let throws = |seed: usize| -> Vec<usize> {
        let values = numbers(&[600], seed).to_vec1::<f32>().unwrap();
        values.iter().map(|v| ((v + 1.0) * 1.49) as usize).collect()
    };
    let chance = Accuracy::of(&throws(1), &throws(2), 3)?;
    let hint = chance.hint().expect("a hint");
    assert!(
        hint.contains("another order") && !hint.contains("would be right"),
        "{hint}"
    );
    // One class for everything has another cause.
    let stuck = Accuracy::of(&[4; 200], &(0..200).map(|i| i % 10).collect::<Vec<_>>(), 10)?;
    assert!(
        stuck
            .hint()
            .expect("a hint")
            .contains("one class is predicted for every image")
    );
    // A weak but real classifier, few images, and two classes at chance are no reason.
    let weak: Vec<usize> = (0..500)
        .map(|i| if i % 3 == 0 { i % 10 } else { (i * 7) % 10 })
        .collect();
    let labels: Vec<usize> = (0..500).map(|i| i % 10).collect();
    assert_eq!(Accuracy::of(&weak, &labels, 10)?.hint(), None);
    assert_eq!(renamed(20, 10, |c| (c + 3) % 10).hint(), None);
    let coin: Vec<usize> = throws(1).iter().map(|t| t % 2).collect();
    let other: Vec<usize> = throws(2).iter().map(|t| t % 2).collect();
    assert_eq!(Accuracy::of(&coin, &other, 2)?.hint(), None);
    // Two classes the wrong way round are far below chance.
    assert!(renamed(300, 2, |c| 1 - c).hint().is_some());
    Ok(())
}

#[test]
fn a_label_that_is_no_class_of_the_head_is_named() {
    let bias = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let head = LinearHead::new(numbers(&[3, 4], 2), bias).unwrap();
    let z = numbers(&[2, 4], 1);
    refused(
        head.accuracy(&z, &[0, 3]),
        &["labels = 3 (image 1)", "below 3"],
    );
    refused(head.accuracy(&z, &[0]), &["1 images", "2 images"]);
}

#[test]
fn averages_are_those_of_the_papers() -> Result<()> {
    let group = |name: &str, correct, images| GroupCount {
        name: name.into(),
        correct,
        images,
    };
    let counted = GroupAccuracy {
        groups: vec![
            group("land, land", 2000, 2000),
            group("land, water", 1000, 2000),
            group("water, land", 300, 600),
            group("water, water", 600, 600),
        ],
    };
    assert_eq!(counted.worst(), 0.5);
    assert!((counted.average() - 3900.0 / 5200.0).abs() < 1e-12);
    assert!((counted.average_of_groups() - 0.75).abs() < 1e-12);
    // (3498 + 184/2 + 56/2 + 1057) / 4795
    let sagawa = counted.average_weighted(&[3498.0, 184.0, 56.0, 1057.0])?;
    assert!((sagawa - 4675.0 / 4795.0).abs() < 1e-12, "{sagawa}");
    refused(
        counted.average_weighted(&[1.0; 3]),
        &["3 groups", "4 groups"],
    );
    refused(counted.average_weighted(&[0.0; 4]), &["only 0"]);
    refused(
        counted.average_weighted(&[1.0, -1.0, 0.0, 0.0]),
        &["weights = -1"],
    );
    let mut lacking = counted.clone();
    lacking.groups[3] = group("water, water", 0, 0);
    refused(
        lacking.average_weighted(&[1.0; 4]),
        &["\"water, water\"", "no images"],
    );
    assert!((lacking.average_of_groups() - 2.0 / 3.0).abs() < 1e-12);
    Ok(())
}

#[test]
fn a_group_that_validation_lacks_is_named() {
    let c = numbers(&[4, 8, 3], 1);
    let means = component_means(&c).unwrap();
    let bias = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
    let head = LinearHead::new(numbers(&[2, 3], 2), bias).unwrap();
    let names = ["a", "b", "c", "d"].map(String::from);
    let order = rank(&names, &[0.1, 0.4, 0.3, 0.2]).unwrap();
    let groups = ["cat, sea", "dog, sea"].map(String::from);
    let labels = [0, 1, 0, 1, 0, 1, 0, 1];
    let images = |groups: &'static [usize; 8]| Labelled {
        contributions: &c,
        labels: &labels,
        groups,
    };
    let (whole, lacking) = (images(&[0, 1, 0, 1, 0, 1, 0, 1]), images(&[0; 8]));
    let run = |validation, test| {
        let options = MitigateOptions::default();
        mitigate(&order, &groups, &means, &head, validation, test, &options)
    };
    refused(
        run(lacking, whole),
        &["no image of group \"dog, sea\"", "validation"],
    );
    assert!(run(whole, lacking).is_ok());
    let wrong = Labelled {
        labels: &[0, 1, 2, 0, 0, 1, 0, 1],
        ..whole
    };
    refused(run(whole, wrong), &["labels = 2 (image 2)", "below 2"]);
}

#[test]
fn a_basis_of_many_texts_takes_seconds_at_most() {
    let start = std::time::Instant::now();
    let basis = Basis::of(&numbers(&[300, 256], 1)).unwrap();
    assert_eq!(basis.len(), 256);
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}
