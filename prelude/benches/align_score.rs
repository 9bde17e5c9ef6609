//! Time of an aligner step, of the scores and of text labels at the sizes of ViT-B/16: 65 components (heads and MLPs
//! from block 7, and `init`) of 768 channels.

use std::hint::black_box;

use candle_core::{Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use vitrepl_prelude::align::Trainer;
use vitrepl_prelude::score::{text_span, variance_attributed};

const COMPONENTS: usize = 65;
const WIDTH: usize = 768;

fn random(shape: &[usize]) -> Tensor {
    Tensor::randn(0f32, 0.02, shape, &Device::Cpu).unwrap()
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("ViT-B/16");
    group.sample_size(10);

    let (w, b) = (random(&[COMPONENTS, WIDTH, WIDTH]), random(&[WIDTH]));
    let mut trainer = Trainer::new(&w, &b, 3e-4, 1e-6, 1.0).unwrap();
    let (x, y) = (random(&[COMPONENTS, 16, WIDTH]), random(&[16, WIDTH]));
    group.bench_function("aligner step, 16 images", |b| {
        b.iter(|| black_box(trainer.step(&x, &y).unwrap()));
    });

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

criterion_group!(all, benches);
criterion_main!(all);
