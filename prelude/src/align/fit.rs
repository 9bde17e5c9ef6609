//! The loop of a fit: split, shuffled batches, held-out cosine, early stop, checkpoints.

use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::{DType, Tensor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::checkpoint::Checkpoint;
use super::options::{FitOptions, FitReport, Progress, Start};
use super::pool::{Drawn, Pool};
use super::state::{Record, State};
use super::trainer::{self, Trainer};
use super::{Aligner, check, isometry, start};
use crate::{Error, Result};

/// A smaller gain of the held-out cosine does not count.
const GAIN: f32 = 1e-4;
/// Images of one held-out product.
const CHUNK: usize = 128;
/// A checkpoint is as large as four aligners: not after every evaluation of a small one.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

pub(super) fn fit(
    contributions: Drawn,
    targets: &Tensor,
    options: &FitOptions,
    what: &str,
    cache: Option<&Path>,
) -> Result<(Aligner, FitReport)> {
    let began = Instant::now();
    options.check()?;
    let checkpoint = Checkpoint::new(options.checkpoint.as_deref(), cache);
    let mut run = Run::new(contributions, targets, options, what, checkpoint)?;
    let resumed_at = run.resume()?;
    run.train()?;
    let (weights, bias) = run.state.best.clone();
    let record = run.state.record;
    let report = FitReport {
        held_out_cosine: record.best_cosine,
        baseline_cosine: run.data.baseline()?,
        train_cosine: record.train_cosine,
        orthogonality: isometry::term(run.state.trainer.weights())?,
        probes: run.state.trainer.probes.map(|probes| probes.count),
        train_images: run.data.train.len(),
        held_out_images: run.data.held_out.len(),
        steps: record.step,
        stopped_early: record.stopped_early,
        resumed_at,
        history: record.history,
        time: began.elapsed(),
        time_per_step: run.stepping / run.steps.max(1),
    };
    Ok((Aligner::from_maps(weights, bias)?, report))
}

/// Images and their split.
struct Data<'a> {
    contributions: Pool<'a>,
    targets: Tensor,
    /// The sum over components, B x d.
    sums: Tensor,
    /// Of all values, so that a checkpoint is not continued on other images; empty where there is none.
    hash: String,
    train: Vec<u32>,
    held_out: Vec<u32>,
}

impl<'a> Data<'a> {
    fn new(
        contributions: Drawn<'a>,
        targets: &Tensor,
        options: &FitOptions,
        hashed: bool,
    ) -> Result<Self> {
        let contributions = Pool::new(contributions)?;
        let (_, images, _) = contributions.extent()?;
        let (rows, _) = check::matrix("targets", targets)?;
        check::same("targets", rows, images, "images")?;
        check::finite("targets", targets)?;
        let targets = check::f32(targets)?.to_device(contributions.device())?;
        let mut hasher = blake3::Hasher::new();
        let sums = contributions.sums(hashed.then_some(&mut hasher))?;
        if images < 2 {
            return Err(Error::data(
                "for the aligner",
                "one image cannot be split; give at least two, better thousands",
            ));
        }
        let hash = match hashed {
            true => {
                let values = targets.flatten_all()?.to_vec1::<f32>()?;
                hasher.update(bytemuck::cast_slice(&values));
                hasher.finalize().to_hex()[..16].to_owned()
            }
            false => String::new(),
        };
        let mut train: Vec<u32> = (0..images as u32).collect();
        train.shuffle(&mut rng(options.seed, 0));
        let held = (images as f64 * options.held_out).round() as usize;
        let held_out = train.split_off(images - held.clamp(1, images - 1));
        let held_out = contributions.sorted(&held_out);
        Ok(Self {
            contributions,
            targets,
            sums,
            hash,
            train,
            held_out,
        })
    }

    fn rows(&self, rows: &[u32]) -> Result<(Tensor, Tensor)> {
        let c = self.contributions.rows(rows)?;
        let rows = Tensor::new(rows, self.targets.device())?;
        Ok((c, self.targets.index_select(&rows, 0)?))
    }

    /// Mean cosine over the held-out images.
    fn held_out_cosine(&self, trainer: &Trainer) -> Result<f32> {
        let mut total = 0.0;
        for rows in self.held_out.chunks(CHUNK) {
            let (c, y) = self.rows(rows)?;
            let c = trainer::side_by_side(&c)?;
            let z = trainer::forward(&c, trainer.weights(), trainer.bias())?;
            total += f64::from(trainer::mean_cosine(&z, &y)?) * rows.len() as f64;
        }
        Ok((total / self.held_out.len() as f64) as f32)
    }

