//! The cost of a decomposition over a plain forward pass of the same model, in one run: peak memory, medians of
//! interleaved repetitions as ratios, then criterion's own timings.
//!
//! `cargo bench --locked -p vitrepl-prelude --bench decomposition` (add `-- --quick` for a first look).

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
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

/// In a process of its own with this set, what it names is run once and the peak memory printed.
const PEAK_OF: &str = "VITREPL_BENCH_PEAK_OF";

/// The parts whose peak memory is compared.
const PARTS: [&str; 3] = ["forward", "heads", "heads and tokens as products"];

/// Weights that are made in place: random ones leave the memory of their making behind.
struct Constant;

impl SimpleBackend for Constant {
    fn get(&self, s: Shape, _: &str, _: Init, _: DType, d: &Device) -> candle_core::Result<Tensor> {
        Tensor::full(0.01f32, s, d)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("no shape is given for {name}")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// Run one part and print the process's peak resident memory in kilobytes (Linux).
fn print_peak(part: &str) {
    let weights: Box<dyn SimpleBackend> = Box::new(Constant);
    let vb = VarBuilder::from_backend(weights, DType::F32, Device::Cpu);
    let vit = Vit::new(&VitConfig::default(), vb).expect("ViT-B/16");
    let size = vit.image_size();
    let pixels = Tensor::full(0.5f32, (BATCH, 3, size, size), &Device::Cpu).expect("pixels");
    let peak = match part {
        "forward" => peak_after(|| forward(&vit, &pixels)),
        "heads" => peak_after(|| decompose(&vit, Granularity::Heads, &pixels)),
        _ => peak_after(|| decompose(&vit, Granularity::Tokens, &pixels)),
    };
    println!("{peak}");
}

fn decompose(vit: &Vit, granularity: Granularity, pixels: &Tensor) {
    let options = Options {
        granularity,
        ..Options::default()
    };
    let decomposer = Decomposer::new(vit, options).expect("a plan");
    black_box(decomposer.run(pixels).expect("a decomposition"));
}

fn peak_after(f: impl FnOnce()) -> u64 {
    f();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The peak of `part` in a process of its own, in bytes.
fn peak_of(part: &str) -> f64 {
    let program = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(program)
        .env(PEAK_OF, part)
        .output();
    let text = String::from_utf8(output.expect("this program again").stdout);
    let kilobytes = text.ok().and_then(|text| text.trim().parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) * 1024.0
}

fn median(mut x: Vec<f64>) -> f64 {
    x.sort_by(f64::total_cmp);
    x[x.len() / 2]
}

fn bench(criterion: &mut Criterion) {
    if let Ok(part) = std::env::var(PEAK_OF) {
        print_peak(&part);
        std::process::exit(0);
    }
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

    println!("ViT-B/16, {BATCH} images, peak memory with the weights, a process each:");
    let plain = peak_of(PARTS[0]);
    for part in PARTS {
        let peak = peak_of(part);
        println!(
            "  {part}: {:.0} MB, {:.2} x forward",
            peak / 1e6,
            peak / plain
        );
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
