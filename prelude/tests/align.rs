//! The aligner: its gradient, its fits and what it does with bad input.

use std::cell::Cell;
use std::path::Path;

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vitrepl_prelude::align::{Aligner, FitOptions, Isometry, Start, Trainer};
use vitrepl_prelude::{Error, Result};

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// Components that each point, turned in a way of their own and with some noise, where the targets do.
fn task(n: usize, images: usize, d: usize, width: usize) -> (Tensor, Tensor) {
    let c = random(&[n, images, d], 1);
    let maps = (random(&[n, d, width], 2) * (3.0 / d as f64).sqrt()).unwrap();
    let clean = c.matmul(&maps).unwrap().sum(0).unwrap();
    let noise = (random(&[images, width], 3) * 0.3).unwrap();
    (c, (clean + noise).unwrap())
}

fn total_loss(trainer: &Trainer, c: &Tensor, y: &Tensor, orthogonality: f64) -> f64 {
    let loss = trainer.gradients(c, y).unwrap().loss;
    1.0 - f64::from(loss.cosine) + orthogonality * f64::from(loss.orthogonality)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    /// Along a random direction the gradient is the loss's slope.
    #[test]
    fn gradient_is_the_slope(
        n in 1usize..5, images in 1usize..6, d in 1usize..8, width in 2usize..8,
        orthogonality in 0.0f64..2.0, seed in 0u64..1000,
    ) {
        let c = random(&[n, images, d], seed);
        let y = random(&[images, width], seed + 1);
        let w = random(&[n, d, width], seed + 2);
        let b = random(&[width], seed + 3);
        let dw = random(&[n, d, width], seed + 4);
        let db = random(&[width], seed + 5);
        let at = |step: f64| {
            let w = (&w + (&dw * step).unwrap()).unwrap();
            let b = (&b + (&db * step).unwrap()).unwrap();
            Trainer::new(&w, &b, 1e-3, 0.0, orthogonality).unwrap()
        };
        // A sum near zero turns its direction too fast for finite differences.
        let z = c.transpose(0, 1).unwrap().contiguous().unwrap().reshape((images, n * d)).unwrap()
            .matmul(&w.reshape((n * d, width)).unwrap()).unwrap().broadcast_add(&b).unwrap();
        let shortest = values(&z.sqr().unwrap().sum(1).unwrap()).into_iter().fold(f32::MAX, f32::min);
        prop_assume!(shortest > 0.1);
        let g = at(0.0).gradients(&c, &y).unwrap();
        let dot = |a: &Tensor, b: &Tensor| -> f64 {
            values(a).iter().zip(values(b)).map(|(a, b)| f64::from(a * b)).sum()
        };
        let slope = dot(&g.weights, &dw) + dot(&g.bias, &db);
        let h = 4e-3;
        let measured = (total_loss(&at(h), &c, &y, orthogonality)
            - total_loss(&at(-h), &c, &y, orthogonality)) / (2.0 * h);
        prop_assert!((slope - measured).abs() < 5e-3 * (1.0 + slope.abs()), "{slope} {measured}");
    }

    /// Aligned contributions sum to the aligned sum.
    #[test]
    fn apply_keeps_the_sum(n in 1usize..6, images in 1usize..6, d in 1usize..8, width in 1usize..8) {
        let c = random(&[n, images, d], 7);
        let (w, b) = (random(&[n, d, width], 8), random(&[width], 9));
        let aligner = Aligner::from_maps(w.clone(), b.clone()).unwrap();
        let got = values(&aligner.apply(&c).unwrap().sum(0).unwrap());
        let want = c.matmul(&w).unwrap().sum(0).unwrap().broadcast_add(&b).unwrap();
        for (g, w) in got.iter().zip(values(&want)) {
            prop_assert!((g - w).abs() < 1e-5);
        }
    }
}

#[test]
fn fit_finds_the_map_from_either_start() -> Result<()> {
    let (c, y) = task(5, 400, 12, 10);
    for start in [Start::Procrustes, Start::Random] {
        let options = FitOptions {
            start,
            epochs: 40,
            learning_rate: 3e-3,
            patience: 20,
            ..Default::default()
        };
        let (aligner, report) = Aligner::fit(&c, &y, &options)?;
        println!("{start:?}: {report}");
        assert!(report.held_out_cosine > 0.8, "{report}");
        assert!(report.held_out_cosine > report.baseline_cosine + 0.5);
        assert_eq!(report.held_out_images, 40);
        assert_eq!(report.train_images, 360);
        assert_eq!(aligner.apply(&c)?.dims(), [5, 400, 10]);
    }
    Ok(())
}

