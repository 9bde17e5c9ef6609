//! Multinomial logistic regression on frozen representations: the linear probe.
//!
//! The loss, mean cross-entropy + l2 / 2 |W|^2, is convex; L-BFGS (Nocedal and Wright, algorithm 7.5) in f64
//! finds its one minimum, without a learning rate, a shuffle or a seed.

use std::collections::VecDeque;

use candle_core::{D, DType, Device, Tensor};

use super::accuracy::within;
use super::{LinearHead, enough};
use crate::check;
use crate::identity::Vectors;
use crate::{Error, Result};

/// Settings of [`fit_probe`].
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// Factor of the penalty on the squared weights, on channels brought to unit deviation; the bias is free.
    pub l2: f64,
    /// At most so many L-BFGS iterations.
    pub iterations: usize,
    /// Ends when no entry of the gradient is larger.
    pub tolerance: f64,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self {
            l2: 1e-3,
            iterations: 500,
            tolerance: 1e-6,
        }
    }
}

/// How a probe was fitted.
#[derive(Clone, PartialEq)]
pub struct ProbeReport {
    /// Mean cross-entropy plus penalty at the end.
    pub loss: f64,
    /// L-BFGS iterations done.
    pub iterations: usize,
    /// Whether the gradient had come below the tolerance.
    pub converged: bool,
    /// Accuracy on the images it was fitted on.
    pub train_accuracy: f64,
    /// Classes that no image had: the probe never predicts them but by accident.
    pub unseen: Vec<usize>,
}

/// Fits a head for `representations` (B x d) and `labels` below `classes`. Channels are centred and brought to
/// unit deviation for the fit, and the head returned takes representations as they are. A fit that ends before it has
/// converged is said on standard error, and in the report. Fitted on embeddings that know their model, it reads those of
/// that model only.
///
/// # Errors
/// Lengths that differ, fewer than two classes, a label outside them, labels all alike, representations all alike, NaN
/// or infinity, settings outside their range.
pub fn fit_probe<E: Vectors + ?Sized>(
    representations: &E,
    labels: &[usize],
    classes: usize,
    options: &ProbeOptions,
) -> Result<(LinearHead, ProbeReport)> {
    let (head, report) = fit(representations.vectors(), labels, classes, options)?;
    Ok((head.reading(representations.model().cloned()), report))
}

fn fit(
    representations: &Tensor,
    labels: &[usize],
    classes: usize,
    options: &ProbeOptions,
) -> Result<(LinearHead, ProbeReport)> {
    check_input(representations, labels, classes, options)?;
    let device = representations.device();
    let x = representations
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?;
    let (x, mean, deviation) = standardised(&x)?;
    let problem = Problem::new(x, labels, classes, options.l2)?;
    let (solution, loss, iterations, converged) = minimise(&problem, options)?;
    if !converged {
        eprintln!(
            "the probe is not at its optimum after {iterations} iterations; raise ProbeOptions.iterations, or l2"
        );
    }

    let (weight, bias) = problem.split(&solution)?;
    let weight = weight.broadcast_div(&deviation)?;
    let bias = (bias - weight.matmul(&mean.t()?)?.squeeze(1)?)?;
    let head = LinearHead::new(
        weight.to_dtype(DType::F32)?.to_device(device)?,
        bias.to_dtype(DType::F32)?.to_device(device)?,
    )?;
    let train_accuracy = head.evaluate(representations, labels)?.share();
    let unseen = (0..classes).filter(|c| !labels.contains(c)).collect();
    let report = ProbeReport {
        loss,
        iterations,
        converged,
        train_accuracy,
        unseen,
    };
    Ok((head, report))
}