    /// Mean held-out cosine of the mean training target.
    fn baseline(&self) -> Result<f32> {
        let units = |rows: &[u32]| -> Result<Tensor> {
            let rows = Tensor::new(rows, self.targets.device())?;
            Ok(trainer::unit(&self.targets.index_select(&rows, 0)?)?.0)
        };
        let width = self.targets.dim(1)?;
        let mut sum = Tensor::zeros((1, width), DType::F32, self.targets.device())?;
        for rows in self.train.chunks(CHUNK) {
            sum = (sum + units(rows)?.sum_keepdim(0)?)?;
        }
        let (mean, _) = trainer::unit(&sum)?;
        let mut total = 0.0;
        for rows in self.held_out.chunks(CHUNK) {
            let cosines = units(rows)?.matmul(&mean.t()?)?;
            total += f64::from(cosines.sum_all()?.to_scalar::<f32>()?);
        }
        Ok((total / self.held_out.len() as f64) as f32)
    }
}

/// A generator for one purpose: stream 0 splits, 1 starts, 2 + e shuffles epoch e. So a resumed run shuffles
/// as the uninterrupted one does.
fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

struct Run<'a> {
    data: Data<'a>,
    options: &'a FitOptions<'a>,
    state: State,
    per_epoch: usize,
    /// The order of an epoch's images, kept from step to step.
    order: (usize, Vec<u32>),
    checkpoint: Option<Checkpoint>,
    written: Instant,
    /// Time of the steps of this call, and their number.
    stepping: Duration,
    steps: u32,
}

