//! What decompositions take over the forward pass, in turn, and how both scale: over threads, and in time and memory over many
//! batches, each in processes of its own.
//!
//!     cargo bench --locked --workspace --bench scaling
//!
//! `VITREPL_BENCH_MODEL=Swin` takes one model, `VITREPL_BENCH_ROUNDS=9` that many rounds of processes in turn (3).

mod shapes;

use candle_core::{DType, Device, Tensor};
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
        "tokens" | "along" => Granularity::Tokens,
        _ => Granularity::Heads,
    };
    let directions = Tensor::ones((10, model.width()), DType::F32, &Device::Cpu);
    let directions = directions.expect("directions");
    let options = DecomposeOptions {
        granularity,
        ..DecomposeOptions::default()
    };
    let decomposer = Decomposer::new(model.as_ref(), options).expect("a plan");
    let once = || match part {
        "forward" => drop(black_box(
            model.forward(&pixels, &Tape::off()).expect("a pass"),
        )),
        "along" => {
            let c = decomposer.run(&pixels).expect("a decomposition");
            let along = c.tokens_along("* head *", &directions);
            drop(black_box(along.expect("tokens along directions")))
        }
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

/// Prints times and the peaks of first batches over the forward pass's, in turn.
fn over_forward(shape: &Shape, threads: usize) {
    const PARTS: [&str; 4] = ["forward", "heads", "tokens", "along"];
    let rounds = std::env::var("VITREPL_BENCH_ROUNDS").ok();
    let rounds: usize = rounds.and_then(|n| n.parse().ok()).unwrap_or(3);
    let mut times = PARTS.map(|_| Vec::new());
    let mut peaks = PARTS.map(|_| Vec::new());
    for _ in 0..rounds {
        for (i, part) in PARTS.iter().enumerate() {
            peaks[i].push(run(shape, part, 1, threads).peak);
            // Channel maps of heads are multiplied out after 32 images.
            let late = run(shape, part, 9, threads).seconds.split_off(5);
            times[i].extend(late)
        }
    }
    let (times, peaks) = (times.map(median), peaks.map(median));
    for (i, part) in PARTS.iter().enumerate() {
        println!(
            "  {part}: {:.3} s, {:.2} of the forward pass; peak of the first batch {:.0} MB, {:.2}",
            times[i],
            times[i] / times[0],
            peaks[i],
            peaks[i] / peaks[0]
        )
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
        over_forward(shape, cores);
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
