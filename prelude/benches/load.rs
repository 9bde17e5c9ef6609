//! How long a real model takes to load.
//!
//!     cargo bench --locked --workspace --bench load -- PATH...
//!
//! Without a path it is the DINOv2-small beside the repository, where that is.

use candle_core::Device;
use std::time::Instant;
use vitrepl_prelude::models::Model;
use vitrepl_prelude::models::weights::Checkpoint;

const TIMES: usize = 7;

fn main() {
    let mut paths: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    if paths.is_empty() {
        let there = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../shared/real/dinov2_small.f16.safetensors"
        );
        paths.push(there.into())
    }
    for path in paths {
        if !std::path::Path::new(&path).exists() {
            println!("skipped: there is no {path}");
            continue;
        }
        let seconds = |run: &dyn Fn()| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        };
        let read = || drop(Checkpoint::open(&path).unwrap());
        let load = || drop(Model::open(&path, &serde_json::json!({}), &Device::Cpu).unwrap());
        let first = seconds(&load);
        let median = |run: &dyn Fn()| {
            let mut times: Vec<_> = (0..TIMES).map(|_| seconds(run)).collect();
            times.sort_by(f64::total_cmp);
            times[TIMES / 2]
        };
        println!(
            "{path}: first {first:.3} s, then {:.3} s, of which reading {:.3} s",
            median(&load),
            median(&read)
        );
    }
}
