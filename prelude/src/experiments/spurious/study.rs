//! The study itself: what is decomposed, scored, fitted and tested on which images.

use super::data::{Split, Words};
use super::remedies::{Change, Tested};
use super::{
    Classifier, Feature, Mitigated, PaperProtocol, Scored, StudyData, StudyProtocol, StudySettings,
    ValidatedProtocol,
};
use crate::align::{Alignment, FitOptions};
use crate::data::DataSet;
use crate::decompose::Contributions;
use crate::identity::ModelId;
use crate::models::Model;
use crate::score::{self, ComponentMeans, Grouped, Labelled, LinearHead, Scores};
use crate::session;
use crate::{Error, Result};
use std::sync::Arc;

/// A study: its images and features, and how it is done.
pub struct Study {
    pub(super) settings: StudySettings,
    pub(super) clip: Arc<Model>,
    pub(super) data: StudyData,
    spurious: Feature,
    core: Feature,
}

/// Contributions with the classes and groups of their images.
struct Truth {
    contributions: Arc<Contributions>,
    classes: Vec<usize>,
    groups: Vec<usize>,
}

impl Truth {
    fn labelled(&self) -> Labelled<'_, Contributions> {
        Labelled {
            contributions: &self.contributions,
            labels: &self.classes,
            groups: &self.groups,
        }
    }

    fn grouped<'a>(&'a self, names: &'a [String]) -> Grouped<'a> {
        Grouped {
            labels: &self.classes,
            groups: &self.groups,
            names,
        }
    }
}

/// The scores for the two features.
struct Both {
    spurious: Scores,
    core: Scores,
    difference: Scores,
}

impl Both {
    fn each(&self) -> Vec<Scored> {
        let scores = self.spurious.values().iter().zip(self.core.values());
        let each = self.spurious.names().into_iter().zip(scores);
        each.map(|(name, (&spurious, &core))| Scored {
            name,
            spurious,
            core,
        })
        .collect()
    }
}

impl Study {
    /// Embed the features of `data` with `clip`, whose space components are scored in.
    ///
    /// # Errors
    /// When `clip` has no text tower, or a text is too long for it.
    pub fn new(clip: &Arc<Model>, data: StudyData, settings: StudySettings) -> Result<Self> {
        let feature = |words: &Words| -> Result<Feature> {
            Ok(Feature {
                name: words.name.clone(),
                embeddings: session::class_embeddings(clip, &words.texts)?,
            })
        };
        Ok(Self {
            clip: clip.clone(),
            spurious: feature(&data.spurious)?,
            core: feature(&data.core)?,
            data,
            settings,
        })
    }

    /// The images of the study.
    pub fn data(&self) -> &StudyData {
        &self.data
    }

    /// The images the maps to CLIP's space are fitted on: the reference images, or without them the training images.
    pub fn reference(&self) -> &dyn DataSet {
        match &self.data.reference {
            Some(reference) => &**reference,
            None => self.data.train(),
        }
    }

    /// The maps from `model`'s components to CLIP space.
    ///
    /// # Errors
    /// As [`session::align`].
    pub fn align(&self, model: impl AsRef<Model>) -> Result<Arc<Alignment>> {
        let model = model.as_ref();
        let fit = FitOptions {
            epochs: self.settings.align_epochs,
            ..FitOptions::default()
        };
        let options = &self.settings.decompose;
        session::align(model, &self.clip, self.reference(), options, &fit)
    }

    /// The whole experiment for one model and head.
    ///
    /// # Errors
    /// When a step fails, or zero-shot is asked of a model other than the study's CLIP.
    pub fn run(&self, model: impl AsRef<Model>, head: Classifier) -> Result<Mitigated> {
        let model = model.as_ref();
        let linear = match head {
            Classifier::Probe => self.probe(model)?,
            Classifier::ZeroShot => self.zero_shot(model)?,
            Classifier::Own => self.own(model)?,
        };
        let alignment = self.align(model)?;
        let validation = self.truth(model, &self.data.validation)?;
        let test = self.truth(model, &self.data.test)?;
        let names = &self.data.groups;
        let training = self.data.training_groups();
        let (scored, mitigation, (before, remedies)) = match &self.settings.protocol {
            StudyProtocol::Paper(PaperProtocol { k, .. }) => {
                let all = joined(validation, test)?;
                let scored = self.score(&alignment, &all.contributions)?;
                let means = all.contributions.means()?;
                let order = &scored.difference;
                let mitigation = order.ablate_first(*k, names, &means, &linear, all.labelled())?;
                let outcomes = self
                    .tested(&all, &means, &linear, &training)?
                    .ablated(&mitigation)?;
                (scored, mitigation, outcomes)
            }
            StudyProtocol::Validated(ValidatedProtocol {
                mitigate,
                scaling,
                correction,
                ..
            }) => {
                let reference = match &self.data.reference {
                    Some(images) => session::decompose(model, images, &self.settings.decompose)?,
                    None => validation.contributions.clone(),
                };
                let scored = self.score(&alignment, &reference)?;
                let means = reference.means()?;
                let mitigation = scored.difference.mitigate(
                    names,
                    &means,
                    &linear,
                    validation.labelled(),
                    test.labelled(),
                    mitigate,
                )?;
                let (images, order) = (validation.grouped(names), &mitigation.order);
                let ablation = validation.contributions.ablation(&means, &linear)?;
                let scaling = score::fit_scaling(&ablation, images, scaling)?;
                let found = score::locate_then_correct(&ablation, order, images, correction)?;
                let tested = self.tested(&test, &means, &linear, &training)?;
                let (before, mut remedies) = tested.ablated(&mitigation)?;
                for change in [Change::from(scaling), Change::from(found)] {
                    remedies.push(tested.remedy(change, &remedies[0], mitigate)?);
                }
                (scored, mitigation, (before, remedies))
            }
        };
        Ok(Mitigated {
            model: model.name().to_string(),
            data: self.data.name.clone(),
            images: self.settings.protocol.name(),
            head,
            features: [self.spurious.name.clone(), self.core.name.clone()],
            measure: self.settings.measure,
            scores: scored.each(),
            cosine: alignment.report.as_ref().map(|r| r.held_out_cosine),
            mitigation,
            before,
            remedies,
            training,
            bootstrap: self.settings.bootstrap.clone(),
        })
    }