/// The isometry term from random probes leads where the exact one leads, and the report has the exact term.
#[test]
fn probes_fit_as_well_as_the_exact_term() -> Result<()> {
    let (c, y) = task(4, 600, 40, 36);
    let fit = |isometry, orthogonality| {
        let options = FitOptions {
            isometry,
            orthogonality,
            epochs: 12,
            learning_rate: 2e-3,
            patience: 100,
            ..Default::default()
        };
        Aligner::fit(&c, &y, &options)
    };
    let (exact, by_exact) = fit(Isometry::Exact, 1.0)?;
    let (_, without) = fit(Isometry::Exact, 0.0)?;
    let (_, by_probes) = fit(Isometry::Probes(8), 1.0)?;
    println!("{by_exact}\n{by_probes}\n{without}");
    assert_eq!((by_exact.probes, by_probes.probes), (None, Some(8)));
    assert!((by_exact.held_out_cosine - by_probes.held_out_cosine).abs() < 0.02);
    assert!(by_probes.orthogonality < 0.5 * without.orthogonality);
    let w = exact.weights().unwrap();
    // The best maps of this fit are its last ones.
    let apart = w.transpose(1, 2)?.matmul(w)?.broadcast_sub(&Tensor::eye(
        36,
        candle_core::DType::F32,
        &Device::Cpu,
    )?)?;
    let term = 36.0 * apart.sqr()?.mean_all()?.to_scalar::<f32>()?;
    assert!((term / by_exact.orthogonality - 1.0).abs() < 1e-3, "{term}");
    assert!(by_exact.time_per_step.as_nanos() > 0 && by_exact.time_per_step < by_exact.time);
    Ok(())
}

/// The published code's rule: no new lowest loss for so many batches.
#[test]
fn batches_without_a_lower_loss_stop_a_fit() -> Result<()> {
    let (c, y) = (random(&[4, 120, 8], 1), random(&[120, 8], 2));
    let losses = std::cell::RefCell::new(Vec::new());
    let note = |at: &vitrepl_prelude::align::Progress| {
        let loss = 1.0 - at.cosine + at.orthogonality;
        losses.borrow_mut().push(loss);
    };
    let options = FitOptions {
        epochs: 500,
        learning_rate: 3e-2,
        patience: 100_000,
        loss_patience: Some(9),
        progress: Some(&note),
        ..Default::default()
    };
    let (_, report) = Aligner::fit(&c, &y, &options)?;
    assert!(report.stopped_early && report.steps < 3500, "{report}");
    let losses = losses.into_inner();
    assert_eq!(losses.len(), report.steps);
    // The lowest is the tenth from the end, and no earlier run of batches was as long.
    let (mut lowest, mut since) = (f32::MAX, 0);
    for (i, loss) in losses.iter().enumerate() {
        since = if *loss < lowest { 0 } else { since + 1 };
        lowest = lowest.min(*loss);
        assert_eq!(since == 9, i + 1 == losses.len(), "{i}: {losses:?}");
    }
    assert_eq!(report.history.last().unwrap().0, report.steps);
    Ok(())
}

#[test]
fn noise_stops_early_and_gains_nothing() -> Result<()> {
    let (c, y) = (random(&[4, 120, 8], 1), random(&[120, 8], 2));
    let options = FitOptions {
        epochs: 500,
        learning_rate: 3e-2,
        ..Default::default()
    };
    let (_, report) = Aligner::fit(&c, &y, &options)?;
    assert!(report.stopped_early, "{report}");
    assert!(report.steps < 500 * 7, "{report}");
    assert!(report.held_out_cosine < 0.5, "{report}");
    Ok(())
}

#[test]
fn same_seed_same_maps() -> Result<()> {
    let (c, y) = task(3, 60, 6, 5);
    let fit = |seed| {
        let options = FitOptions {
            seed,
            ..Default::default()
        };
        Aligner::fit(&c, &y, &options).map(|(a, _)| values(a.weights().unwrap()))
    };
    assert_eq!(fit(4)?, fit(4)?);
    assert_ne!(fit(4)?, fit(5)?);
    Ok(())
}

