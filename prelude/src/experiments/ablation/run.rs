//! The runs behind the curves.

use super::order::Step;
use super::{AblationCurve, AblationCurves, AblationOrder, AblationStep, RandomOrders};
use crate::decompose::{Contributions, DecomposeOptions, Granularity};
use crate::experiments::classification::{Head, Reader};
use crate::experiments::{ClassificationTask, Classifier};
use crate::models::Model;
use crate::process::{progress::Progress, stop};
use crate::score::ComponentMeans;
use crate::session;
use crate::{Error, Result};
use candle_core::{D, DType, Tensor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// How components are switched off.
#[derive(Clone, Debug)]
pub struct AblationSettings {
    /// Layers ([`Granularity::Layers`], the paper's and the default here) or heads, and who gets the constants.
    pub decompose: DecomposeOptions,
    pub order: AblationOrder,
    /// As many components switched off in random orders stand beside the curve, so many times; 0 for none.
    pub random_orders: usize,
    /// Seed of the random orders.
    pub seed: u64,
}

impl Default for AblationSettings {
    fn default() -> Self {
        Self {
            decompose: DecomposeOptions {
                granularity: Granularity::Layers,
                ..DecomposeOptions::default()
            },
            order: AblationOrder::LastToFirst,
            random_orders: 10,
            seed: 0,
        }
    }
}

impl AblationSettings {
    /// One step a head, MLP or convolution, in place of one a layer.
    pub fn by_head() -> Self {
        Self {
            decompose: DecomposeOptions::default(),
            ..Self::default()
        }
    }

    /// With this order.
    pub fn order(self, order: AblationOrder) -> Self {
        Self { order, ..self }
    }
}

/// Logits that are taken apart at a time, n x B x C of them.
const AT_ONCE: usize = 1 << 25;

/// The accuracy of each of `cases`, a model and what classifies, on the tested images of `task` with none, the first step,
/// the first two steps, ... of the order switched off, and with as many components in random orders.
///
/// # Errors
/// When a classifier cannot be had (the message says how), the order does not fit a model's components, an image cannot be
/// read, or the call was stopped.
pub fn ablation_curves(
    task: &ClassificationTask,
    cases: &[(impl AsRef<Model>, Classifier)],
    settings: &AblationSettings,
) -> Result<AblationCurves> {
    if cases.is_empty() {
        let expected = "a model and a classifier, &[(&vit, Classifier::Probe)], or more";
        return Err(Error::argument("cases", "[]", expected));
    }
    let curves = cases.iter().map(|(model, classifier)| {
        let model = model.as_ref();
        // What cannot be had is said before anything is decomposed.
        let reader = task.reader(model, *classifier)?;
        curve(task, model, *classifier, &reader, settings)
    });
    AblationCurves::new(curves.collect::<Result<_>>()?)
}

fn curve(
    task: &ClassificationTask,
    model: &Model,
    classifier: Classifier,
    reader: &Reader,
    settings: &AblationSettings,
) -> Result<AblationCurve> {
    let contributions = session::decompose(model, task.tested(), &settings.decompose)?;
    let steps = settings.order.steps(&contributions)?;
    let run = Run {
        model,
        contributions: &contributions,
        means: contributions.means()?,
        reader,
        ends: ends(&steps),
    };
    let own: Vec<usize> = steps.iter().flat_map(|s| s.components.clone()).collect();
    let mut orders = vec![own.clone()];
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    for _ in 0..settings.random_orders {
        let mut order = own.clone();
        order.shuffle(&mut rng);
        orders.push(order);
    }
    let correct = run.correct(&orders)?;
    let random = |step: usize| RandomOrders::of(correct[1..].iter().map(|c| c[step]));
    let first = AblationStep {
        name: "none".to_string(),
        components: 0,
        border: true,
        correct: correct[0][0],
        random: random(0),
    };
    let rest = steps.into_iter().zip(run.ends.iter().skip(1)).enumerate();
    let rest = rest.map(|(i, (step, end))| AblationStep {
        name: step.name,
        components: *end,
        border: step.border,
        correct: correct[0][i + 1],
        random: random(i + 1),
    });
    Ok(AblationCurve {
        model: model.name().to_string(),
        classifier,
        column: task.column().to_string(),
        data: task.tested().name().to_string(),
        images: task.tested().len(),
        majority: task.majority(),
        granularity: settings.decompose.granularity,
        components: contributions.len(),
        order: settings.order.words(),
        random_orders: settings.random_orders,
        seed: settings.seed,
        note: reader.note.clone(),
        steps: std::iter::once(first).chain(rest).collect(),
    })
}

/// How many components are off after none and after each of `steps`.
fn ends(steps: &[Step]) -> Vec<usize> {
    let mut ends = vec![0];
    for step in steps {
        ends.push(ends[ends.len() - 1] + step.components.len());
    }
    ends
}

/// One model's contributions with what classifies their sums.
struct Run<'a> {
    model: &'a Model,
    contributions: &'a Contributions,
    means: ComponentMeans,
    reader: &'a Reader,
    /// Numbers of components off that are evaluated.
    ends: Vec<usize>,
}

