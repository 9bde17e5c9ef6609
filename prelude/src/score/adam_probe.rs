//! The linear probe as the paper's code fits it (`zs_spur_correlation.py`): one linear layer with bias, Adam at a learning
//! rate of 1e-3 with an L2 penalty of 1e-6 (`torch.optim.Adam`'s `weight_decay`), 10 epochs of batches of 64 **in the
//! order given, without shuffling**.
//!
//! [`fit_probe`](super::fit_probe) is the project's own: at the minimum of a convex loss, where this one stops wherever
//! ten epochs bring it, so that its accuracies depend on the start and on the order of the images.

use candle_core::{DType, Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::LinearHead;
use super::accuracy::within;
use crate::check;
use crate::identity::Vectors;
use crate::{Error, Result};

/// Settings of [`fit_adam_probe`]; the defaults are the paper's.
#[derive(Debug, Clone)]
pub struct AdamProbeOptions {
    pub learning_rate: f64,
    /// Factor of the L2 penalty that is added to the gradient, of weights and bias alike.
    pub weight_decay: f64,
    pub epochs: usize,
    /// Images a step; the last batch of an epoch may be smaller.
    pub batch: usize,
    /// Seed of the start, uniform within 1 / sqrt(d) as `torch.nn.Linear` starts (by another generator).
    pub seed: u64,
    /// A head to start from in place of the random one.
    pub start: Option<LinearHead>,
}

impl Default for AdamProbeOptions {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            weight_decay: 1e-6,
            epochs: 10,
            batch: 64,
            seed: 0,
            start: None,
        }
    }
}

/// How the fit went.
#[derive(Clone, PartialEq)]
pub struct AdamProbeReport {
    /// Mean cross-entropy of each epoch, each batch's taken before its step.
    pub losses: Vec<f64>,
    /// Accuracy on the images it was fitted on, at the end.
    pub train_accuracy: f64,
}

/// Fits a head for `representations` (B x d) and `labels` below `classes` as the paper does. Images sorted by class give a
/// head that leans towards the last of them: shuffle such a set first ([`DataSet::shuffled`](crate::data::DataSet)).
///
/// # Errors
/// Lengths that differ, fewer than two classes, a label outside them, labels all alike, NaN or infinity, settings outside
/// their range, a start of another shape.
pub fn fit_adam_probe<E: Vectors + ?Sized>(
    representations: &E,
    labels: &[usize],
    classes: usize,
    options: &AdamProbeOptions,
) -> Result<(LinearHead, AdamProbeReport)> {
    let vectors = representations.vectors();
    let (images, width) = check::matrix("representations", vectors)?;
    check::same("labels", labels.len(), images, "images")?;
    check::finite("representations", vectors)?;
    check_options(labels, classes, options)?;
    let x = vectors.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let x = x.flatten_all()?.to_vec1::<f64>()?;
    let mut head = Head::start(classes, width, options)?;
    let mut losses = Vec::with_capacity(options.epochs);
    let rows: Vec<(&[f64], usize)> = x.chunks_exact(width).zip(labels.iter().copied()).collect();
    for _ in 0..options.epochs {
        let batches = rows.chunks(options.batch);
        let sum: f64 = batches.map(|batch| head.step(batch, options)).sum();
        losses.push(sum / images as f64);
    }
    let device = vectors.device();
    let fitted = head.finished(device)?;
    let report = AdamProbeReport {
        losses,
        train_accuracy: fitted.evaluate(vectors, labels)?.share(),
    };
    Ok((fitted.reading(representations.model().cloned()), report))
}

