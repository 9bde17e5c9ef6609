//! Images a second from JPEG files to a model's pixels (500 x 375 to 224, bicubic), beside Pillow on the same files
//! where `VITREPL_BENCH_PYTHON` names a Python that has it:
//!
//! ```sh
//! VITREPL_BENCH_PYTHON=python3 cargo bench --locked --workspace --bench decode -- --quick
//! ```

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use image::imageops::FilterType;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use vitrepl_prelude::data::{DataSet, FolderSet, Interpolation, OnUnreadable, Preprocess, resize};

const IMAGES: usize = 32;

/// What our side does, by Pillow: threads, folder -> images a second.
const PILLOW: &str = r#"
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from PIL import Image, __version__

def load(path):
    picture = Image.open(path).convert("RGB")
    w, h = picture.size
    short = int(224 / 0.9)
    size = (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
    picture = picture.resize(size, Image.BICUBIC)
    left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    return picture.crop((left, top, left + 224, top + 224)).tobytes()

files = sorted(Path(sys.argv[2]).glob("*.jpg"))
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    best, start = 1e9, time.process_time()
    for _ in range(8):
        began = time.perf_counter()
        list(pool.map(load, files))
        best = min(best, time.perf_counter() - began)
used = (time.process_time() - start) / 8 / len(files)
print(f"Pillow {__version__}, {sys.argv[1]} threads: {len(files) / best:.0f} images/s (best of 8), {1e3 * used:.1f} ms of a core each")
"#;

/// JPEG files of 500 x 375 pixels, as ImageNet's usually are.
fn write_images(folder: &Path) {
    let rocket = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/rocket.png");
    let rocket = image::open(rocket).unwrap();
    for i in 0..IMAGES as u32 {
        let part = rocket.crop_imm(i, i, rocket.width() - 40, (rocket.width() - 40) * 3 / 4);
        let picture = part
            .resize_exact(500, 375, FilterType::CatmullRom)
            .to_rgb8();
        picture.save(folder.join(format!("{i:02}.jpg"))).unwrap();
    }
}

/// What this process has had of all cores, which other load changes little; Linux counts it in steps of 10 ms.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let steps = after_name.split_whitespace().skip(11).take(2);
    steps
        .filter_map(|steps| steps.parse::<f64>().ok())
        .sum::<f64>()
        * 10.
}

fn benches(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path());
    let set = FolderSet::open(folder.path(), OnUnreadable::Fail).unwrap();
    let all: Vec<_> = (0..IMAGES).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);

    let mut group = c.benchmark_group("JPEG 500 x 375 to 224");
    group.sample_size(10);
    group.throughput(Throughput::Elements(IMAGES as u64));
    for threads in [1, cores] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        group.bench_function(format!("decode and resize, {threads} threads"), |b| {
            b.iter(|| pool.install(|| black_box(set.pixels(&all, 224.into()).unwrap())))
        });
    }
    let pictures: Vec<_> = set
        .files()
        .iter()
        .map(|file| image::open(file).unwrap().to_rgb8())
        .collect();
    group.bench_function("resize alone, 1 thread", |b| {
        b.iter(|| {
            for picture in &pictures {
                black_box(Preprocess::default().apply(picture, 224));
            }
        })
    });
    group.bench_function("resize alone, no crop, 1 thread", |b| {
        b.iter(|| {
            for picture in &pictures {
                black_box(resize(picture, (330, 248), Interpolation::Bicubic));
            }
        })
    });
    group.finish();

    let Some(python) = std::env::var_os("VITREPL_BENCH_PYTHON") else {
        println!("set VITREPL_BENCH_PYTHON to a Python with Pillow to compare");
        return;
    };
    for threads in [1, cores] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let once = || {
            let start = Instant::now();
            pool.install(|| black_box(set.pixels(&all, 224.into()).unwrap()));
            start.elapsed().as_secs_f64()
        };
        let start = cpu_ms();
        let best = (0..8).map(|_| once()).fold(f64::INFINITY, f64::min);
        println!(
            "ours, {threads} threads: {:.0} images/s (best of 8), {:.1} ms of a core each",
            IMAGES as f64 / best,
            (cpu_ms() - start) / 8. / IMAGES as f64
        );
        let mut run = Command::new(&python);
        run.args(["-c", PILLOW, &threads.to_string()])
            .arg(folder.path());
        let status = run.status().expect("VITREPL_BENCH_PYTHON can be run");
        assert!(status.success(), "{status}");
    }
}

criterion_group!(all, benches);
criterion_main!(all);
