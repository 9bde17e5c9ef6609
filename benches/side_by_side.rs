// # Beside PyTorch
//
// Forward passes, decompositions, a step of the aligner and the decoding of pictures, in turn with PyTorch and timm on the
// same threads, and with candle-transformers for the models that it has:
//
//     cargo run --release --locked -- benches/side_by_side.rs
//
// It is a script of vitrepl, so that what is measured is what its users have. Weights and pixels are random. PyTorch and
// timm come from PyPI into `target/bench-python`, once; `VITREPL_BENCH_PYTHON` names a Python that has them. Nothing else
// may run beside it. `VITREPL_BENCH_MODEL=Swin` takes one model, `VITREPL_BENCH_ROUNDS` that many rounds (5).
// `VITREPL_BENCH_DEVICE=cuda:0` measures models on a GPU, PyTorch's too, with `VITREPL_BENCH_PRODUCTS=tf32`, `bf16` or `f16`
// by products of less precision (PyTorch's by its autocast); memory is the host's there.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use vitrepl_prelude::align::Trainer;
use vitrepl_prelude::models::weights::{Parameters, Precision};
use vitrepl_prelude::models::{ImageEncoder, MaxVit, MaxVitConfig, Swin, SwinConfig, Vit, VitConfig};
use vitrepl_prelude::trace::Tape;

const TORCH: &[&str] = &["torch==2.6.0", "torchvision==0.21.0", "timm==1.0.15", "pillow", "numpy<3"];

fn python() -> std::result::Result<String, Box<dyn std::error::Error>> {
    if let Ok(python) = std::env::var("VITREPL_BENCH_PYTHON") {
        return Ok(python);
    }
    let python = "target/bench-python/bin/python";
    if !std::path::Path::new(python).exists() {
        let made = Command::new("python3").args(["-m", "venv", "target/bench-python"]).status()?;
        let filled = Command::new(python).args(["-m", "pip", "install", "-q"]).args(TORCH).status()?;
        if !made.success() || !filled.success() {
            return Err("PyTorch cannot be installed from PyPI; set VITREPL_BENCH_PYTHON to a Python with torch and timm".into());
        }
    }
    Ok(python.to_owned())
}

/// A program that measures the same elsewhere: it takes orders, and answers each with seconds and MB.
struct Other {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Other {
    /// PyTorch.
    fn torch(threads: usize, device: &str, products: &str) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let threads = threads.to_string();
        Self::start(Command::new(python()?).args(["benches/side_by_side.py", &threads, device, products]))
    }

    /// candle-transformers, on the CPU in f32.
    fn candle() -> std::result::Result<Self, Box<dyn std::error::Error>> {
        Self::start(Command::new("cargo").args(["bench", "--quiet", "--locked", "--workspace", "--bench", "candle_transformers"]))
    }

    fn start(command: &mut Command) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (orders, answers) = (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
        Ok(Self { child, orders, answers: BufReader::new(answers) })
    }

