//! The loop: batches drawn ahead on a thread, gradients in parallel, steps, reports, checkpoints.

use super::checkpoint::{self, Saved};
use super::optimizer::{Gradients, Optimizer};
use super::{Budget, Recipe, Task, schedule};
use crate::models::weights::Parameters;
use crate::trace::BatchStatistics;
use crate::{Error, Result};
use candle_core::Tensor;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Gradients longer than this are shortened to it.
const CLIP: f64 = 1.;

/// Weight of a batch in the running statistics of batch norms.
const STATISTICS_MOMENTUM: f64 = 0.1;

/// How a run is carried out: nothing here changes what is learned, but for the order of sums.
#[derive(Debug)]
pub struct Trainer {
    /// Parts a batch is split into, each on a thread of its own.
    pub threads: usize,
    /// Where the run is saved on the way.
    pub checkpoint: PathBuf,
    /// Between two saves.
    pub save_every: Duration,
    /// Between two progress lines.
    pub report_every: Duration,
    /// Between two looks at held-out images, in progress lines.
    pub evaluate_every: usize,
    /// Held-out images of such a look.
    pub glance: usize,
}

/// What a run came to.
#[derive(Debug, Clone, Copy)]
pub struct Trained {
    pub steps: usize,
    /// Of training, resumed parts included.
    pub seconds: f64,
}

/// Threads that each do a part of a step. A part runs in a rayon pool of one: on matrices this small,
/// handing pieces of every operation to other threads costs more than it saves.
struct Workers(Vec<ThreadPool>);

impl Workers {
    fn new(count: usize) -> Result<Self> {
        Ok(Self(
            (0..count.max(1))
                .map(|_| Self::one())
                .collect::<Result<_>>()?,
        ))
    }

    fn one() -> Result<ThreadPool> {
        let pool = ThreadPoolBuilder::new().num_threads(1).build();
        pool.map_err(|error| {
            Error::argument(
                "threads",
                1,
                format!("a thread; the system gives none ({error})"),
            )
        })
    }

    /// `work` on each of `parts`, in parallel, the results in order.
    fn map<P: Sync, R: Send>(
        &self,
        parts: &[P],
        work: impl Fn(&P) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let work = &work;
        thread::scope(|scope| {
            let started: Vec<_> = parts
                .iter()
                .zip(self.0.iter().cycle())
                .map(|(part, pool)| scope.spawn(move || pool.install(|| work(part))))
                .collect();
            started
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        })
    }
}

