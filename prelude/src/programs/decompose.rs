//! Decompose a data set into a store of contributions, or one shard of it, without a prompt.
//!
//! ```sh
//! vitrepl decompose --model deit --data imagenet:/data/val --out s3://bucket/deit.zarr --shard 3/8 --device cuda:0
//! ```
//!
//! Finished chunks are skipped: run it again after a crash, on any machine. `cluster/` of the library has drivers for
//! Ray, Slurm and Kubernetes.

use crate::data::OnUnreadable;
use crate::decompose::{DecomposeOptions, Granularity, Sharing};
use crate::session::{RunOptions, RunProgress, Shard, decompose_shard, load, set_device};
use crate::store::{StoreOptions, StoreType, open_data};
use crate::trace::Block;
use crate::{Error, Result};
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two plain lines.
const PAUSE: Duration = Duration::from_secs(10);

#[derive(Parser)]
#[command(
    name = "decompose",
    about = "Decompose a data set into a store of contributions, or one shard of it"
)]
struct Arguments {
    /// The model, as `load` takes it: a name, a hub repository, a file or a folder.
    #[arg(long)]
    model: String,
    /// The images: the path of a folder, imagenet:PATH, waterbirds:PATH, tar:PATH, parquet:PATH, generated:SEED:COUNT.
    #[arg(long)]
    data: String,
    /// The store: the path of a folder, s3://bucket/run.zarr, gs://, az://.
    #[arg(long)]
    out: String,
    /// How finely attention is taken apart.
    #[arg(long, value_enum, default_value = "heads")]
    granularity: Grain,
    /// Who gets the constants of norms and biases.
    #[arg(long, value_enum, default_value = "equal")]
    sharing: Share,
    /// Fold the blocks before this one into `init`: 7, or 2.14 for block 14 of stage 2.
    #[arg(long)]
    first_block: Option<String>,
    /// Which part of the chunks: I of N, from 0.
    #[arg(long, default_value = "0/1")]
    shard: Shard,
    /// Where the model computes: cpu, cuda, cuda:1.
    #[arg(long)]
    device: Option<String>,
    /// The type of stored values: f32, or f16 for half the bytes.
    #[arg(long, default_value = "f32")]
    dtype: StoreType,
    /// Images of a chunk; as many as 16 MB hold where it is not said. The same for all shards.
    #[arg(long)]
    chunk: Option<usize>,
    /// Leave unreadable images out instead of stopping at one.
    #[arg(long)]
    skip_unreadable: bool,
    /// Read what is finished of the shard, and make damaged chunks anew.
    #[arg(long)]
    verify: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Grain {
    Layers,
    Heads,
    Tokens,
}

#[derive(Clone, Copy, ValueEnum)]
enum Share {
    Equal,
    Own,
}

/// The program: its arguments are those of the process.
pub fn decompose() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("decompose: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if let Some(device) = &arguments.device {
        set_device(device)?;
    }
    let unreadable = match arguments.skip_unreadable {
        true => OnUnreadable::Skip,
        false => OnUnreadable::Fail,
    };
    let options = RunOptions {
        decompose: DecomposeOptions {
            granularity: match arguments.granularity {
                Grain::Layers => Granularity::Layers,
                Grain::Heads => Granularity::Heads,
                Grain::Tokens => Granularity::Tokens,
            },
            sharing: match arguments.sharing {
                Share::Equal => Sharing::Equal,
                Share::Own => Sharing::Own,
            },
            first_block: arguments.first_block.as_deref().map(block).transpose()?,
            ..DecomposeOptions::default()
        },
        store: StoreOptions {
            dtype: arguments.dtype,
            chunk: arguments.chunk,
        },
        shard: arguments.shard,
        verify: arguments.verify,
    };
    let set = open_data(&arguments.data, unreadable)?;
    let model = load(&arguments.model)?;
    let mut told = Told::new();
    let report = decompose_shard(&model, &*set, &arguments.out, &options, &mut |at| {
        told.tell(at)
    })?;
    told.end();
    println!("{report}");
    Ok(())
}

/// `7`, or `2.14` in a model with stages.
fn block(text: &str) -> Result<Block> {
    let number = |text: &str| text.parse::<usize>().ok();
    let block = match text.split_once('.') {
        Some((stage, index)) => number(stage)
            .zip(number(index))
            .map(|(s, i)| Block::in_stage(s, i)),
        None => number(text).map(Block::at),
    };
    block.ok_or_else(|| {
        Error::argument("first_block", text, "a number, 7, or stage and block, 2.14")
    })
}

/// A bar where a person looks, plain lines in a log.
enum Told {
    Bar(ProgressBar),
    Lines(Option<Instant>),
}

impl Told {
    fn new() -> Self {
        match std::io::stderr().is_terminal() {
            true => Self::Bar(ProgressBar::no_length()),
            false => Self::Lines(None),
        }
    }

    fn tell(&mut self, at: &RunProgress) {
        match self {
            Self::Bar(bar) => {
                let style =
                    ProgressStyle::with_template("{bar:30} {pos}/{len} images, {msg}, {eta} to go");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.set_length(at.images as u64);
                bar.set_position(at.done as u64);
                bar.set_message(format!("{:.1} images/s", at.rate()));
            }
            Self::Lines(last) => {
                let due = last.is_none_or(|last| last.elapsed() >= PAUSE);
                if due || at.done == at.images {
                    eprintln!("{at}");
                    *last = Some(Instant::now());
                }
            }
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish();
        }
    }
}
