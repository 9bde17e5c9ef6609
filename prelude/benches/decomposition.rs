//! The cost of a decomposition over a plain forward pass of the same model, in one run: peak memory, medians of
//! interleaved repetitions as ratios, then criterion's own timings.
//!
//! `cargo bench --locked -p vitrepl-prelude --bench decomposition` (add `-- --quick` for a first look).

use candle_core::{Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Instant;
use vitrepl_prelude::decompose::{Component, Decomposer, Granularity, Options, Part};
use vitrepl_prelude::models::{ImageEncoder, Vit, VitConfig};
use vitrepl_prelude::trace::{Block, Tape};

const BATCH: usize = 8;

/// DeiT-B/16's shape, random weights: speed does not depend on them.
fn model() -> Vit {
    Vit::random(&VitConfig::default(), 0).expect("ViT-B/16")
}

fn forward(vit: &Vit, pixels: &Tensor) {
    black_box(vit.forward(pixels, &Tape::off()).expect("a forward pass"));
}

/// Write out every token of every head, instead of keeping them as products.
fn write_out(decomposer: &Decomposer, pixels: &Tensor) {
    let c = decomposer.run(pixels).expect("a decomposition");
    let tokens = c.tokens().expect("tokens were asked for");
    for component in c.components() {
        if let Component::Part {
            part: Part::Head(_),
            ..
        } = component
        {
            black_box(tokens.of(*component).expect("a head"));
        }
    }
}

fn seconds(f: impl FnOnce()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64()
}

/// Peak resident memory of the process while `f` runs, in bytes, where the system tells (Linux).
fn peak_memory(f: impl FnOnce()) -> Option<f64> {
    // 5 sets the peak back to what is resident now.
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    f();
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn median(mut x: Vec<f64>) -> f64 {
    x.sort_by(f64::total_cmp);
    x[x.len() / 2]
}

fn bench(criterion: &mut Criterion) {
    let vit = model();
    let size = vit.image_size();
    let pixels = Tensor::rand(0f32, 1.0, (BATCH, 3, size, size), &Device::Cpu).expect("pixels");
    let decomposer = |granularity, first: usize| {
        let first_block = Some(Block::at(first));
        let options = Options {
            granularity,
            first_block,
            ..Options::default()
        };
        Decomposer::new(&vit, options).expect("a plan")
    };
    let heads = decomposer(Granularity::Heads, 0);
    let tokens = decomposer(Granularity::Tokens, 0);
    let tokens7 = decomposer(Granularity::Tokens, 7);
    let run = |d: &Decomposer| {
        black_box(d.run(&pixels).expect("a decomposition"));
    };

    // In this order, because an allocator keeps what it has once had.
    let peaks = [
        ("forward", peak_memory(|| forward(&vit, &pixels))),
        ("heads", peak_memory(|| run(&heads))),
        ("heads and tokens as products", peak_memory(|| run(&tokens))),
    ];
    if let [(_, Some(plain)), ..] = peaks {
        println!("ViT-B/16, {BATCH} images, peak memory with the weights:");
        for (what, peak) in peaks {
            let peak = peak.unwrap_or(f64::NAN);
            println!(
                "  {what}: {:.0} MB, {:.2} x forward",
                peak / 1e6,
                peak / plain
            );
        }
    }

    let mut times: [Vec<f64>; 5] = Default::default();
    for _ in 0..5 {
        times[0].push(seconds(|| forward(&vit, &pixels)));
        times[1].push(seconds(|| run(&heads)));
        times[2].push(seconds(|| run(&tokens)));
        times[3].push(seconds(|| write_out(&tokens7, &pixels)));
        times[4].push(seconds(|| write_out(&tokens, &pixels)));
    }
    let [plain, rest @ ..] = times.map(median);
    println!(
        "ViT-B/16, {BATCH} images, medians of 5: forward {:.0} ms",
        plain * 1e3
    );
    for (what, time) in [
        "heads, all blocks",
        "heads and tokens as products, all blocks",
        "heads and tokens written out, from block 7",
        "heads and tokens written out, all blocks",
    ]
    .iter()
    .zip(rest)
    {
        println!("  {what}: {:.2} x forward", time / plain);
    }

    let mut group = criterion.benchmark_group("vit_base_patch16_224 x 8");
    group.sample_size(10);
    group.bench_function("forward", |b| b.iter(|| forward(&vit, &pixels)));
    group.bench_function("heads", |b| b.iter(|| run(&heads)));
    group.bench_function("heads and tokens", |b| b.iter(|| run(&tokens)));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
