//! Spurious-correlation mitigation (paper section 5.3, there on Waterbirds).
//!
//! A frozen backbone knows shapes and locations. A linear probe for a task about shapes is fitted on images in
//! which shape class and location mostly agree, so it leans on the location and fails where they disagree. The
//! components whose score for the location most exceeds that for the shape are mean-ablated, and the probe, as it
//! is, gets better where it was worst.

use crate::align::{Alignment, FitOptions};
use crate::charts::{GroupedBars, LineChart, Table};
use crate::data::{DataSet, Factor, GeneratedSet, GeneratedSpec};
use crate::decompose::{Contributions, Options};
use crate::identity::{ModelId, TextEmbeddings};
use crate::models::Model;
use crate::score::{
    self, Labelled, LinearHead, MitigateOptions, Mitigation, ProbeOptions, Ranked, Scores,
};
use crate::session;
use crate::{Error, Result};
use candle_core::Tensor;
use std::sync::Arc;

/// The generated version of the experiment.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Share of the probe's images in which class and place agree.
    pub agreement: f64,
    /// Images without bias or labels: the aligner's, the scores', and the ablation's means.
    pub reference: usize,
    /// Images the probe is fitted on.
    pub train: usize,
    /// Images on which k is chosen; class and place are independent.
    pub validation: usize,
    /// Images the accuracies are of; class and place are independent.
    pub test: usize,
    pub seed: u64,
    pub decompose: Options,
    pub align_epochs: usize,
    pub probe: ProbeOptions,
    pub mitigate: MitigateOptions,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            agreement: 0.95,
            reference: 4000,
            train: 3000,
            validation: 2000,
            test: 4000,
            // The zoo was trained on seeds below 1000.
            seed: 77_000,
            decompose: Options::default(),
            align_epochs: 4,
            probe: ProbeOptions::default(),
            mitigate: MitigateOptions::default(),
        }
    }
}

/// What decides a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A linear probe fitted on the biased images.
    Probe,
    /// The nearer of two text embeddings; nothing is fitted.
    ZeroShot,
}

/// A feature, given by its instantiations in CLIP space.
#[derive(Clone, Debug)]
pub struct Feature {
    pub name: String,
    /// k x D, one unit vector for each instantiation.
    pub embeddings: Arc<TextEmbeddings>,
}

/// The experiment: its images and features.
pub struct Study {
    setting: Setting,
    clip: Arc<Model>,
    reference: GeneratedSet,
    train: GeneratedSet,
    validation: GeneratedSet,
    test: GeneratedSet,
    spurious: Feature,
    core: Feature,
}

/// Class, place and group of each image of a set.
struct Truth {
    classes: Vec<usize>,
    groups: Vec<usize>,
    group_names: Vec<String>,
}

impl Study {
    /// Draw the sets up and embed the features `location` (spurious) and `shape` (core) with `clip`.
    ///
    /// # Errors
    /// When a size or share of the setting makes no sense, or `clip` has no text tower.
    pub fn new(clip: &Arc<Model>, setting: Setting) -> Result<Self> {
        let independent = 0.5;
        let set = |offset: u64, len, agreement| {
            GeneratedSet::new(GeneratedSpec::correlated(
                setting.seed + offset,
                len,
                agreement,
            ))
        };
        let feature = |factor: Factor| -> Result<Feature> {
            Ok(Feature {
                name: factor.name().to_string(),
                embeddings: session::class_embeddings(clip, factor.names())?,
            })
        };
        Ok(Self {
            clip: clip.clone(),
            reference: GeneratedSet::new(GeneratedSpec::unbiased(setting.seed, setting.reference))?,
            train: set(1, setting.train, setting.agreement)?,
            validation: set(2, setting.validation, independent)?,
            test: set(3, setting.test, independent)?,
            spurious: feature(Factor::Location)?,
            core: feature(Factor::Shape)?,
            setting,
        })
    }

