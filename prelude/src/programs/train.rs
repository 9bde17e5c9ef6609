//! Trains the models of the embedded zoo on generated images, on the CPU:
//! `cargo run --release --locked -p vitrepl-prelude --bin train -- all`.
//!
//! An interrupted run goes on from its checkpoint when the same command is given again.

use crate::train::trainer::percentages;
use crate::train::{Budget, Card, ClipTask, FactorTask, Family, Recipe, Task, Trainer};
use crate::{Error, Result};
use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Train the embedded zoo on generated images.
#[derive(Parser)]
struct Arguments {
    /// What to train: vit, dinov2, swin, maxvit, clip, or all.
    #[arg(required = true)]
    models: Vec<String>,
    /// Folder of the weights and cards.
    #[arg(long, default_value = "prelude/zoo")]
    out: PathBuf,
    /// Optimiser steps in place of the recipe's.
    #[arg(long, conflicts_with = "minutes")]
    steps: Option<usize>,
    /// Minutes in place of steps.
    #[arg(long)]
    minutes: Option<f64>,
    /// Images a step in place of the recipe's.
    #[arg(long)]
    batch: Option<usize>,
    /// Peak learning rate in place of the recipe's.
    #[arg(long)]
    rate: Option<f64>,
    /// Threads that share a batch.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Folder of checkpoints.
    #[arg(long, default_value = "target/train")]
    checkpoints: PathBuf,
}

/// candle spreads each operation over threads that spin while they wait; on matrices this small the
/// waiting is most of the time. Here parts of a batch are spread instead. The rest keeps glibc from giving
/// every freed tensor back to the system. All are read once, at start.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("CANDLE_NUM_THREADS", "1"),
    ("RAYON_NUM_THREADS", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "4000000000"),
    ("MALLOC_TRIM_THRESHOLD_", "8000000000"),
];

/// The program: its arguments are those of the process.
///
/// # Errors
/// A model that is not of the zoo, or files that cannot be written.
pub fn train() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if std::env::var(ENVIRONMENT[0].0).is_err() {
        return again();
    }
    let named = |name: &String| match name.as_str() {
        "all" => Ok(Recipe::NAMES.map(str::to_string).to_vec()),
        _ => Ok(vec![name.clone()]),
    };
    let names: Vec<_> = arguments
        .models
        .iter()
        .map(named)
        .collect::<Result<Vec<_>>>()?
        .concat();
    let recipes = names
        .iter()
        .map(|name| recipe(name, &arguments))
        .collect::<Result<Vec<_>>>()?;
    for recipe in recipes {
        match &recipe.family {
            Family::Clip(config) => {
                let task = ClipTask::new(
                    config,
                    recipe.seed,
                    &recipe.training_images,
                    &recipe.held_out_images,
                )?;
                fit(&task, &recipe, &arguments)?;
            }
            family => {
                let task = FactorTask::new(
                    family,
                    recipe.seed,
                    &recipe.training_images,
                    &recipe.held_out_images,
                )?;
                fit(&task, &recipe, &arguments)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// This very command, in the environment it needs.
fn again() -> Result<ExitCode> {
    let program =
        std::env::current_exe().map_err(|error| Error::io("finding", "this program", error))?;
    let mut command = Command::new(&program);
    command.args(std::env::args_os().skip(1)).envs(ENVIRONMENT);
    let status = command
        .status()
        .map_err(|error| Error::io("starting", &program, error))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn recipe(name: &str, arguments: &Arguments) -> Result<Recipe> {
    let unknown = || {
        Error::argument(
            "model",
            name,
            format!("one of {}, all", Recipe::NAMES.join(", ")),
        )
    };
    let mut recipe = Recipe::named(name).ok_or_else(unknown)?;
    match (arguments.steps, arguments.minutes) {
        (Some(steps), _) => recipe.budget = Budget::Steps(steps),
        (_, Some(minutes)) => recipe.budget = Budget::Minutes(minutes),
        _ => {}
    }
    recipe.batch = arguments.batch.unwrap_or(recipe.batch);
    recipe.rate = arguments.rate.unwrap_or(recipe.rate);
    Ok(recipe)
}

fn fit(task: &impl Task, recipe: &Recipe, arguments: &Arguments) -> Result<()> {
    let trainer = Trainer {
        threads: arguments.threads,
        checkpoint: arguments
            .checkpoints
            .join(format!("{}.safetensors", recipe.name)),
        save_every: Duration::from_secs(60),
        report_every: Duration::from_secs(10),
        evaluate_every: 6,
        glance: 600,
    };
    let trained = trainer.run(task, recipe, |line| eprintln!("{line}"))?;
    let (card, path) = Card::write(&arguments.out, &command(recipe), recipe, task, trained)?;
    eprintln!(
        "{}: {} parameters, {:.0} s; held out: {}",
        path.display(),
        card.parameters,
        card.seconds,
        percentages(&card.accuracy)
    );
    forget(&trainer.checkpoint)
}

/// The command that makes the model again, wherever it is put.
fn command(recipe: &Recipe) -> String {
    let budget = match recipe.budget {
        Budget::Steps(steps) => format!("--steps {steps}"),
        Budget::Minutes(minutes) => format!("--minutes {minutes}"),
    };
    let model = recipe.name.trim_start_matches("tiny_");
    let Recipe { batch, rate, .. } = recipe;
    format!(
        "cargo run --release --locked -p vitrepl-prelude --bin train -- {model} {budget} --batch {batch} --rate {rate}"
    )
}

/// Removes the checkpoint of a finished run.
fn forget(checkpoint: &Path) -> Result<()> {
    match std::fs::remove_file(checkpoint) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("removing", checkpoint, error))
        }
        _ => Ok(()),
    }
}