fn check_options(labels: &[usize], classes: usize, options: &AdamProbeOptions) -> Result<()> {
    if classes < 2 {
        return Err(Error::argument("classes", classes, "two or more"));
    }
    within("labels", labels, classes)?;
    if labels.iter().all(|l| *l == labels[0]) {
        let reason = format!(
            "every image has label {}; there is nothing to tell apart",
            labels[0]
        );
        return Err(Error::data("for the probe", reason));
    }
    let rate = options.learning_rate;
    if !(rate.is_finite() && rate > 0.0) {
        let expected = "a positive number, such as 1e-3";
        return Err(Error::argument("learning_rate", rate, expected));
    }
    let decay = options.weight_decay;
    if !(decay.is_finite() && decay >= 0.0) {
        let expected = "0 or a small positive number, such as 1e-6";
        return Err(Error::argument("weight_decay", decay, expected));
    }
    for (name, value) in [("epochs", options.epochs), ("batch", options.batch)] {
        if value == 0 {
            return Err(Error::argument(name, 0, "at least 1"));
        }
    }
    Ok(())
}

const BETAS: (f64, f64) = (0.9, 0.999);
const EPS: f64 = 1e-8;

/// The head while it is fitted.
struct Head {
    width: usize,
    /// C rows of d weights and a bias.
    values: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    steps: i32,
}

impl Head {
    fn start(classes: usize, width: usize, options: &AdamProbeOptions) -> Result<Self> {
        let count = classes * (width + 1);
        let values = match &options.start {
            Some(head) => {
                check::same("start", head.classes(), classes, "classes")?;
                check::same("start", head.width(), width, "channels")?;
                let bias = head.bias().unsqueeze(1)?;
                let rows = Tensor::cat(&[head.weight(), &bias], 1)?.to_dtype(DType::F64)?;
                rows.flatten_all()?.to_vec1::<f64>()?
            }
            None => {
                let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
                let bound = 1.0 / (width as f64).sqrt();
                (0..count)
                    .map(|_| rng.random_range(-bound..bound))
                    .collect()
            }
        };
        Ok(Self {
            width,
            values,
            first: vec![0.0; count],
            second: vec![0.0; count],
            steps: 0,
        })
    }

    /// One step against the mean cross-entropy of `batch`; the sum of its cross-entropies before the step.
    fn step(&mut self, batch: &[(&[f64], usize)], options: &AdamProbeOptions) -> f64 {
        let decay = options.weight_decay;
        let mut gradient: Vec<f64> = self.values.iter().map(|v| decay * v).collect();
        let mut loss = 0.0;
        for (x, label) in batch {
            let mut p: Vec<f64> = self
                .values
                .chunks_exact(self.width + 1)
                .map(|row| row[self.width] + row.iter().zip(*x).map(|(w, x)| w * x).sum::<f64>())
                .collect();
            let high = p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let right = p[*label] - high;
            p.iter_mut().for_each(|v| *v = (*v - high).exp());
            let sum: f64 = p.iter().sum();
            loss += sum.ln() - right;
            p.iter_mut().for_each(|v| *v /= sum);
            p[*label] -= 1.0;
            for (row, p) in gradient.chunks_exact_mut(self.width + 1).zip(&p) {
                let error = p / batch.len() as f64;
                let (weights, bias) = row.split_at_mut(self.width);
                weights
                    .iter_mut()
                    .zip(*x)
                    .for_each(|(g, x)| *g += error * x);
                bias[0] += error;
            }
        }
        self.steps += 1;
        let (b1, b2) = BETAS;
        let first = 1.0 - b1.powi(self.steps);
        let second = (1.0 - b2.powi(self.steps)).sqrt();
        for (i, g) in gradient.into_iter().enumerate() {
            self.first[i] = b1 * self.first[i] + (1.0 - b1) * g;
            self.second[i] = b2 * self.second[i] + (1.0 - b2) * g * g;
            let root = self.second[i].sqrt() / second + EPS;
            self.values[i] -= options.learning_rate / first * self.first[i] / root;
        }
        loss
    }

    fn finished(self, device: &Device) -> Result<LinearHead> {
        let classes = self.values.len() / (self.width + 1);
        let rows = Tensor::from_vec(self.values, (classes, self.width + 1), &Device::Cpu)?;
        let rows = rows.to_dtype(DType::F32)?.to_device(device)?;
        let weight = rows.narrow(1, 0, self.width)?.contiguous()?;
        let bias = rows.narrow(1, self.width, 1)?.flatten_all()?;
        LinearHead::new(weight, bias)
    }
}