fn resumable(path: &Path) -> FitOptions<'static> {
    FitOptions {
        epochs: 6,
        learning_rate: 1e-2,
        patience: 100,
        checkpoint: Some(path.to_path_buf()),
        ..Default::default()
    }
}

#[test]
fn resumed_is_uninterrupted() -> Result<()> {
    for isometry in [Isometry::Exact, Isometry::Probes(3)] {
        resumed_with(isometry)?;
    }
    Ok(())
}

fn resumed_with(isometry: Isometry) -> Result<()> {
    let resumable = |path: &Path| FitOptions {
        isometry,
        ..resumable(path)
    };
    let (c, y) = task(4, 90, 7, 6);
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.safetensors");
    let (a, first) = Aligner::fit(&c, &y, &resumable(&whole))?;
    assert_eq!(first.resumed_at, None);

    let path = folder.path().join("parts.safetensors");
    let mut interruptions = 0;
    let (b, second) = loop {
        let asked = Cell::new(0);
        // Odd, so that it falls within epochs and between evaluations.
        let stop = || asked.replace(asked.get() + 1) == 7;
        let options = FitOptions {
            stop: Some(&stop),
            ..resumable(&path)
        };
        match Aligner::fit(&c, &y, &options) {
            Ok(done) => break done,
            Err(Error::Interrupted { kept, .. }) => {
                interruptions += 1;
                assert!(kept.contains("parts.safetensors"), "{kept}");
            }
            Err(e) => return Err(e),
        }
    };
    assert!(interruptions >= 3, "{interruptions}");
    assert_eq!(second.resumed_at, Some(7 * interruptions));
    assert_eq!(first.history, second.history);
    assert_eq!(first.held_out_cosine, second.held_out_cosine);
    assert_eq!(first.train_cosine, second.train_cosine);
    assert_eq!(values(a.weights().unwrap()), values(b.weights().unwrap()));
    assert_eq!(values(a.bias().unwrap()), values(b.bias().unwrap()));

    // A finished fit is read back, not done again.
    let steps = Cell::new(0);
    let count = |_: &vitrepl_prelude::align::Progress| steps.set(steps.get() + 1);
    let options = FitOptions {
        progress: Some(&count),
        ..resumable(&path)
    };
    let (again, _) = Aligner::fit(&c, &y, &options)?;
    assert_eq!(steps.get(), 0);
    assert_eq!(
        values(again.weights().unwrap()),
        values(a.weights().unwrap())
    );
    Ok(())
}

#[test]
fn a_stop_without_a_checkpoint_says_that_nothing_is_kept() {
    let (c, y) = task(2, 20, 4, 4);
    let stop = || true;
    let options = FitOptions {
        stop: Some(&stop),
        ..Default::default()
    };
    let text = Aligner::fit(&c, &y, &options).unwrap_err().to_string();
    assert!(text.contains("nothing is kept"), "{text}");
}

#[test]
fn a_checkpoint_of_another_fit_is_refused() -> Result<()> {
    let (c, y) = task(2, 40, 4, 4);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fit.safetensors");
    Aligner::fit(&c, &y, &resumable(&path))?;
    let other = FitOptions {
        seed: 9,
        ..resumable(&path)
    };
    let text = Aligner::fit(&c, &y, &other).unwrap_err().to_string();
    assert!(
        text.contains("another fit") && text.contains("seed=9"),
        "{text}"
    );
    let moved = (c + 0.5)?;
    let text = Aligner::fit(&moved, &y, &resumable(&path))
        .unwrap_err()
        .to_string();
    assert!(text.contains("another fit"), "{text}");
    let text = Aligner::load(&path, &Device::Cpu).unwrap_err().to_string();
    assert!(
        text.contains("holds \"aligner checkpoint\", not \"aligner\""),
        "{text}"
    );
    Ok(())
}

