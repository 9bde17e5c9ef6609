//! The cost of a decomposition over a plain forward pass of the same model, in one run: peak memory, medians of
//! interleaved repetitions as ratios, then criterion's own timings.
//!
//! `cargo bench --locked --workspace --bench decomposition` (add `-- --quick` for a first look).

mod shapes;

use candle_core::{Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use shapes::{Shape, median, peak_after, seconds, shapes};
use std::hint::black_box;
use vitrepl_prelude::decompose::{BlockPart, Component, DecomposeOptions, Decomposer, Granularity};
use vitrepl_prelude::models::ImageEncoder;
use vitrepl_prelude::trace::Tape;

const BATCH: usize = 8;

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

/// In a process of its own with this set, what it names is run once and the peak memory printed.
const PEAK_OF: &str = "VITREPL_BENCH_PEAK_OF";

/// The parts whose peak memory is compared.
const PARTS: [&str; 3] = ["forward", "heads", "heads and tokens as products"];

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
    // The first images have maps made that the later ones use.
    for decomposer in [&heads, &tokens, &late] {
        (0..4).for_each(|_| run(decomposer))
    }
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
