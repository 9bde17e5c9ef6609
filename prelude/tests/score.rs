//! Scores, heads, groups, ablation and mitigation.

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vitrepl_prelude::Result;
use vitrepl_prelude::charts::{BarChart, GroupedBars, LineChart, Table};
use vitrepl_prelude::score::*;

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap()
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| n.to_string()).collect()
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T>, expected: &str) {
    let text = result.unwrap_err().to_string();
    assert!(text.contains(expected), "{text:?} lacks {expected:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    /// Covariances sum over components to the variance of the total.
    #[test]
    fn covariances_sum_to_the_total(
        n in 1usize..6, images in 2usize..12, d in 1usize..10, k in 1usize..12, seed in 0u64..1000,
    ) {
        let f = random(&[k, d], seed + 1);
        // As many images as directions are needed, and for each its variance along them.
        let images = images.max(k.min(d));
        let c = random(&[n, images, d], seed);
        let sum: f64 = covariance_attributed(&c, &f).unwrap().iter().sum();
        let total = c.sum(0).unwrap().unsqueeze(0).unwrap();
        let whole = covariance_attributed(&total, &f).unwrap()[0];
        prop_assert!((sum - whole).abs() < 1e-5 * whole.max(1e-3), "{sum} {whole}");
        // The total correlates perfectly with itself, on the published scale.
        let one = variance_attributed(&total, &f).unwrap()[0];
        prop_assert!((one - (images - 1) as f64 / images as f64).abs() < 1e-5, "{one}");
        for share in variance_explained(&c, &f).unwrap() {
            prop_assert!((0.0..1.0 + 1e-5).contains(&share), "{share}");
        }
        // All of the space explains all of the variance.
        prop_assume!(images >= d);
        let eye = Tensor::eye(d, candle_core::DType::F32, &Device::Cpu).unwrap();
        for share in variance_explained(&c, &eye).unwrap() {
            prop_assert!((share - 1.0).abs() < 1e-5, "{share}");
        }
    }

    /// Scores do not know the length, the sign or the repetition of features, nor a shift of the contributions.
    #[test]
    fn scores_see_the_span_only(seed in 0u64..1000) {
        let c = random(&[4, 10, 6], seed);
        let f = random(&[3, 6], seed + 1);
        let want = variance_attributed(&c, &f).unwrap();
        prop_assume!(Basis::of(&f).unwrap().len() == 3);
        let f2 = Tensor::cat(&[&(&f * -7.0).unwrap(), &f], 0).unwrap();
        let shifted = c.broadcast_add(&random(&[4, 1, 6], seed + 2)).unwrap();
        for got in [variance_attributed(&c, &f2).unwrap(), variance_attributed(&shifted, &f).unwrap()] {
            for (g, w) in got.iter().zip(&want) {
                prop_assert!((g - w).abs() < 1e-4, "{got:?} {want:?}");
            }
        }
    }

    /// The basis is orthonormal and holds every feature.
    #[test]
    fn basis_is_orthonormal(k in 1usize..9, d in 1usize..7, seed in 0u64..1000) {
        let f = random(&[k, d], seed);
        let basis = Basis::of(&f).unwrap();
        let q = basis.tensor(&Device::Cpu).unwrap();
        // Random vectors hardly ever come within a thousandth of each other's span.
        prop_assume!(basis.len() == k.min(d));
        let gram = values(&q.t().unwrap().matmul(&q).unwrap());
        for (i, g) in gram.iter().enumerate() {
            let want = if i % (basis.len() + 1) == 0 { 1.0 } else { 0.0 };
            prop_assert!((g - want).abs() < 1e-5);
        }
        let back = f.matmul(&q).unwrap().matmul(&q.t().unwrap()).unwrap();
        for (a, b) in values(&back).iter().zip(values(&f)) {
            prop_assert!((a - b).abs() < 1e-5);
        }
    }

    /// Greedy picks fall in step with an explicit removal from data and texts.
    #[test]
    fn text_span_is_the_greedy_one(m in 1usize..12, images in 2usize..12, d in 1usize..8, seed in 0u64..1000) {
        let (data, texts) = (random(&[images, d], seed), random(&[m, d], seed + 1));
        let span = text_span(&data, &texts, m.min(images)).unwrap();
        let mut rest = data.broadcast_sub(&data.mean_keepdim(0).unwrap()).unwrap();
        let mut words = texts.clone();
        let rank = d.min(images - 1);
        for (pick, std) in span.picks.iter().zip(&span.std).take(rank) {
            let along = rest.matmul(&words.t().unwrap()).unwrap();
            let deviations: Vec<f32> = values(&along.var(0).unwrap().sqrt().unwrap());
            let best = deviations.iter().cloned().fold(0.0, f32::max);
            prop_assert!((f64::from(best) - std).abs() < 1e-3, "{best} {std}");
            prop_assert!((deviations[*pick] - best).abs() < 1e-3);
            let u = words.get(*pick).unwrap();
            let length = values(&u.sqr().unwrap().sum_all().unwrap())[0];
            prop_assume!(length > 1e-3);
            let u = (u / f64::from(length).sqrt()).unwrap().unsqueeze(0).unwrap();
            let out = |t: &Tensor| (t - t.matmul(&u.t().unwrap()).unwrap().matmul(&u).unwrap()).unwrap();
            rest = out(&rest);
            words = out(&words);
        }
        // As many independent texts as there are dimensions rebuild the data, and none is picked twice.
        prop_assert!(span.picks.len() <= m.min(d));
        if span.picks.len() == d {
            prop_assert!((span.explained.last().unwrap() - 1.0).abs() < 1e-6);
            for (a, b) in values(&span.reconstruction).iter().zip(values(&data)) {
                prop_assert!((a - b).abs() < 1e-4);
            }
        }
    }

    /// Switching off through the logits is switching off in the representation.
    #[test]
    fn ablation_by_parts_is_ablation(n in 1usize..7, images in 1usize..9, classes in 2usize..4, seed in 0u64..1000) {
        let d = 5;
        let c = random(&[n, images, d], seed);
        let means = component_means(&random(&[n, 20, d], seed + 1)).unwrap();
        let head = LinearHead::new(random(&[classes, d], seed + 2), random(&[classes], seed + 3)).unwrap();
        let parts = Ablation::new(&c, &means, &head).unwrap();
        let order: Vec<usize> = (0..n).rev().collect();
        let answers = parts.predict_prefixes(&order).unwrap();
        prop_assert_eq!(answers.len(), n + 1);
        for (k, answer) in answers.iter().enumerate() {
            let z = ablate(&c, &means, &order[..k]).unwrap();
            prop_assert_eq!(answer, &head.predict(&z).unwrap());
            prop_assert_eq!(answer, &parts.predict(&order[..k]).unwrap());
        }
        // With everything off nothing is left of the image.
        let z = values(&ablate(&c, &means, &order).unwrap());
        for row in z.chunks(d) {
            for (a, b) in row.iter().zip(&z[..d]) {
                prop_assert!((a - b).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn constants_score_zero_without_nan() -> Result<()> {
    let moving = random(&[1, 8, 4], 1);
    let still = (zeros(&[1, 8, 4]) + 3.7)?;
    let c = Tensor::cat(&[&moving, &still], 0)?;
    let f = random(&[2, 4], 2);
    for scores in [
        variance_attributed(&c, &f)?,
        covariance_attributed(&c, &f)?,
        variance_explained(&c, &f)?,
    ] {
        assert!(scores[0] > 0.0 && scores[1] == 0.0, "{scores:?}");
    }
    Ok(())
}

#[test]
fn half_precision_is_taken() -> Result<()> {
    let c = random(&[3, 10, 4], 1).to_dtype(candle_core::DType::BF16)?;
    let f = random(&[2, 4], 2);
    let wide = c.to_dtype(candle_core::DType::F32)?;
    assert_eq!(
        variance_attributed(&c, &f)?,
        variance_attributed(&wide, &f)?
    );
    assert_eq!(variance_explained(&c, &f)?, variance_explained(&wide, &f)?);
    let means = component_means(&c)?;
    let head = LinearHead::new(random(&[2, 4], 3), zeros(&[2]))?;
    let order = [2, 0];
    let got = Ablation::new(&c, &means, &head)?.predict(&order)?;
    assert_eq!(got, head.predict(&ablate(&wide, &means, &order)?)?);
    let options = vitrepl_prelude::align::FitOptions::default();
    let (aligner, _) = vitrepl_prelude::align::Aligner::fit(&c, &c.get(0)?, &options)?;
    assert_eq!(aligner.apply(&c)?.dims(), c.dims());
    Ok(())
}

#[test]
fn bad_scores_are_named() {
    let c = random(&[3, 8, 4], 1);
    let f = random(&[2, 4], 2);
    fails(variance_attributed(&c, &random(&[2, 5], 1)), "5 channels");
    fails(variance_attributed(&f, &f), "components x images x width");
    fails(
        variance_attributed(&c, &zeros(&[2, 4])),
        "zero vectors only",
    );
    fails(
        variance_attributed(&(c.clone() / 0.0).unwrap(), &f),
        "NaN or infinity",
    );
    let names = strings(&["a", "b", "c"]);
    fails(top(&names, &[1.0, 2.0, 3.0], 0), "k = 0: from 1 to 3");
    fails(
        top(&names, &[1.0, 2.0, 3.0], 1_000_000),
        "k = 1000000: from 1 to 3",
    );
    fails(top(&names, &[1.0, f64::NAN, 3.0], 1), "NaN for b");
    fails(rank(&names, &[1.0]), "3 components");
    let best = top(&names, &[1.0, 3.0, 3.0], 2).unwrap();
    assert_eq!((best[0].name.as_str(), best[1].name.as_str()), ("b", "c"));
    fails(
        text_span(&c.get(0).unwrap(), &random(&[3, 4], 1), 4),
        "from 1 to 3",
    );
    fails(text_span(&f, &random(&[3, 4], 1), 0), "from 1 to 3");
    fails(text_span(&f.narrow(0, 0, 1).unwrap(), &f, 1), "one image");
}

/// Three classes in the plane with some overlap.
fn clouds(images: usize, seed: u64) -> (Tensor, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let centres = [(2.0, 0.0), (-1.0, 1.7), (-1.0, -1.7)];
    let labels: Vec<usize> = (0..images).map(|i| i % 3).collect();
    let points: Vec<f32> = labels
        .iter()
        .flat_map(|l| {
            let (x, y) = centres[*l];
            let mut near = |v: f32| v + rng.random_range(-2.0..2.0);
            // A constant channel and a huge one, as representations have.
            [near(x), 1000.0 * near(y) + 5000.0, 4.0]
        })
        .collect();
    (
        Tensor::from_vec(points, (images, 3), &Device::Cpu).unwrap(),
        labels,
    )
}

#[test]
fn probe_separates_and_is_the_optimum() -> Result<()> {
    let (x, y) = clouds(600, 1);
    let (head, report) = fit_probe(&x, &y, 3, &ProbeOptions::default())?;
    assert!(report.converged, "{report:?}");
    let (fresh, labels) = clouds(600, 2);
    let accuracy = head.accuracy(&fresh, &labels)?;
    assert!(accuracy > 0.8, "{accuracy} {report:?}");
    let (again, _) = fit_probe(&x, &y, 3, &ProbeOptions::default())?;
    assert_eq!(values(head.weight()), values(again.weight()));
    // More iterations find nothing better.
    let patient = ProbeOptions {
        tolerance: 1e-10,
        ..Default::default()
    };
    let (_, better) = fit_probe(&x, &y, 3, &patient)?;
    assert!(
        (report.loss - better.loss).abs() < 1e-8,
        "{report:?} {better:?}"
    );
    Ok(())
}

#[test]
fn probe_refuses_what_cannot_be_fitted() {
    let (x, y) = clouds(30, 1);
    let plain = ProbeOptions::default();
    fails(fit_probe(&x, &y[1..], 3, &plain), "29 images");
    fails(fit_probe(&x, &y, 2, &plain), "labels = 2");
    fails(fit_probe(&x, &y, 1, &plain), "classes = 1");
    fails(fit_probe(&x, &[0; 30], 3, &plain), "nothing to tell apart");
    fails(
        fit_probe(&zeros(&[30, 3]), &y, 3, &plain),
        "representations = 30 images: no channel varies",
    );
    let never = ProbeOptions {
        tolerance: f64::NAN,
        ..plain.clone()
    };
    fails(fit_probe(&x, &y, 3, &never), "tolerance = NaN");
    // A class that no image has is said, not an error: label lists are often of a larger set.
    let (_, report) = fit_probe(&x, &y, 5, &plain).unwrap();
    assert_eq!(report.unseen, [3, 4]);
    let free = ProbeOptions { l2: 0.0, ..plain };
    fails(fit_probe(&x, &y, 3, &free), "l2 = 0");
}

#[test]
fn zero_shot_is_the_highest_cosine() -> Result<()> {
    let cpu = &Device::Cpu;
    let up = Tensor::new(&[[0f32, 9.0], [0.1, 1.0]], cpu)?;
    let right = Tensor::new(&[[2f32, 0.0]], cpu)?;
    let classes = class_embeddings(&[up, right])?;
    let head = zero_shot(&classes)?;
    let z = Tensor::new(&[[0.1f32, 0.3], [50.0, 40.0], [-1.0, -3.0]], cpu)?;
    assert_eq!(head.predict(&z)?, [0, 1, 1]);
    let unit = Tensor::new(&[[1f32, 0.0]], cpu)?;
    assert!((values(&head.logits(&unit)?)[1] - 1.0).abs() < 1e-6);
    fails(class_embeddings(&[]), "one class or more");
    fails(zero_shot(&zeros(&[2, 3])), "class 0");
    fails(head.predict(&zeros(&[1, 7])), "7 channels");
    Ok(())
}

#[test]
fn groups_are_counted() -> Result<()> {
    let (groups, names) = cross_groups(
        &[0, 0, 1, 1],
        &[0, 1, 1, 1],
        &["cat", "dog"],
        &["sea", "wood"],
    )?;
    assert_eq!(names, ["cat, sea", "cat, wood", "dog, sea", "dog, wood"]);
    let counted = GroupAccuracy::count(&[0, 1, 1, 0], &[0, 0, 1, 1], &groups, &names)?;
    let each: Vec<_> = counted.groups.iter().map(|g| g.accuracy()).collect();
    assert_eq!(each, [Some(1.0), Some(0.0), None, Some(0.5)]);
    assert_eq!((counted.worst(), counted.average()), (0.0, 0.5));
    fails(
        cross_groups(&[0], &[2], &["cat"], &["sea"]),
        "attributes = 2",
    );
    fails(GroupAccuracy::count(&[0], &[0], &[9], &names), "groups = 9");
    fails(GroupAccuracy::count(&[], &[], &[], &names), "no images");
    Ok(())
}

/// Class in component 0, background in components 1 and 2, noise in the others; the head reads both.
struct World {
    c: Tensor,
    labels: Vec<usize>,
    groups: Vec<usize>,
}

fn world(images: usize, seed: u64) -> World {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = 12;
    let mut stack = vec![0f32; n * images * 3];
    let (mut labels, mut groups) = (Vec::new(), Vec::new());
    for b in 0..images {
        let (class, place) = (rng.random_range(0..2), rng.random_range(0..2));
        labels.push(class);
        groups.push(2 * class + place);
        for i in 0..n {
            let row = &mut stack[(i * images + b) * 3..][..3];
            row.iter_mut()
                .for_each(|v| *v = rng.random_range(-0.2..0.2));
            match i {
                0 => row[0] += 2.0 * class as f32 - 1.0,
                1 | 2 => row[1] += 2.0 * place as f32 - 1.0,
                _ => {}
            }
        }
    }
    let c = Tensor::from_vec(stack, (n, images, 3), &Device::Cpu).unwrap();
    World { c, labels, groups }
}

#[test]
fn mitigation_removes_the_background_and_chance_does_not() -> Result<()> {
    let (validation, test) = (world(400, 1), world(400, 2));
    let names: Vec<String> = (0..12).map(|i| format!("head {i}")).collect();
    let head = LinearHead::new(
        Tensor::new(&[[-1f32, -0.8, 0.0], [1.0, 0.8, 0.0]], &Device::Cpu)?,
        zeros(&[2]),
    )?;
    let class = Tensor::new(&[[1f32, 0.0, 0.0]], &Device::Cpu)?;
    let place = Tensor::new(&[[0f32, 1.0, 0.0]], &Device::Cpu)?;
    let order = difference(
        &names,
        &variance_attributed(&validation.c, &place)?,
        &variance_attributed(&validation.c, &class)?,
    )?;
    let mut first: Vec<usize> = order[..2].iter().map(|r| r.index).collect();
    first.sort_unstable();
    assert_eq!(first, [1, 2]);
    assert_eq!(order[11].index, 0);
    let group_names = strings(&["a, sea", "a, wood", "b, sea", "b, wood"]);
    let means = component_means(&validation.c)?;
    let run = |options: &MitigateOptions| {
        let [v, t] = [&validation, &test].map(|w| Labelled {
            contributions: &w.c,
            labels: &w.labels,
            groups: &w.groups,
        });
        mitigate(&order, &group_names, &means, &head, v, t, options)
    };
    let result = run(&MitigateOptions::default())?;
    assert!(result.before.worst() < 0.6, "{:?}", result.before);
    assert!(result.after.worst() > 0.9, "{:?}", result.after);
    assert!((2..=6).contains(&result.k), "{}", result.k);
    assert_eq!(result.validation.len(), 7);
    assert_eq!(result.random.draws.len(), 20);
    assert!(result.random.mean_worst() < result.after.worst() - 0.2);
    assert!(result.random.best().unwrap().worst() >= result.random.mean_worst());
    assert_eq!(run(&MitigateOptions::default())?.random, result.random);
    show(&result)?;
    let fixed = MitigateOptions {
        ks: vec![1],
        ..Default::default()
    };
    assert_eq!(run(&fixed)?.ablated().len(), 1);
    fails(
        run(&MitigateOptions {
            ks: vec![2, 13],
            ..Default::default()
        }),
        "k = 13",
    );
    fails(
        run(&MitigateOptions {
            draws: 0,
            ..Default::default()
        }),
        "draws = 0",
    );
    Ok(())
}

/// The charts of a mitigation hold its numbers; the pictures are left in `target/tmp/mitigation`.
fn show(m: &Mitigation) -> Result<()> {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("mitigation");
    let bars = BarChart::components("Components", m);
    let groups = GroupedBars::mitigation("Accuracy by group", m);
    let choice = LineChart::choice("How many components?", m);
    let table = Table::mitigations(
        "Accuracy, %: before → after",
        [("two heads", m), ("the same", m)],
    );
    bars.save(folder.join("components.png"))?;
    groups.save(folder.join("groups.png"))?;
    choice.save(folder.join("choice.png"))?;
    table.save(folder.join("table.png"))?;
    let percent = |v: f64| format!("{:.1}", 100.0 * v);
    let change = format!(
        "{} → {}",
        percent(m.before.worst()),
        percent(m.after.worst())
    );
    assert!(table.to_string().contains(&change), "{table}");
    assert!(
        table.to_string().contains(&percent(m.random.mean_worst())),
        "{table}"
    );
    assert!(groups.to_string().contains("b, wood"), "{groups}");
    assert!(
        choice
            .to_string()
            .contains(&format!("{0} (chosen: {0})", m.k)),
        "{choice}"
    );
    assert_eq!(bars.to_string().matches('*').count(), m.k, "{bars}");
    println!("{table}\n{groups}\n{choice}\n{bars}");
    Ok(())
}

#[test]
fn bad_ablations_are_named() {
    let c = random(&[3, 4, 2], 1);
    let means = component_means(&c).unwrap();
    fails(ablate(&c, &means, &[3]), "component = 3: below 3");
    fails(ablate(&c, &zeros(&[2, 2]), &[0]), "2 components");
    let head = LinearHead::new(random(&[2, 2], 1), zeros(&[2])).unwrap();
    let parts = Ablation::new(&c, &means, &head).unwrap();
    fails(parts.predict_prefixes(&[0, 0]), "at most once");
    fails(
        LinearHead::new(random(&[2, 2], 1), zeros(&[3])),
        "3 classes",
    );
}