fn check_input(
    representations: &Tensor,
    labels: &[usize],
    classes: usize,
    options: &ProbeOptions,
) -> Result<()> {
    let (images, _) = check::matrix("representations", representations)?;
    check::same("labels", labels.len(), images, "images")?;
    check::finite("representations", representations)?;
    if classes < 2 {
        return Err(Error::argument("classes", classes, "two or more"));
    }
    within("labels", labels, classes)?;
    if labels.iter().all(|l| *l == labels[0]) {
        return Err(Error::data(
            "for the probe",
            format!(
                "every image has label {}; there is nothing to tell apart",
                labels[0]
            ),
        ));
    }
    if !(options.l2.is_finite() && options.l2 > 0.0) {
        return Err(Error::argument(
            "l2",
            options.l2,
            "a positive number, such as 1e-3; without a penalty separable classes have no best head",
        ));
    }
    if options.iterations == 0 {
        return Err(Error::argument("iterations", 0, "at least 1"));
    }
    if !(options.tolerance.is_finite() && options.tolerance >= 0.0) {
        return Err(Error::argument(
            "tolerance",
            options.tolerance,
            "0 or a small positive number, such as 1e-6",
        ));
    }
    Ok(())
}

/// Channels less their mean over their deviation, and both (1 x d); a constant channel keeps deviation 1.
fn standardised(x: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
    let mean = x.mean_keepdim(0)?;
    let centred = x.broadcast_sub(&mean)?;
    let deviation = centred.sqr()?.mean_keepdim(0)?.sqrt()?;
    let varies = deviation.gt(&(mean.abs()? * 1e-6)?)?;
    if varies.max_all()?.to_scalar::<u8>()? == 0 {
        return Err(enough::constant(
            "representations",
            format!("{} images", x.dim(0)?),
            "no channel varies over them, so there is nothing to tell classes by",
        ));
    }
    let deviation = varies.where_cond(&deviation, &deviation.ones_like()?)?;
    Ok((centred.broadcast_div(&deviation)?, mean, deviation))
}

struct Problem {
    /// B x d
    x: Tensor,
    /// B x C, one-hot
    y: Tensor,
    l2: f64,
}

impl Problem {
    fn new(x: Tensor, labels: &[usize], classes: usize, l2: f64) -> Result<Self> {
        let mut y = vec![0.0; labels.len() * classes];
        labels
            .iter()
            .enumerate()
            .for_each(|(i, l)| y[i * classes + l] = 1.0);
        let y = Tensor::from_vec(y, (labels.len(), classes), &Device::Cpu)?;
        Ok(Self { x, y, l2 })
    }

    fn shape(&self) -> Result<(usize, usize)> {
        Ok((self.y.dim(1)?, self.x.dim(1)?))
    }

    /// Weights (C x d) and bias (C) of a point.
    fn split(&self, point: &[f64]) -> Result<(Tensor, Tensor)> {
        let (c, d) = self.shape()?;
        let (w, b) = point.split_at(c * d);
        Ok((
            Tensor::from_slice(w, (c, d), &Device::Cpu)?,
            Tensor::from_slice(b, c, &Device::Cpu)?,
        ))
    }

    /// Loss and gradient at a point.
    fn at(&self, point: &[f64]) -> Result<(f64, Vec<f64>)> {
        let (w, b) = self.split(point)?;
        let images = self.x.dim(0)? as f64;
        let logits = self.x.matmul(&w.t()?)?.broadcast_add(&b)?;
        let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?;
        let sums = shifted.exp()?.sum_keepdim(D::Minus1)?;
        let log_p = shifted.broadcast_sub(&sums.log()?)?;
        let entropy = (&log_p * &self.y)?.sum_all()?.to_scalar::<f64>()? / -images;
        let penalty = w.sqr()?.sum_all()?.to_scalar::<f64>()? * self.l2 / 2.0;
        let error = ((log_p.exp()? - &self.y)? / images)?;
        let grad_w = (error.t()?.matmul(&self.x)? + (w * self.l2)?)?;
        let mut grad = grad_w.flatten_all()?.to_vec1::<f64>()?;
        grad.extend(error.sum(0)?.to_vec1::<f64>()?);
        Ok((entropy + penalty, grad))
    }
}