impl<'a> Run<'a> {
    fn new(
        contributions: Drawn<'a>,
        targets: &Tensor,
        options: &'a FitOptions<'a>,
        what: &str,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Self> {
        let data = Data::new(contributions, targets, options, checkpoint.is_some())?;
        let (weights, bias) = starting_point(&data, options)?;
        let mut trainer = Trainer::new(
            &weights,
            &bias,
            options.learning_rate,
            options.weight_decay,
            options.orthogonality,
        )?;
        let (_, d, width) = weights.dims3()?;
        let batch = options.batch.min(data.train.len());
        if let Some(count) = options.isometry.probes(d, width, batch) {
            trainer = trainer.with_probes(count, options.seed);
        }
        let fingerprint = match checkpoint {
            Some(_) => format!("{} data={}", options.fingerprint(), data.hash),
            None => String::new(),
        };
        let cosine = data.held_out_cosine(&trainer)?;
        let state = State {
            best: (weights, bias),
            trainer,
            record: Record {
                what: what.to_owned(),
                fingerprint,
                step: 0,
                best_cosine: cosine,
                stale: 0,
                stopped_early: false,
                lowest_loss: f32::MAX,
                since_lowest: 0,
                history: vec![(0, cosine)],
                period: (0.0, 0),
                train_cosine: 0.0,
            },
        };
        Ok(Self {
            per_epoch: data.train.len().div_ceil(options.batch),
            order: (usize::MAX, Vec::new()),
            checkpoint,
            written: Instant::now(),
            stepping: Duration::ZERO,
            steps: 0,
            data,
            options,
            state,
        })
    }

    /// Goes on from the checkpoint, where there is one; its step.
    fn resume(&mut self) -> Result<Option<usize>> {
        let device = self.data.contributions.device();
        let resumed = match &mut self.checkpoint {
            Some(checkpoint) => checkpoint.resume(&mut self.state, device)?,
            None => false,
        };
        Ok(resumed.then_some(self.state.record.step))
    }

    fn train(&mut self) -> Result<()> {
        let steps = self.per_epoch * self.options.epochs;
        let every = self.per_epoch.div_ceil(self.options.evaluations);
        let begun_at = self.state.record.step;
        while self.state.record.step < steps && !self.state.record.stopped_early {
            if self.options.stop.is_some_and(|stop| stop()) {
                return Err(self.interrupted(steps));
            }
            let loss = self.step()?;
            let step = self.state.record.step;
            if step.is_multiple_of(every) || step == steps || self.state.record.stopped_early {
                self.evaluate()?;
            }
            if let Some(tell) = self.options.progress {
                tell(&Progress {
                    step,
                    steps,
                    cosine: loss.cosine,
                    orthogonality: loss.orthogonality,
                    held_out: self.state.record.history.last().map_or(f32::NAN, |h| h.1),
                });
            }
        }
        // A cache keeps the finished aligner in place of the state that led there.
        let wanted = self.checkpoint.as_ref().is_some_and(Checkpoint::is_named);
        if wanted && self.state.record.step > begun_at {
            self.write()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<trainer::Loss> {
        let began = Instant::now();
        let step = self.state.record.step;
        let (epoch, position) = (step / self.per_epoch, step % self.per_epoch);
        if self.order.0 != epoch {
            let rng = rng(self.options.seed, 2 + epoch as u64);
            self.order = (epoch, self.data.contributions.order(&self.data.train, rng));
        }
        let first = position * self.options.batch;
        let last = self.order.1.len().min(first + self.options.batch);
        let (c, y) = self.data.rows(&self.order.1[first..last])?;
        let loss = self.state.trainer.step(&c, &y)?;
        if !(loss.cosine.is_finite() && loss.orthogonality.is_finite()) {
            return Err(Error::argument(
                "learning_rate",
                self.options.learning_rate,
                format!("smaller: the loss is no longer finite at step {}", step + 1),
            ));
        }
        let record = &mut self.state.record;
        record.step += 1;
        record.period.0 += loss.cosine;
        record.period.1 += 1;
        let total = 1.0 - loss.cosine + self.options.orthogonality as f32 * loss.orthogonality;
        record.since_lowest = match total < record.lowest_loss {
            true => 0,
            false => record.since_lowest + 1,
        };
        record.lowest_loss = record.lowest_loss.min(total);
        let patience = self.options.loss_patience;
        record.stopped_early = patience.is_some_and(|patience| record.since_lowest >= patience);
        self.stepping += began.elapsed();
        self.steps += 1;
        Ok(loss)
    }

    fn evaluate(&mut self) -> Result<()> {
        let cosine = self.data.held_out_cosine(&self.state.trainer)?;
        let record = &mut self.state.record;
        record.history.push((record.step, cosine));
        record.train_cosine = record.period.0 / record.period.1.max(1) as f32;
        record.period = (0.0, 0);
        let gained = cosine > record.best_cosine + GAIN;
        if cosine > record.best_cosine {
            record.best_cosine = cosine;
            let trainer = &self.state.trainer;
            // Computed anew: the trainer goes on in place, and a copy would be of the moments too.
            self.state.best = (
                trainer.weights().affine(1.0, 0.0)?,
                trainer.bias().affine(1.0, 0.0)?,
            );
        }
        record.stale = if gained { 0 } else { record.stale + 1 };
        record.stopped_early |= record.stale >= self.options.patience;
        if self.written.elapsed() > CHECKPOINT_EVERY {
            self.write()?;
        }
        Ok(())
    }

    /// Writes the checkpoint, where there is one.
    fn write(&mut self) -> Result<()> {
        if let Some(checkpoint) = &mut self.checkpoint {
            checkpoint.write(&self.state)?;
            self.written = Instant::now();
        }
        Ok(())
    }

    /// The error of a stop, after what is done has been kept.
    fn interrupted(&mut self, steps: usize) -> Error {
        if let Err(e) = self.write() {
            return e;
        }
        let step = self.state.record.step;
        let kept = match self.checkpoint.as_ref().and_then(Checkpoint::written) {
            Some(path) => format!("{step} of {steps} steps are in {}", path.display()),
            None => "nothing is kept, because there is no checkpoint file".to_owned(),
        };
        Error::Interrupted {
            what: "fitting the aligner".to_owned(),
            kept,
        }
    }
}

/// The first weights (n x d x D), one map for all components, and bias.
fn starting_point(data: &Data, options: &FitOptions) -> Result<(Tensor, Tensor)> {
    let (n, _, d) = data.contributions.extent()?;
    let width = data.targets.dim(1)?;
    let device = data.contributions.device();
    let (map, bias) = match options.start {
        Start::Procrustes => start::procrustes(&data.sums, &data.targets, &data.train)?,
        Start::Random => {
            let bias = Tensor::zeros(width, DType::F32, device)?;
            (start::random(d, width, rng(options.seed, 1), device)?, bias)
        }
    };
    let weights = map.unsqueeze(0)?.broadcast_as((n, d, width))?;
    Ok((weights.contiguous()?, bias))
}