    /// The images scores and means are taken on.
    pub fn reference(&self) -> &GeneratedSet {
        &self.reference
    }

    /// The biased images.
    pub fn train(&self) -> &GeneratedSet {
        &self.train
    }

    /// The maps from `model`'s components to CLIP space.
    ///
    /// # Errors
    /// As [`session::align`].
    pub fn align(&self, model: &Model) -> Result<Arc<Alignment>> {
        let fit = FitOptions {
            epochs: self.setting.align_epochs,
            ..FitOptions::default()
        };
        session::align(
            model,
            &self.clip,
            &self.reference,
            &self.setting.decompose,
            &fit,
        )
    }

    /// The whole experiment for one model and head.
    ///
    /// # Errors
    /// When a step fails, or zero-shot is asked of a model other than the study's CLIP.
    pub fn run(&self, model: &Model, head: Head) -> Result<Mitigated> {
        let options = &self.setting.decompose;
        let reference = session::decompose(model, &self.reference, options)?;
        let alignment = self.align(model)?;
        let aligned = alignment.apply(&reference)?;
        let score = |feature: &Feature| -> Result<Scores> {
            Ok(aligned.score(&feature.embeddings)?.named(&feature.name))
        };
        let (spurious, core) = (score(&self.spurious)?, score(&self.core)?);
        let difference = spurious.minus(&core)?;
        let means = reference.means()?;
        let linear = match head {
            Head::Probe => self.probe(model)?,
            Head::ZeroShot => self.zero_shot(model)?,
        };
        let (validation, test) = (truth(&self.validation)?, truth(&self.test)?);
        let on_validation = session::decompose(model, &self.validation, options)?;
        let on_test = session::decompose(model, &self.test, options)?;
        let mitigation = difference.mitigate(
            &test.group_names,
            &means,
            &linear,
            labelled(&on_validation, &validation),
            labelled(&on_test, &test),
            &self.setting.mitigate,
        )?;
        Ok(Mitigated {
            model: model.name().to_string(),
            head,
            features: [self.spurious.name.clone(), self.core.name.clone()],
            scores: difference
                .names()
                .into_iter()
                .zip(spurious.values().iter().zip(core.values()))
                .map(|(name, (&spurious, &core))| Scored {
                    name,
                    spurious,
                    core,
                })
                .collect(),
            cosine: alignment.report.as_ref().map(|r| r.held_out_cosine),
            mitigation,
        })
    }

    /// A linear probe for the class, fitted on the biased images.
    ///
    /// # Errors
    /// As [`score::fit_probe`].
    pub fn probe(&self, model: &Model) -> Result<LinearHead> {
        let representations = session::embed_images(model, &self.train)?;
        let classes = truth(&self.train)?.classes;
        let (head, _) = score::fit_probe(&representations, &classes, 2, &self.setting.probe)?;
        Ok(head)
    }

    /// The zero-shot head: each class by the mean of its shapes' text embeddings.
    ///
    /// # Errors
    /// When `model` is not the study's CLIP.
    pub fn zero_shot(&self, model: &Model) -> Result<LinearHead> {
        if model.hash() != self.clip.hash() {
            let reason =
                "zero-shot needs the model whose text tower embeds the classes; take Head::Probe";
            return Err(Error::argument("model", model.name(), reason));
        }
        let Some(correlation) = &self.train.spec().correlation else {
            return Err(Error::data(self.train.name(), "has no classes"));
        };
        let shapes = &self.core.embeddings;
        let classes = correlation
            .class
            .groups
            .iter()
            .map(|shapes_of_class| {
                let rows = Tensor::new(shapes_of_class.as_slice(), shapes.device())?;
                Ok(shapes.index_select(&rows, 0)?)
            })
            .collect::<Result<Vec<_>>>()?;
        let head = score::zero_shot(&score::class_embeddings(&classes)?)?;
        Ok(head.reading(Some(ModelId::of(&self.clip))))
    }
}

