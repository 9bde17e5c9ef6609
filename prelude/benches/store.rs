//! Contributions that are larger than memory: random values written directly into a store, and then read as `cat` does,
//! read and decoded, and means, scores, ablation with a head of 1000 classes, retrieval and steps of the aligner over them.
//!
//!     cargo bench --locked --workspace --bench store
//!
//! `VITREPL_BENCH_IMAGES` says how many images (50000 make 10 GB), `VITREPL_BENCH_FOLDER` where. Each measure runs in a
//! process of its own, so that its peak memory is its own; files are in the page cache or not as the machine has it
//! (`VITREPL_BENCH_MEASURE=read` runs one measure alone, after `echo 3 > /proc/sys/vm/drop_caches`, say). The processes have
//! the allocator settings with which `vitrepl` starts those that hold the library.

use candle_core::{Device, Tensor};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use vitrepl_prelude::align::{Alignment, FitOptions};
use vitrepl_prelude::decompose::{BlockPart, ChunkedContributions, Component, Contributions};
use vitrepl_prelude::identity::ImageEmbeddings;
use vitrepl_prelude::score::{LinearHead, retrieval, variance_attributed};
use vitrepl_prelude::trace::Block;
use vitrepl_prelude::{Error, Result};

const COMPONENTS: usize = 66;
const WIDTH: usize = 768;
const MEASURE: &str = "VITREPL_BENCH_MEASURE";
const ALLOCATOR: [(&str, &str); 4] = [
    ("MALLOC_MMAP_MAX_", "0"),
    ("MALLOC_TRIM_THRESHOLD_", "1099511627776"),
    ("MALLOC_TOP_PAD_", "67108864"),
    ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),
];
const MEASURES: [&str; 8] = [
    "write",
    "cat",
    "read",
    "means",
    "scores",
    "ablation",
    "retrieval",
    "aligner",
];

fn main() -> Result<()> {
    let images = std::env::var("VITREPL_BENCH_IMAGES")
        .ok()
        .and_then(|n| n.parse().ok());
    let images = images.unwrap_or(5_000);
    let folder = std::env::var_os("VITREPL_BENCH_FOLDER").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("vitrepl-bench-store"));
    let address = folder.join(format!("{images}.zarr"));
    if let Ok(measure) = std::env::var(MEASURE) {
        return measured(&measure, &address, images);
    }
    println!(
        "{images} images x {COMPONENTS} components x {WIDTH} channels in {}",
        address.display()
    );
    for measure in MEASURES {
        let this = std::env::current_exe().map_err(|e| Error::io("finding", "this program", e))?;
        let status = Command::new(this)
            .env(MEASURE, measure)
            .envs(ALLOCATOR)
            .status();
        assert!(status.is_ok_and(|status| status.success()), "{measure}");
    }
    Ok(())
}

fn measured(measure: &str, address: &Path, images: usize) -> Result<()> {
    let began = Instant::now();
    let text = address.display().to_string();
    let bytes = match measure {
        "write" => write(&text, images)?,
        "cat" => cat(address),
        _ => {
            let stored = Contributions::open(&text)?;
            over(measure, &stored)?;
            // Ablation goes through them for the means, and once more.
            let passes = if measure == "ablation" { 2 } else { 1 };
            passes * stored.bytes()
        }
    };
    let (seconds, peak) = (began.elapsed().as_secs_f64(), peak());
    let rate = bytes as f64 / seconds / 1e6;
    println!("{measure:>10}: {seconds:7.1} s, {rate:6.0} MB/s, peak {peak} MB");
    Ok(())
}

fn over(measure: &str, stored: &ChunkedContributions) -> Result<()> {
    let images = stored.images();
    let texts = random(&[6, WIDTH], 1)?;
    match measure {
        "read" => stored.each_chunk(|_, _| Ok(()))?,
        "means" => drop(stored.means()?),
        "scores" => drop(variance_attributed(stored, &texts)?),
        "ablation" => {
            let head = LinearHead::new(random(&[1000, WIDTH], 2)?, random(&[1000], 3)?)?;
            let order: Vec<usize> = (0..10).collect();
            drop(
                stored
                    .ablation(&stored.means()?, &head)?
                    .predict_prefixes(&order)?,
            );
        }
        "retrieval" => drop(retrieval::by_text(stored, &[1, 5, 9], &texts.get(0)?)?),
        _ => {
            let targets = ImageEmbeddings::new(random(&[images, WIDTH], 4)?)?;
            let options = FitOptions {
                evaluations: 1,
                batch: 32,
                ..FitOptions::default()
            };
            let alignment = Alignment::fit(stored, &targets, &options)?;
            if let Some(report) = &alignment.report {
                println!("{report}");
            }
        }
    }
    Ok(())
}

/// Random values, chunk by chunk: what is saved is drawn when it is written.
fn write(address: &str, images: usize) -> Result<usize> {
    if Contributions::open(address).is_ok() {
        println!("  (the store is there already)");
        return Ok(0);
    }
    let mut components = vec![Component::Init];
    for block in 0..5 {
        let block = Block::at(7 + block);
        components.extend((0..12).map(|h| Component::Part {
            block,
            part: BlockPart::Head(h),
        }));
        components.push(Component::Part {
            block,
            part: BlockPart::Mlp,
        });
    }
    assert_eq!(components.len(), COMPONENTS);
    let stored = ChunkedContributions::from_fn(components, WIDTH, images, 80, |range| {
        random(&[COMPONENTS, range.len(), WIDTH], range.start as u64)
    })?;
    stored.save(address)?;
    Ok(stored.bytes())
}

/// Reads all files of the store and does nothing with them.
fn cat(folder: &Path) -> usize {
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => {
                    let Ok(mut file) = std::fs::File::open(path) else {
                        continue;
                    };
                    while let Ok(read @ 1..) = file.read(&mut buffer) {
                        bytes += read;
                    }
                }
            }
        }
    }
    bytes
}

fn random(shape: &[usize], seed: u64) -> Result<Tensor> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let values = (0..shape.iter().product::<usize>()).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    });
    Ok(Tensor::from_vec(
        values.collect::<Vec<f32>>(),
        shape,
        &Device::Cpu,
    )?)
}

/// Of this process, in MB.
fn peak() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1000
}
