//! Time of an aligner step, of the scores and of text labels at the sizes of ViT-B/16: 66 components (heads and MLPs
//! from block 7, and `init`) of 768 channels. Then, of the embedded models, what the closed-form start is worth in steps,
//! and what the isometry term taken from random probes does to a fit.
//!
//!     cargo bench --locked --workspace --bench align_score

use std::hint::black_box;

use candle_core::{Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use vitrepl_prelude::Result;
use vitrepl_prelude::align::{FitOptions, Isometry, Start, Trainer};
use vitrepl_prelude::data::{GeneratedSet, GeneratedSpec};
use vitrepl_prelude::decompose::DecomposeOptions;
use vitrepl_prelude::score::{text_span, variance_attributed};
use vitrepl_prelude::session::{align, load};

const COMPONENTS: usize = 66;
const WIDTH: usize = 768;

fn random(shape: &[usize]) -> Tensor {
    Tensor::randn(0f32, 0.02, shape, &Device::Cpu).unwrap()
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("ViT-B/16");
    group.sample_size(10);

    let (w, b) = (random(&[COMPONENTS, WIDTH, WIDTH]), random(&[WIDTH]));
    for batch in [16, 32, 64] {
        let (x, y) = (random(&[COMPONENTS, batch, WIDTH]), random(&[batch, WIDTH]));
        let probes = batch / 2 + 16;
        for (name, orthogonality, probes) in [
            ("without the isometry term".to_string(), 0.0, Some(1)),
            (format!("term from {probes} probes"), 1.0, Some(probes)),
            ("exact term".to_string(), 1.0, None),
        ] {
            let trainer = Trainer::new(&w, &b, 3e-4, 1e-6, orthogonality).unwrap();
            let mut trainer = match probes {
                Some(count) => trainer.with_probes(count, 0),
                None => trainer,
            };
            group.bench_function(format!("aligner step, {batch} images, {name}"), |b| {
                b.iter(|| black_box(trainer.step(&x, &y).unwrap()));
            });
        }
    }

    let x = random(&[COMPONENTS, 500, WIDTH]);
    let features = random(&[8, WIDTH]);
    group.bench_function("variance attributed, 500 images, 8 features", |b| {
        b.iter(|| black_box(variance_attributed(&x, &features).unwrap()));
    });

    let texts = random(&[3000, WIDTH]);
    let one = x.get(0).unwrap();
    group.bench_function("text span of one component, 20 of 3000 texts", |b| {
        b.iter(|| black_box(text_span(&one, &texts, 20).unwrap()));
    });
    group.finish();
}

/// Held-out cosine by step from either start, and by either way to the isometry term.
fn fits(_: &mut Criterion) {
    let compared = || -> Result<()> {
        let images = GeneratedSet::new(GeneratedSpec::unbiased(1, 2000))?;
        let (model, clip) = (load("tiny_vit")?, load("tiny_clip")?);
        for (start, isometry) in [
            (Start::Procrustes, Isometry::Exact),
            (Start::Random, Isometry::Exact),
            (Start::Procrustes, Isometry::Probes(24)),
            (Start::Random, Isometry::Probes(24)),
        ] {
            let fit = FitOptions {
                start,
                isometry,
                epochs: 4,
                ..FitOptions::default()
            };
            let options = DecomposeOptions::default();
            let alignment = align(&model, &clip, &images, &options, &fit)?;
            println!("{start:?}, {isometry:?}: {alignment}");
        }
        Ok(())
    };
    compared().unwrap();
}

criterion_group!(all, benches, fits);
criterion_main!(all);