    /// The images of `truth`, ready to be classified with components changed.
    fn tested<'a>(
        &'a self,
        truth: &'a Truth,
        means: &ComponentMeans,
        head: &LinearHead,
        training: &[usize],
    ) -> Result<Tested<'a>> {
        let ablation = truth.contributions.ablation(means, head)?;
        let images = truth.grouped(&self.data.groups);
        Tested::new(ablation, images, training, &self.settings.bootstrap)
    }

    /// Every component's scores for the two features.
    fn score(&self, alignment: &Alignment, contributions: &Contributions) -> Result<Both> {
        let aligned = alignment.apply(contributions)?;
        let score = |feature: &Feature| -> Result<Scores> {
            let scores = aligned.score_by(self.settings.measure, &feature.embeddings)?;
            Ok(scores.named(&feature.name))
        };
        let (spurious, core) = (score(&self.spurious)?, score(&self.core)?);
        Ok(Both {
            difference: spurious.minus(&core)?,
            spurious,
            core,
        })
    }

    fn truth(&self, model: &Model, split: &Split) -> Result<Truth> {
        Ok(Truth {
            contributions: session::decompose(model, &*split.images, &self.settings.decompose)?,
            classes: split.classes.clone(),
            groups: split.groups.clone(),
        })
    }

    /// A linear probe for the class, fitted on the training split.
    ///
    /// # Errors
    /// As [`score::fit_probe`] and [`score::fit_adam_probe`].
    pub fn probe(&self, model: impl AsRef<Model>) -> Result<LinearHead> {
        let model = model.as_ref();
        let representations = session::embed_images(model, self.data.train())?;
        let (labels, classes) = (&self.data.train.classes, self.data.classes.len());
        match &self.settings.protocol {
            StudyProtocol::Validated(ValidatedProtocol { probe, .. }) => {
                Ok(score::fit_probe(&representations, labels, classes, probe)?.0)
            }
            StudyProtocol::Paper(PaperProtocol { probe, .. }) => {
                Ok(score::fit_adam_probe(&representations, labels, classes, probe)?.0)
            }
        }
    }

    /// The model's own head, whose classes are those of the data by number.
    ///
    /// # Errors
    /// When the model has none, or one of another number of classes.
    fn own(&self, model: &Model) -> Result<LinearHead> {
        let head = model.head()?;
        match head.classes() == self.data.classes.len() {
            true => Ok(head),
            false => Err(Error::argument(
                "classifier",
                format!("Own, of {} classes", head.classes()),
                format!(
                    "a head of the {} classes of {}: take Classifier::Probe, which is fitted to them",
                    self.data.classes.len(),
                    self.data.name
                ),
            )),
        }
    }

    /// The zero-shot head: each class by the mean of its texts' embeddings ([`StudyData::class_texts`]).
    ///
    /// # Errors
    /// When `model` is not the study's CLIP.
    pub fn zero_shot(&self, model: impl AsRef<Model>) -> Result<LinearHead> {
        let model = model.as_ref();
        if model.hash() != self.clip.hash() {
            let reason = "zero-shot needs the model whose text tower embeds the classes; take Classifier::Probe";
            return Err(Error::argument("model", model.name(), reason));
        }
        let texts = self.data.class_texts.iter();
        let classes = texts
            .map(|texts| {
                Ok(session::class_embeddings(&self.clip, texts)?
                    .tensor()
                    .clone())
            })
            .collect::<Result<Vec<_>>>()?;
        let head = score::zero_shot(&score::class_embeddings(&classes)?)?;
        Ok(head.reading(Some(ModelId::of(&self.clip))))
    }
}

/// Validation and test images as one set.
fn joined(validation: Truth, test: Truth) -> Result<Truth> {
    let parts = [&*validation.contributions, &*test.contributions].map(Contributions::clone);
    Ok(Truth {
        contributions: Arc::new(Contributions::concat(&parts)?),
        classes: [validation.classes, test.classes].concat(),
        groups: [validation.groups, test.groups].concat(),
    })
}