/// Pairs of step and gradient change remembered.
const MEMORY: usize = 10;
/// Share of the decrease that the slope promises which a step must bring (Armijo).
const DECREASE: f64 = 1e-4;
/// Share of the slope that may be left after a step (weak Wolfe condition).
const CURVATURE: f64 = 0.9;

/// The minimum, its loss, the iterations taken and whether it converged.
fn minimise(problem: &Problem, options: &ProbeOptions) -> Result<(Vec<f64>, f64, usize, bool)> {
    let (c, d) = problem.shape()?;
    let mut point = vec![0.0; c * d + c];
    let (mut loss, mut grad) = problem.at(&point)?;
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>)> = VecDeque::new();
    for iteration in 0..options.iterations {
        if grad.iter().all(|g| g.abs() <= options.tolerance) {
            return Ok((point, loss, iteration, true));
        }
        let mut direction = descent(&grad, &memory);
        if dot(&direction, &grad) >= 0.0 {
            memory.clear();
            direction = grad.iter().map(|g| -g).collect();
        }
        let Some((next, next_loss, next_grad)) =
            line_search(problem, &point, loss, &grad, &direction)?
        else {
            // No step lowers the loss any more: as good as f64 gets.
            return Ok((point, loss, iteration, true));
        };
        let step = minus(&next, &point);
        let change = minus(&next_grad, &grad);
        if dot(&step, &change) > 0.0 {
            memory.push_back((step, change));
            if memory.len() > MEMORY {
                memory.pop_front();
            }
        }
        (point, loss, grad) = (next, next_loss, next_grad);
    }
    let converged = grad.iter().all(|g| g.abs() <= options.tolerance);
    Ok((point, loss, options.iterations, converged))
}

/// The L-BFGS direction: two loops over the memory.
fn descent(grad: &[f64], memory: &VecDeque<(Vec<f64>, Vec<f64>)>) -> Vec<f64> {
    let mut q: Vec<f64> = grad.iter().map(|g| -g).collect();
    let mut along = Vec::with_capacity(memory.len());
    for (step, change) in memory.iter().rev() {
        let a = dot(step, &q) / dot(step, change);
        add(&mut q, -a, change);
        along.push(a);
    }
    if let Some((step, change)) = memory.back() {
        let scale = dot(step, change) / dot(change, change);
        q.iter_mut().for_each(|v| *v *= scale);
    }
    for ((step, change), a) in memory.iter().zip(along.into_iter().rev()) {
        let b = dot(change, &q) / dot(step, change);
        add(&mut q, a - b, step);
    }
    q
}

type Reached = (Vec<f64>, f64, Vec<f64>);

/// A step along `direction` that satisfies the weak Wolfe conditions, by bisection; none if nothing lowers the loss.
fn line_search(
    problem: &Problem,
    point: &[f64],
    loss: f64,
    grad: &[f64],
    direction: &[f64],
) -> Result<Option<Reached>> {
    let slope = dot(direction, grad);
    let (mut low, mut high, mut length) = (0.0, f64::INFINITY, 1.0);
    let mut best: Option<Reached> = None;
    for _ in 0..40 {
        let mut next = point.to_vec();
        add(&mut next, length, direction);
        let (next_loss, next_grad) = problem.at(&next)?;
        if next_loss.is_nan() || next_loss > loss + DECREASE * length * slope {
            high = length;
        } else {
            let flat = dot(direction, &next_grad) >= CURVATURE * slope;
            low = length;
            best = Some((next, next_loss, next_grad));
            if flat {
                break;
            }
        }
        length = match high.is_finite() {
            true => (low + high) / 2.0,
            false => 2.0 * length,
        };
    }
    Ok(best.filter(|b| b.1 < loss))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(t, w)| *t += factor * w);
}
