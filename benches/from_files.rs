// # From files
//
// Images a second from JPEG files to representations, and to contributions of heads in memory and in the cache, in turn with
// timm's loader and forward pass of the same weights on as many threads:
//
//     cargo run --release --locked -- benches/from_files.rs
//
// PyTorch comes from where side_by_side.rs has it. `VITREPL_BENCH_IMAGES` is the number of files (256), of which each is
// read anew; `VITREPL_BENCH_BATCH` how many go through a model together (32). `VITREPL_BENCH_DEVICE=cuda:0` computes on a GPU,
// timm there also as PyTorch compiles it. Nothing else may run beside it.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use vitrepl_prelude::data::ahead::Loading;
use vitrepl_prelude::session::{drop_cached, set_cache_folder, set_loading};

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

let images = number("VITREPL_BENCH_IMAGES", 256);
let batch = number("VITREPL_BENCH_BATCH", 32);
let on = std::env::var("VITREPL_BENCH_DEVICE").unwrap_or_else(|_| "cpu".into());
let device = set_device(&on)?;
set_loading(Loading { batch, ..Loading::default() })?;
let folder = std::env::temp_dir().join(format!("vitrepl-bench-{}", std::process::id()));
set_cache_folder(folder.join("cache"));
let pictures = folder.join("pictures");
std::fs::create_dir_all(&pictures)?;
let picture = image::open("prelude/tests/pictures/rocket.png")?.resize_exact(500, 375, image::imageops::FilterType::CatmullRom);
picture.to_rgb8().save(pictures.join("0.jpg"))?;
for i in 1..images {
    std::fs::copy(pictures.join("0.jpg"), pictures.join(format!("{i}.jpg")))?;
}

// PyTorch writes the model that both take.

struct Torch {
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Torch {
    fn start(threads: usize, device: &str) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let python = std::env::var("VITREPL_BENCH_PYTHON").unwrap_or_else(|_| "target/bench-python/bin/python".into());
        if !std::path::Path::new(&python).exists() {
            return Err("run benches/side_by_side.rs first, which installs PyTorch, or set VITREPL_BENCH_PYTHON".into());
        }
        let mut torch = Command::new(python)
            .args(["benches/side_by_side.py", &threads.to_string(), device, "f32"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (orders, answers) = (torch.stdin.take().ok_or("no input")?, torch.stdout.take().ok_or("no output")?);
        Ok(Self { orders, answers: BufReader::new(answers) })
    }

    /// The seconds that it took.
    fn does(&mut self, order: &str) -> std::result::Result<f64, Box<dyn std::error::Error>> {
        writeln!(self.orders, "{order}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let seconds = answer.split_whitespace().next().and_then(|seconds| seconds.parse().ok());
        seconds.ok_or_else(|| format!("{answer:?} was answered to {order:?}").into())
    }
}

let threads = std::thread::available_parallelism()?.get();
let mut torch = Torch::start(threads, &on)?;
let saved = folder.join("model");
torch.does("model vit_base_patch16_224 1")?;
torch.does(&format!("save {}", saved.display()))?;
let vit = load(&saved.to_string_lossy())?;
let set = FolderSet::open(&pictures, OnUnreadable::Fail)?;

// In turn, three times after a first one that warms up. What was computed is forgotten in between.

let mut works = vec!["ours, representations", "ours, contributions of heads", "timm, representations"];
if !device.is_cpu() {
    works.push("timm compiled, representations")
}
let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); works.len()];
for round in 0..=3 {
    for (work, all) in works.iter().zip(&mut seconds) {
        drop_cached("*");
        let start = std::time::Instant::now();
        let took = match *work {
            "ours, representations" => {
                let embedded = embed_images(&vit, &set)?;
                assert_eq!(embedded.tensor().dims()[0], images);
                start.elapsed().as_secs_f64()
            }
            "ours, contributions of heads" => {
                let c = decompose(&vit, &set, &DecomposeOptions::default())?;
                assert_eq!(c.images(), images);
                start.elapsed().as_secs_f64()
            }
            other => torch.does(&format!("files {batch} {} {}", other.contains("compiled"), pictures.display()))?,
        };
        if round > 0 {
            all.push(took)
        }
    }
}
std::fs::remove_dir_all(&folder)?;

let title = format!("ViT-B/16 on {on}, {threads} threads, {images} JPEG files of 500 x 375, {batch} a batch, medians of 3");
let mut table = Table::new(title).columns(["", "images a second"]);
for (work, mut all) in works.iter().zip(seconds) {
    all.sort_by(f64::total_cmp);
    table = table.row([(*work).to_owned(), format!("{:.1}", images as f64 / all[all.len() / 2])]);
}

table