#[test]
fn files_come_back_or_say_what_is_wrong() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/aligner.safetensors");
    let aligner = Aligner::from_maps(random(&[3, 5, 4], 1), random(&[4], 2))?;
    aligner.save(&path)?;
    let back = Aligner::load(&path, &Device::Cpu)?;
    assert_eq!(
        values(back.weights().unwrap()),
        values(aligner.weights().unwrap())
    );
    assert_eq!(
        values(back.bias().unwrap()),
        values(aligner.bias().unwrap())
    );
    // Nothing but the file is left behind.
    assert_eq!(
        std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1
    );

    let same = folder.path().join("identity.safetensors");
    Aligner::identity().save(&same)?;
    assert!(Aligner::load(&same, &Device::Cpu)?.is_identity());

    let bytes = std::fs::read(&path).unwrap();
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut header = bytes.clone();
    header[3] = 0xff;
    for (damage, expected) in [
        (flipped, "checksum"),
        (bytes[..bytes.len() - 5].to_vec(), "not a whole"),
        (header, "not a whole"),
        (Vec::new(), "not a whole"),
        (
            b"hello, this is no safetensors file".to_vec(),
            "not a whole",
        ),
    ] {
        std::fs::write(&path, damage).unwrap();
        let text = Aligner::load(&path, &Device::Cpu).unwrap_err().to_string();
        assert!(
            text.contains(expected) && text.contains("aligner.safetensors"),
            "{text}"
        );
    }
    let missing = folder.path().join("none.safetensors");
    let text = Aligner::load(missing, &Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(text.contains("check the path"), "{text}");
    let plain = folder.path().join("plain.safetensors");
    random(&[2, 2], 1).save_safetensors("x", &plain)?;
    let text = Aligner::load(&plain, &Device::Cpu).unwrap_err().to_string();
    assert!(text.contains("not a file of vitrepl"), "{text}");
    Ok(())
}

#[test]
fn bad_input_is_named() {
    let (c, y) = task(2, 20, 4, 3);
    let error =
        |c: &Tensor, y: &Tensor, o: FitOptions| Aligner::fit(c, y, &o).unwrap_err().to_string();
    let plain = FitOptions::default;
    let zeros =
        |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let nan = (c.clone() * f64::NAN).unwrap();
    for (got, expected) in [
        (error(&y, &y, plain()), "contributions = [20, 3]"),
        (error(&c, &zeros(&[19, 3]), plain()), "19 images"),
        (
            error(&zeros(&[2, 0, 4]), &zeros(&[0, 3]), plain()),
            "nothing empty",
        ),
        (
            error(&zeros(&[2, 1, 4]), &zeros(&[1, 3]), plain()),
            "one image",
        ),
        (error(&nan, &y, plain()), "NaN"),
        (
            error(
                &c,
                &y,
                FitOptions {
                    learning_rate: 0.0,
                    ..plain()
                },
            ),
            "learning_rate = 0",
        ),
        (
            error(
                &c,
                &y,
                FitOptions {
                    learning_rate: f64::NAN,
                    ..plain()
                },
            ),
            "learning_rate = NaN",
        ),
        (
            error(
                &c,
                &y,
                FitOptions {
                    learning_rate: 1e30,
                    epochs: 3,
                    ..plain()
                },
            ),
            "no longer finite",
        ),
        (
            error(
                &c,
                &y,
                FitOptions {
                    orthogonality: -1.0,
                    ..plain()
                },
            ),
            "orthogonality = -1",
        ),
        (
            error(
                &c,
                &y,
                FitOptions {
                    held_out: 1.0,
                    ..plain()
                },
            ),
            "held_out = 1",
        ),
        (
            error(
                &c,
                &y,
                FitOptions {
                    batch: 0,
                    ..plain()
                },
            ),
            "batch = 0",
        ),
        (
            error(
                &c,
                &y,
                FitOptions {
                    epochs: 0,
                    ..plain()
                },
            ),
            "epochs = 0",
        ),
    ] {
        assert!(got.contains(expected), "{got:?} lacks {expected:?}");
    }
    let aligner = Aligner::from_maps(zeros(&[2, 4, 3]), zeros(&[3])).unwrap();
    let text = aligner.apply(&zeros(&[3, 5, 4])).unwrap_err().to_string();
    assert!(
        text.contains("3 components") && text.contains("2 components"),
        "{text}"
    );
    // The identity takes any number of components.
    assert_eq!(Aligner::identity().apply(&c).unwrap().dims(), c.dims());
    // Targets of length zero have no direction, and spoil nothing.
    let (a, _) = Aligner::fit(&c, &zeros(&[20, 3]), &plain()).unwrap();
    assert!(values(a.weights().unwrap()).iter().all(|w| w.is_finite()));
}
