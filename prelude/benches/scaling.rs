//! How forward passes and decompositions scale: over threads, and in time and memory over many batches, each in a process of
//! its own.
//!
//!     cargo bench --locked --workspace --bench scaling
//!
//! `VITREPL_BENCH_MODEL=Swin` takes one model.

mod shapes;

use candle_core::{Device, Tensor};
use shapes::{Shape, median, peak_after, seconds, shapes};
use std::hint::black_box;
use vitrepl_prelude::decompose::{DecomposeOptions, Decomposer, Granularity};
use vitrepl_prelude::trace::Tape;

const BATCH: usize = 8;

/// In a process of its own: what it runs, "MODEL: PART: BATCHES".
const RUN: &str = "VITREPL_BENCH_RUN";

/// Peak memory in MB, and the seconds of each batch.
struct Ran {
    peak: f64,
    seconds: Vec<f64>,
}

/// Runs what is asked for, and prints the peak in kilobytes and the seconds.
fn child(what: &str) {
    let mut words = what.split(": ");
    let (Some(name), Some(part), Some(batches)) = (words.next(), words.next(), words.next()) else {
        panic!("{RUN}={what}")
    };
    let shapes = shapes();
    let shape = shapes.iter().find(|shape| shape.name == name);
    let model = shape.expect("a known model").constant();
    let size = model.image_size();
    let pixels = Tensor::full(0.5f32, (BATCH, 3, size, size), &Device::Cpu).expect("pixels");
    let granularity = match part {
        "tokens" => Granularity::Tokens,
        _ => Granularity::Heads,
    };
    let options = DecomposeOptions {
        granularity,
        ..DecomposeOptions::default()
    };
    let decomposer = Decomposer::new(model.as_ref(), options).expect("a plan");
    let once = || match part {
        "forward" => drop(black_box(
            model.forward(&pixels, &Tape::off()).expect("a pass"),
        )),
        _ => drop(black_box(decomposer.run(&pixels).expect("a decomposition"))),
    };
    let mut times = Vec::new();
    let batches: usize = batches.parse().expect("a number");
    let peak = peak_after(|| times.extend((0..batches).map(|_| seconds(once))));
    let times: Vec<String> = times.iter().map(f64::to_string).collect();
    println!("{peak} {}", times.join(" "));
}

/// Runs `part` of a model on so many batches with so many threads, in a process of its own.
fn run(shape: &Shape, part: &str, batches: usize, threads: usize) -> Ran {
    let program = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(program)
        .env(RUN, format!("{}: {part}: {batches}", shape.name))
        .env("RAYON_NUM_THREADS", threads.to_string())
        .output();
    let text = String::from_utf8(output.expect("this program again").stdout).expect("text");
    let mut numbers = text
        .split_whitespace()
        .map(|number| number.parse::<f64>().expect("a number"));
    Ran {
        peak: numbers.next().expect("the peak") / 1e3,
        seconds: numbers.collect(),
    }
}

fn main() {
    if let Ok(what) = std::env::var(RUN) {
        return child(&what);
    }
    let only = std::env::var("VITREPL_BENCH_MODEL").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for shape in shapes().iter().filter(|shape| shape.name.contains(&only)) {
        println!("{}, {BATCH} images a batch", shape.name);
        for part in ["forward", "heads"] {
            let (mut one, mut all) = (Vec::new(), Vec::new());
            for _ in 0..3 {
                // The first batch of a process warms up.
                one.extend(run(shape, part, 3, 1).seconds.drain(1..));
                all.extend(run(shape, part, 3, cores).seconds.drain(1..));
            }
            let (one, all) = (median(one), median(all));
            println!(
                "  {part}: {one:.2} s with 1 thread, {all:.2} with {cores}: {:.2} times as fast",
                one / all
            );
        }
        for part in ["forward", "heads", "tokens"] {
            let peaks = [1, 10, 30].map(|batches| (batches, run(shape, part, batches, cores)));
            let said: Vec<String> = peaks
                .iter()
                .map(|(batches, ran)| format!("{:.0} MB after {batches}", ran.peak))
                .collect();
            let times = &peaks[2].1.seconds;
            let early = median(times[1..11].to_vec());
            let late = median(times[20..].to_vec());
            println!(
                "  {part}: peak {}; a batch {early:.2} s at first, {late:.2} at last",
                said.join(", ")
            );
        }
    }
}