impl Run<'_> {
    /// For each order the images that are right at each end.
    fn correct(&self, orders: &[Vec<usize>]) -> Result<Vec<Vec<usize>>> {
        let images = self.contributions.images();
        let one = self.contributions.len() * self.reader.classes;
        let chunk = (AT_ONCE / one.max(1)).clamp(1, images);
        let mut correct = vec![vec![0; self.ends.len()]; orders.len()];
        stop::begin();
        let what = format!("ablate {}", self.model.name());
        let mut progress = Progress::new(what.as_str(), images);
        for start in (0..images).step_by(chunk) {
            if stop::requested() {
                let kept = "contributions are kept; call it again to go on from them".to_string();
                return Err(Error::Interrupted { what, kept });
            }
            let end = (start + chunk).min(images);
            let part = self.contributions.select_images(start..end)?;
            let labels = &self.reader.labels[start..end];
            for (order, counts) in orders.iter().zip(&mut correct) {
                let predicted = self.predicted(&part, order)?;
                for (count, predicted) in counts.iter_mut().zip(predicted) {
                    *count += predicted.iter().zip(labels).filter(|(p, l)| p == l).count();
                }
            }
            progress.at(end, "");
        }
        Ok(correct)
    }

    /// The predicted classes of the images of `part` at each end of `order`.
    fn predicted(&self, part: &Contributions, order: &[usize]) -> Result<Vec<Vec<usize>>> {
        let at_ends = match &self.reader.head {
            Head::Linear(head) => {
                let all = part.ablation(&self.means, head)?.predict_prefixes(order)?;
                return Ok(self.ends.iter().map(|end| all[*end].clone()).collect());
            }
            Head::Nonlinear => &self.ends,
        };
        let mut z = part.values().sum(0)?;
        let mut predicted = Vec::with_capacity(at_ends.len());
        let mut off = 0;
        for &end in at_ends {
            for &i in &order[off..end] {
                let away = part.values().get(i)?;
                z = (z - away.broadcast_sub(&self.means.get(i)?)?)?;
            }
            off = end;
            predicted.push(self.by_own_head(&z)?);
        }
        Ok(predicted)
    }

    fn by_own_head(&self, z: &Tensor) -> Result<Vec<usize>> {
        let logits = self.model.encoder().classify_representations(z)?;
        let logits = logits.ok_or_else(|| {
            Error::argument(
                "model",
                self.model.name(),
                "one with a head of its own; take Classifier::Probe",
            )
        })?;
        let best = logits.argmax(D::Minus1)?.to_dtype(DType::U32)?;
        let best: Vec<u32> = best.to_vec1()?;
        Ok(best.into_iter().map(|class| class as usize).collect())
    }
}