    /// Its answer to an order: seconds and the peak memory in MB, or `none` to a model that it does not have.
    fn does(&mut self, order: &str) -> std::result::Result<Option<(f64, f64)>, Box<dyn std::error::Error>> {
        writeln!(self.orders, "{order}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let mut numbers = answer.split_whitespace().map(str::parse::<f64>);
        match (answer.trim(), numbers.next(), numbers.next()) {
            ("none", ..) => Ok(None),
            (_, Some(Ok(seconds)), Some(Ok(peak))) => Ok(Some((seconds, peak))),
            _ => Err(format!("{answer:?} was answered to {order:?}").into()),
        }
    }

    /// What it must have.
    fn measures(&mut self, order: &str) -> std::result::Result<(f64, f64), Box<dyn std::error::Error>> {
        self.does(order)?.ok_or_else(|| format!("it has no {order:?}").into())
    }
}

/// Seconds and the peak memory of this process in MB. A GPU is waited for.
fn timed(device: &Device, work: impl FnOnce()) -> (f64, f64) {
    // Idle threads of what was measured before look for work for a while.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let start = std::time::Instant::now();
    work();
    device.synchronize().unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    (seconds, peak.unwrap_or(f64::NAN) / 1e3)
}

/// NaN of none.
fn median(values: &[(f64, f64)]) -> (f64, f64) {
    let of = |pick: fn(&(f64, f64)) -> f64| {
        let mut sorted: Vec<f64> = values.iter().map(pick).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    };
    (of(|v| v.0), of(|v| v.1))
}

struct Shape {
    name: &'static str,
    timm: &'static str,
    images: usize,
    new: fn(&Parameters, Precision) -> Result<Box<dyn ImageEncoder>>,
}

fn shapes() -> [Shape; 4] {
    [
        Shape {
            name: "ViT-B/16",
            timm: "vit_base_patch16_224",
            images: 8,
            new: |parameters, precision| Ok(Box::new(Vit::new(&VitConfig::default(), parameters.constants_in(precision))?)),
        },
        Shape {
            name: "DINOv2-B/14 at 518",
            timm: "vit_base_patch14_dinov2.lvd142m",
            images: 2,
            new: |parameters, precision| {
                let config = VitConfig { img_size: 518, patch_size: 14, init_values: Some(1e-5), ..VitConfig::default() };
                Ok(Box::new(Vit::new(&config, parameters.constants_in(precision))?))
            },
        },
        Shape {
            name: "Swin-B",
            timm: "swin_base_patch4_window7_224",
            images: 8,
            new: |parameters, precision| {
                let config = SwinConfig { embed_dim: 128, depths: vec![2, 2, 18, 2], num_heads: vec![4, 8, 16, 32], ..SwinConfig::default() };
                Ok(Box::new(Swin::new(&config, parameters.constants_in(precision))?))
            },
        },
        Shape {
            name: "MaxViT-S",
            timm: "maxvit_small_tf_224",
            images: 8,
            new: |parameters, precision| Ok(Box::new(MaxVit::new(&MaxVitConfig::default(), parameters.constants_in(precision))?)),
        },
    ]
}

// ## The run

let threads = std::thread::available_parallelism()?.get();
let rounds: usize = std::env::var("VITREPL_BENCH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
let only = std::env::var("VITREPL_BENCH_MODEL").unwrap_or_default();
let on = std::env::var("VITREPL_BENCH_DEVICE").unwrap_or_else(|_| "cpu".into());
let products = std::env::var("VITREPL_BENCH_PRODUCTS").unwrap_or_else(|_| "f32".into());
let device = set_device(&on)?;
set_tf32(products == "tf32")?;
let precision = Precision::named(if products == "tf32" { "f32" } else { &products })?;
let mut torch = Other::torch(threads, &on, &products)?;
let mut candle = if device.is_cpu() && products == "f32" { Some(Other::candle()?) } else { None };
let title = format!("{on}, {threads} threads, products in {products}, medians of {rounds}; memory is the peak of the whole process");
let mut table = Table::new(title).columns(["", "ours, s", "PyTorch, s", "ours over PyTorch", "candle-transformers, s", "over our forward", "memory, MB", "PyTorch, MB"]);

for shape in shapes().iter().filter(|shape| shape.name.contains(&only)) {
    let model = (shape.new)(&Parameters::new(0, &device), precision)?;
    let size = model.image_size();
    let pixels = Tensor::rand(0f32, 1.0, (shape.images, 3, size, size), &device)?;
    let decomposer = |granularity| Decomposer::new(model.as_ref(), DecomposeOptions { granularity, ..Default::default() });
    let (heads, tokens) = (decomposer(Granularity::Heads)?, decomposer(Granularity::Tokens)?);
    let order = format!("model {} {}", shape.timm, shape.images);
    torch.measures(&order)?;
    let mut candle = match candle.as_mut() {
        Some(candle) => candle.does(&order)?.map(|_| candle),
        None => None,
    };
    let directions = Tensor::randn(0f32, 1.0, (10, model.width()), &device)?;
    let along = || -> Result<()> {
        let c = tokens.run(&pixels)?;
        c.tokens_along("* head *", &directions)?;
        Ok(())
    };
    // A decomposer multiplies the channel maps of Swin's heads out once it has had 32 images.
    for decomposer in [&heads, &tokens].into_iter().filter(|_| shape.name == "Swin-B") {
        (0..32usize.div_ceil(shape.images)).try_for_each(|_| decomposer.run(&pixels).map(drop))?;
    }
    let mut times: [Vec<(f64, f64)>; 6] = Default::default();
    // The first round warms up. Every other one goes backwards, so that nothing always comes after the same.
    for round in 0..=rounds {
        let mut order = [0, 1, 2, 3, 4, 5];
        if round % 2 == 1 {
            order.reverse()
        }
        for what in order {
            let one = match what {
                0 => timed(&device, || { model.forward(&pixels, &Tape::off()).unwrap(); }),
                1 => torch.measures("forward")?,
                2 => match candle.as_mut() {
                    Some(candle) => candle.measures("forward")?,
                    None => continue,
                },
                3 => timed(&device, || { heads.run(&pixels).unwrap(); }),
                4 => timed(&device, || { tokens.run(&pixels).unwrap(); }),
                _ => timed(&device, || along().unwrap()),
            };
            if round > 0 {
                times[what].push(one)
            }
        }
    }
    let [ours, theirs, candles, heads, tokens, along] = times.map(|all| median(&all));
    let candles = if candle.is_some() { format!("{:.3}", candles.0) } else { "".to_owned() };
    let name = format!("{}, {} images", shape.name, shape.images);
    let row = |what: &str, own: (f64, f64), beside: Option<(f64, f64)>| {
        let other = |f: fn((f64, f64)) -> f64, digits: usize| beside.map_or("".to_owned(), |b| format!("{:.digits$}", f(b)));
        let ratio = beside.map_or("".to_owned(), |b| format!("{:.2}", own.0 / b.0));
        let candles = beside.map_or("".to_owned(), |_| candles.clone());
        [what.to_owned(), format!("{:.3}", own.0), other(|b| b.0, 3), ratio, candles, format!("{:.2}", own.0 / ours.0), format!("{:.0}", own.1), other(|b| b.1, 0)]
    };
    for line in [
        row(&format!("{name}: forward"), ours, Some(theirs)),
        row("heads, all blocks", heads, None),
        row("heads and source tokens, all blocks", tokens, None),
        row("the same, and all tokens along 10 directions", along, None),
    ] {
        println!("{}", line.join("  "));
        table = table.row(line);
    }
}

// The aligner at the size of ViT-B/16: heads and MLPs from block 7, and `init`; PyTorch's as the paper's code has it.

let (components, width, images) = (66usize, 768usize, 32usize);
fn random(shape: &[usize], device: &Device) -> Result<Tensor> {
    Ok(Tensor::randn(0f32, 0.02, shape, device)?)
}
let (w, b) = (random(&[components, width, width], &device)?, random(&[width], &device)?);
let mut exact = Trainer::new(&w, &b, 3e-4, 1e-6, 1.0)?;
let mut probed = Trainer::new(&w, &b, 3e-4, 1e-6, 1.0)?.with_probes(32, 0);
let (x, y) = (random(&[components, images, width], &device)?, random(&[images, width], &device)?);
torch.measures(&format!("aligner {components} {width} {images}"))?;
let mut times: [Vec<(f64, f64)>; 3] = Default::default();
for round in 0..=rounds {
    let measured = [
        timed(&device, || { probed.step(&x, &y).unwrap(); }),
        timed(&device, || { exact.step(&x, &y).unwrap(); }),
        torch.measures("step")?,
    ];
    if round > 0 {
        times.iter_mut().zip(measured).for_each(|(all, one)| all.push(one));
    }
}
let [probed, exact, theirs] = times.map(|all| median(&all));
fn beside(what: &str, own: (f64, f64), theirs: (f64, f64)) -> [String; 8] {
    let ratio = format!("{:.3}", own.0 / theirs.0);
    [what.to_owned(), format!("{:.4}", own.0), format!("{:.4}", theirs.0), ratio, "".to_owned(), "".to_owned(), format!("{:.0}", own.1), format!("{:.0}", theirs.1)]
}
table = table
    .row(beside("aligner step, 66 x 768 x 768, 32 images, isometry term exact", exact, theirs))
    .row(beside("aligner step, isometry term from 32 probes", probed, theirs));

// One JPEG file of 500 x 375 to 224 pixels on one thread, by timm's own transform for evaluation there.

let folder = std::env::temp_dir().join(format!("vitrepl-bench-{}", std::process::id()));
std::fs::create_dir_all(&folder)?;
let file = folder.join("photo.jpg");
let picture = image::open("prelude/tests/pictures/rocket.png")?.resize_exact(500, 375, image::imageops::FilterType::CatmullRom);
picture.to_rgb8().save(&file)?;
let photo = FolderSet::open(&folder, OnUnreadable::Fail)?;
let mut times: [Vec<(f64, f64)>; 2] = Default::default();
for round in 0..=20 * rounds {
    let measured = [
        timed(&Device::Cpu, || { photo.pixels(&[0], 224.into()).unwrap(); }),
        torch.measures(&format!("decode {}", file.display()))?,
    ];
    if round > 0 {
        times.iter_mut().zip(measured).for_each(|(all, one)| all.push(one));
    }
}
std::fs::remove_dir_all(&folder)?;
let [ours, theirs] = times.map(|all| median(&all));
table = table.row(beside("a JPEG file of 500 x 375 to 224 pixels", ours, theirs));

table
