//! The cost of a decomposition over a plain forward pass of the same model, in one run: peak memory, medians of
//! interleaved repetitions as ratios, then criterion's own timings.
//!
//! `cargo bench --locked --workspace --bench decomposition` (add `-- --quick` for a first look).

use candle_core::{DType, Device, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Instant;
use vitrepl_prelude::Result;
use vitrepl_prelude::decompose::{BlockPart, Component, DecomposeOptions, Decomposer, Granularity};
use vitrepl_prelude::models::weights::Parameters;
use vitrepl_prelude::models::{
    ImageEncoder, MaxVit, MaxVitConfig, Swin, SwinConfig, Vit, VitConfig,
};
use vitrepl_prelude::trace::{Block, Tape};

const BATCH: usize = 8;

/// A model of the paper's size: speed does not depend on the weights.
struct Shape {
    name: &'static str,
    new: fn(VarBuilder) -> Result<Box<dyn ImageEncoder>>,
    /// Where the paper's aligners start.
    first: Block,
}

/// The models of the paper (design notes, section 1).
fn shapes() -> [Shape; 3] {
    [
        Shape {
            name: "ViT-B/16",
            new: |vb| Ok(Box::new(Vit::new(&VitConfig::default(), vb)?)),
            first: Block::at(7),
        },
        Shape {
            name: "Swin-B",
            new: |vb| {
                let config = SwinConfig {
                    embed_dim: 128,
                    depths: vec![2, 2, 18, 2],
                    num_heads: vec![4, 8, 16, 32],
                    ..SwinConfig::default()
                };
                Ok(Box::new(Swin::new(&config, vb)?))
            },
            first: Block::in_stage(2, 14),
        },
        Shape {
            name: "MaxViT-S",
            new: |vb| Ok(Box::new(MaxVit::new(&MaxVitConfig::default(), vb)?)),
            first: Block::in_stage(2, 3),
        },
    ]
}

impl Shape {
    /// The model with seeded random weights.
    fn random(&self) -> Box<dyn ImageEncoder> {
        let parameters = Parameters::new(0, &Device::Cpu);
        (self.new)(parameters.constants()).expect(self.name)
    }

    /// The model with weights made in place: random ones leave the memory of their making behind.
    fn constant(&self) -> Box<dyn ImageEncoder> {
        let weights: Box<dyn SimpleBackend> = Box::new(Constant);
        let vb = VarBuilder::from_backend(weights, DType::F32, Device::Cpu);
        (self.new)(vb).expect(self.name)
    }
}

fn forward(model: &dyn ImageEncoder, pixels: &Tensor) {
    black_box(model.forward(pixels, &Tape::off()).expect("a forward pass"));
}

/// Write out every token of every head, instead of keeping them as products.
fn write_out(decomposer: &Decomposer, pixels: &Tensor) {
    let c = decomposer.run(pixels).expect("a decomposition");
    let tokens = c.token_contributions().expect("tokens were asked for");
    for component in c.components() {
        if let Component::Part {
            part: BlockPart::Head(_),
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

/// All weights alike.
struct Constant;

impl SimpleBackend for Constant {
    fn get(
        &self,
        s: candle_core::Shape,
        _: &str,
        _: Init,
        _: DType,
        d: &Device,
    ) -> candle_core::Result<Tensor> {
        Tensor::full(0.01f32, s, d)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("no shape is given for {name}")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// Run one part of one model, "MODEL: PART", and print the process's peak resident memory in kilobytes (Linux).
fn print_peak(what: &str) {
    let (name, part) = what.rsplit_once(": ").expect("a model and a part");
    let shapes = shapes();
    let shape = shapes.iter().find(|shape| shape.name == name);
    let model = shape.expect("a known model").constant();
    let size = model.image_size();
    let pixels = Tensor::full(0.5f32, (BATCH, 3, size, size), &Device::Cpu).expect("pixels");
    let model = model.as_ref();
    let peak = match part {
        "forward" => peak_after(|| forward(model, &pixels)),
        "heads" => peak_after(|| decompose(model, Granularity::Heads, &pixels)),
        _ => peak_after(|| decompose(model, Granularity::Tokens, &pixels)),
    };
    println!("{peak}");
}

fn decompose(model: &dyn ImageEncoder, granularity: Granularity, pixels: &Tensor) {
    let options = DecomposeOptions {
        granularity,
        ..DecomposeOptions::default()
    };
    let decomposer = Decomposer::new(model, options).expect("a plan");
    black_box(decomposer.run(pixels).expect("a decomposition"));
}

fn peak_after(f: impl FnOnce()) -> u64 {
    f();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The peak of a part of a model in a process of its own, in bytes.
fn peak_of(shape: &Shape, part: &str) -> f64 {
    let program = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(program)
        .env(PEAK_OF, format!("{}: {part}", shape.name))
        .output();
    let text = String::from_utf8(output.expect("this program again").stdout);
    let kilobytes = text.ok().and_then(|text| text.trim().parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) * 1024.0
}

fn median(mut x: Vec<f64>) -> f64 {
    x.sort_by(f64::total_cmp);
    x[x.len() / 2]
}

/// Names the one model to measure, where not all are.
const MODEL: &str = "VITREPL_BENCH_MODEL";

fn bench(criterion: &mut Criterion) {
    if let Ok(what) = std::env::var(PEAK_OF) {
        print_peak(&what);
        std::process::exit(0);
    }
    let only = std::env::var(MODEL).unwrap_or_default();
    for shape in shapes().iter().filter(|shape| shape.name.contains(&only)) {
        compare(shape, criterion)
    }
}

/// Memory, ratios and criterion's timings of one model.
fn compare(shape: &Shape, criterion: &mut Criterion) {
    let name = shape.name;
    println!("{name}, {BATCH} images, peak memory with the weights, a process each:");
    let plain = peak_of(shape, PARTS[0]);
    for part in PARTS {
        let peak = peak_of(shape, part);
        println!(
            "  {part}: {:.0} MB, {:.2} x forward",
            peak / 1e6,
            peak / plain
        );
    }

    let model = shape.random();
    let model = model.as_ref();
    let size = model.image_size();
    let pixels = Tensor::rand(0f32, 1.0, (BATCH, 3, size, size), &Device::Cpu).expect("pixels");
    let decomposer = |granularity, first_block| {
        let options = DecomposeOptions {
            granularity,
            first_block,
            ..DecomposeOptions::default()
        };
        Decomposer::new(model, options).expect("a plan")
    };
    let heads = decomposer(Granularity::Heads, None);
    let tokens = decomposer(Granularity::Tokens, None);
    let late = decomposer(Granularity::Tokens, Some(shape.first));
    let run = |d: &Decomposer| {
        black_box(d.run(&pixels).expect("a decomposition"));
    };
    println!("{name}, {BATCH} images, medians of 5 over forward's in turn:");
    let late_name = format!("heads and tokens written out, from {}", shape.first);
    let parts: [(&str, &dyn Fn()); 4] = [
        ("heads, all blocks", &|| run(&heads)),
        ("heads and tokens as products, all blocks", &|| run(&tokens)),
        (&late_name, &|| write_out(&late, &pixels)),
        ("heads and tokens written out, all blocks", &|| {
            write_out(&tokens, &pixels)
        }),
    ];
    // One part after the other: the last may take long.
    for (what, part) in parts {
        let (mut plain, mut times) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            plain.push(seconds(|| forward(model, &pixels)));
            times.push(seconds(part));
        }
        let (plain, time) = (median(plain), median(times));
        println!(
            "  {what}: {:.2} x forward ({:.0} ms)",
            time / plain,
            plain * 1e3
        );
    }

    let mut group = criterion.benchmark_group(format!("{name} x {BATCH}"));
    group.sample_size(10);
    group.bench_function("forward", |b| b.iter(|| forward(model, &pixels)));
    group.bench_function("heads", |b| b.iter(|| run(&heads)));
    group.bench_function("heads and tokens", |b| b.iter(|| run(&tokens)));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