fn truth(set: &GeneratedSet) -> Result<Truth> {
    let column = |name: &str| -> Result<_> {
        let labels = set.labels(name)?;
        let values: Vec<_> = labels.values.into_iter().map(|v| v as usize).collect();
        Ok((values, labels.names))
    };
    let (classes, _) = column("class")?;
    let (groups, group_names) = column("group")?;
    Ok(Truth {
        classes,
        groups,
        group_names,
    })
}

fn labelled<'a>(contributions: &'a Contributions, truth: &'a Truth) -> Labelled<'a, Contributions> {
    Labelled {
        contributions,
        labels: &truth.classes,
        groups: &truth.groups,
    }
}

/// A component's scores for the two features.
#[derive(Clone, Debug)]
pub struct Scored {
    pub name: String,
    pub spurious: f64,
    pub core: f64,
}

/// What the experiment came to for one model.
#[derive(Clone, Debug)]
pub struct Mitigated {
    pub model: String,
    pub head: Head,
    /// The spurious feature's name and the core one's.
    pub features: [String; 2],
    /// Every component, in the model's order.
    pub scores: Vec<Scored>,
    /// Held-out cosine of the aligner; none for CLIP itself.
    pub cosine: Option<f32>,
    pub mitigation: Mitigation,
}

impl Mitigated {
    fn title(&self) -> String {
        match self.head {
            Head::Probe => self.model.clone(),
            Head::ZeroShot => format!("{} zero-shot", self.model),
        }
    }

    fn scored(&self, ranked: &Ranked) -> &Scored {
        &self.scores[ranked.index]
    }

    /// The first `k` components by spurious score less core score; those switched off are marked.
    pub fn ranking(&self, k: usize) -> Table {
        let [spurious, core] = &self.features;
        let header = [
            "",
            "component",
            spurious,
            core,
            "difference",
            "switched off",
        ];
        let table = Table::new(format!("{}: {spurious} against {core}", self.title()));
        let rows = self.mitigation.order.iter().take(k).enumerate();
        rows.fold(table.columns(header), |table, (i, ranked)| {
            let scored = self.scored(ranked);
            table.row([
                (i + 1).to_string(),
                scored.name.clone(),
                format!("{:.3}", scored.spurious),
                format!("{:.3}", scored.core),
                format!("{:+.3}", ranked.score),
                if i < self.mitigation.k { "yes" } else { "" }.to_string(),
            ])
        })
    }

    /// Both scores of the `k` components that differ most either way.
    pub fn chart(&self, k: usize) -> GroupedBars {
        let [spurious, core] = &self.features;
        let order = &self.mitigation.order;
        let title = format!("{}: components for {spurious} and {core}", self.title());
        let chart = GroupedBars::new(
            title,
            "variance attributed",
            [spurious.as_str(), core.as_str()],
        );
        let half = k.min(order.len()) / 2;
        let ends = order[..half].iter().chain(&order[order.len() - half..]);
        ends.fold(chart, |chart, ranked| {
            let scored = self.scored(ranked);
            chart.group(scored.name.as_str(), [scored.spurious, scored.core])
        })
    }

    /// Worst group and average on the validation split over the number of components switched off.
    pub fn curve(&self) -> LineChart {
        LineChart::choice(
            format!("{}: how many components?", self.title()),
            &self.mitigation,
        )
    }

    /// Accuracy of each group before, after, and with random components switched off.
    pub fn groups(&self) -> GroupedBars {
        GroupedBars::mitigation(
            format!("{}: accuracy by group", self.title()),
            &self.mitigation,
        )
    }
}

/// Group accuracies before → after in percent for several models, beside the same number of random components.
pub fn comparison(results: &[Mitigated]) -> Table {
    let titles: Vec<_> = results.iter().map(Mitigated::title).collect();
    let each = titles.iter().zip(results);
    Table::mitigations(
        "accuracy in %, before → after switching components off",
        each.map(|(title, result)| (title.as_str(), &result.mitigation)),
    )
}