/// One thread's part of a step.
struct Share {
    gradients: Gradients,
    parts: Vec<(&'static str, f32)>,
    statistics: Vec<BatchStatistics>,
}

impl Trainer {
    /// Trains `task` as `recipe` says, from its checkpoint if there is one, saying how it goes by `report`.
    pub fn run<T: Task>(
        &self,
        task: &T,
        recipe: &Recipe,
        mut report: impl FnMut(&str),
    ) -> Result<Trained> {
        let identity = serde_json::to_string(recipe)
            .map_err(|error| Error::argument("recipe", &recipe.name, error.to_string()))?;
        let mut optimizer = Optimizer::new(task.parameters().variables());
        let mut done = Trained {
            steps: 0,
            seconds: 0.,
        };
        if let Some(saved) = checkpoint::load(&self.checkpoint, &identity)? {
            report(&format!(
                "{}: going on from step {}",
                recipe.name, saved.step
            ));
            done = Trained {
                steps: saved.step,
                seconds: saved.seconds,
            };
            restore(task, &mut optimizer, saved)?;
        }
        let (sender, batches) = sync_channel(1);
        let first = done.steps;
        let artist = Workers::one()?;
        thread::scope(|scope| {
            scope.spawn(move || {
                // Ends when the receiver is gone.
                let mut steps = first..;
                let draw = |step| artist.install(|| self.draw(task, recipe.batch, step));
                while steps
                    .next()
                    .is_some_and(|step| sender.send(draw(step)).is_ok())
                {}
            });
            self.steps(
                task,
                recipe,
                &identity,
                optimizer,
                done,
                batches,
                &mut report,
            )
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the pieces of one run, used once"
    )]
    fn steps<T: Task>(
        &self,
        task: &T,
        recipe: &Recipe,
        identity: &str,
        mut optimizer: Optimizer,
        mut done: Trained,
        batches: Receiver<Result<Vec<T::Batch>>>,
        report: &mut dyn FnMut(&str),
    ) -> Result<Trained> {
        let workers = Workers::new(self.threads)?;
        let (before, first, start) = (done.seconds, done.steps, Instant::now());
        let (mut saved, mut reported, mut lines) = (Instant::now(), Instant::now(), 0);
        loop {
            let progress = match recipe.budget {
                Budget::Steps(steps) => done.steps as f64 / steps.max(1) as f64,
                Budget::Minutes(minutes) => done.seconds / (60. * minutes),
            };
            if progress >= 1. {
                return Ok(done);
            }
            let Ok(batch) = batches.recv() else {
                return Err(Error::Interrupted {
                    what: format!("training {}", recipe.name),
                    kept: "the checkpoint is kept; run it again to go on".into(),
                });
            };
            let share = gradients(&workers, task, &batch?)?;
            let rate = schedule::rate(recipe.rate, progress);
            let norm = optimizer.step(share.gradients, rate, CLIP)?;
            keep_statistics(task.parameters(), share.statistics)?;
            done.steps += 1;
            done.seconds = before + start.elapsed().as_secs_f64();
            if reported.elapsed() >= self.report_every || done.steps == first + 1 {
                reported = Instant::now();
                lines += 1;
                let speed =
                    ((done.steps - first) * recipe.batch) as f64 / start.elapsed().as_secs_f64();
                let left =
                    start.elapsed().as_secs_f64() * left(progress, done, first, recipe.budget);
                report(&line(
                    &recipe.name,
                    done.steps,
                    progress,
                    &share.parts,
                    norm,
                    speed,
                    left,
                ));
                if lines % self.evaluate_every == 0 {
                    report(&format!(
                        "  held out: {}",
                        percentages(&task.evaluate(self.glance)?)
                    ));
                }
            }
            if saved.elapsed() >= self.save_every {
                saved = Instant::now();
                self.save(task, identity, &optimizer, done)?;
            }
        }
    }

    fn draw<T: Task>(&self, task: &T, batch: usize, step: usize) -> Result<Vec<T::Batch>> {
        let indices: Vec<_> = (step * batch..(step + 1) * batch).collect();
        indices
            .chunks(batch.div_ceil(self.threads.max(1)))
            .map(|part| task.batch(part))
            .collect()
    }

    fn save(
        &self,
        task: &impl Task,
        identity: &str,
        optimizer: &Optimizer,
        done: Trained,
    ) -> Result<()> {
        let run = Saved {
            parameters: tensors(task),
            optimizer: optimizer.state().clone(),
            step: done.steps,
            seconds: done.seconds,
        };
        checkpoint::save(&self.checkpoint, identity, &run)
    }
}

/// The parameters of `task` as tensors.
pub fn tensors(task: &impl Task) -> BTreeMap<String, Tensor> {
    let variables = task.parameters().variables();
    variables
        .into_iter()
        .map(|(name, var)| (name, var.as_tensor().clone()))
        .collect()
}

fn restore(task: &impl Task, optimizer: &mut Optimizer, saved: Saved) -> Result<()> {
    for (name, var) in task.parameters().variables() {
        let missing = || {
            Error::argument(
                "checkpoint",
                &name,
                "a tensor of this name; remove the file to start anew",
            )
        };
        var.set(saved.parameters.get(&name).ok_or_else(missing)?)?;
    }
    optimizer.resume(saved.optimizer, saved.step);
    Ok(())
}

/// The mean over the parts of a batch, each on a thread of its own.
fn gradients<T: Task>(workers: &Workers, task: &T, batch: &[T::Batch]) -> Result<Share> {
    let shares = workers.map(batch, |part| share(task, part))?;
    let weight = 1. / shares.len() as f64;
    let mut mean = Share {
        gradients: Gradients::new(),
        parts: Vec::new(),
        statistics: Vec::new(),
    };
    for share in shares {
        for (name, gradient) in share.gradients {
            let gradient = (gradient * weight)?;
            let sum = match mean.gradients.get(&name) {
                Some(sum) => (sum + gradient)?,
                None => gradient,
            };
            mean.gradients.insert(name, sum);
        }
        mean.statistics = match mean.statistics.is_empty() {
            true => scaled(share.statistics, weight)?,
            false => mean
                .statistics
                .into_iter()
                .zip(scaled(share.statistics, weight)?)
                .map(|(a, b)| {
                    Ok(BatchStatistics {
                        mean: (a.mean + b.mean)?,
                        var: (a.var + b.var)?,
                        ..a
                    })
                })
                .collect::<Result<_>>()?,
        };
        mean.parts.resize(share.parts.len(), ("", 0.));
        for (mean, (name, value)) in mean.parts.iter_mut().zip(share.parts) {
            *mean = (name, mean.1 + value * weight as f32);
        }
    }
    Ok(mean)
}

fn share<T: Task>(task: &T, batch: &T::Batch) -> Result<Share> {
    let loss = task.loss(batch)?;
    let found = loss.total.backward()?;
    let mut gradients = Gradients::new();
    for (name, var) in task.parameters().variables() {
        if let Some(gradient) = found.get(var.as_tensor()) {
            gradients.insert(name, gradient.clone());
        }
    }
    let parts = loss
        .parts
        .into_iter()
        .map(|(name, loss)| Ok((name, loss.to_scalar::<f32>()?)))
        .collect::<Result<_>>()?;
    Ok(Share {
        gradients,
        parts,
        statistics: loss.statistics,
    })
}

fn scaled(statistics: Vec<BatchStatistics>, by: f64) -> Result<Vec<BatchStatistics>> {
    statistics
        .into_iter()
        .map(|seen| {
            Ok(BatchStatistics {
                mean: (seen.mean * by)?,
                var: (seen.var * by)?,
                ..seen
            })
        })
        .collect()
}

/// Move the running statistics of batch norms towards what the last batch had (torch's `momentum`).
fn keep_statistics(parameters: &Parameters, seen: Vec<BatchStatistics>) -> Result<()> {
    if seen.is_empty() {
        return Ok(());
    }
    let variables = parameters.variables();
    for BatchStatistics { norm, mean, var } in seen {
        for (name, value) in [("running_mean", mean), ("running_var", var)] {
            if let Some(running) = variables.get(&format!("{norm}.{name}")) {
                let kept = (running.as_tensor() * (1. - STATISTICS_MOMENTUM))?;
                running.set(&(kept + (value * STATISTICS_MOMENTUM)?)?)?
            }
        }
    }
    Ok(())
}

/// What is left over what this call has spent.
fn left(progress: f64, done: Trained, first: usize, budget: Budget) -> f64 {
    match budget {
        Budget::Steps(steps) => {
            steps.saturating_sub(done.steps) as f64 / (done.steps - first) as f64
        }
        Budget::Minutes(_) => (1. - progress) / progress.max(1e-6),
    }
}

fn line(
    name: &str,
    step: usize,
    progress: f64,
    parts: &[(&str, f32)],
    norm: f64,
    speed: f64,
    left: f64,
) -> String {
    let parts: Vec<_> = parts
        .iter()
        .map(|(name, value)| format!("{name} {value:.3}"))
        .collect();
    format!(
        "{name} step {step} ({:.0} %): {}; gradient {norm:.2}; {speed:.0} images/s, {:.0} min left",
        100. * progress,
        parts.join(", "),
        left / 60.
    )
}

/// "shape 93.2 %, ..."
pub fn percentages(accuracy: &super::Accuracy) -> String {
    let shares: Vec<_> = accuracy
        .iter()
        .map(|(name, share)| format!("{name} {:.1} %", 100. * share))
        .collect();
    shares.join(", ")
}
