//! The classifiers of a task: a probe, a zero-shot head, or the model's own.

use super::{ClassificationTask, numbered};
use crate::data::{Factor, Labels};
use crate::experiments::Classifier;
use crate::identity::ModelId;
use crate::models::{ClassHead, Model};
use crate::score::{self, LinearHead};
use crate::{Error, Result, session};

/// A classifier of one model's representations, with the tested images' labels as its classes are numbered.
pub(in crate::experiments) struct Reader {
    pub head: Head,
    pub labels: Vec<usize>,
    pub classes: usize,
    /// How it came about, where that is not plain.
    pub note: Option<String>,
}

pub(in crate::experiments) enum Head {
    Linear(LinearHead),
    /// A head with a hidden layer, applied as it is.
    Nonlinear,
}

impl ClassificationTask {
    /// The classifier of `model` for this task.
    pub(in crate::experiments) fn reader(
        &self,
        model: &Model,
        classifier: Classifier,
    ) -> Result<Reader> {
        match classifier {
            Classifier::Probe => self.probed(model),
            Classifier::ZeroShot => {
                let head = self.zero_shot(model)?.reading(Some(ModelId::of(model)));
                self.by_class(Head::Linear(head))
            }
            Classifier::Own => self.own(model),
        }
    }

    /// The zero-shot head in the space of `clip`.
    fn zero_shot(&self, clip: &Model) -> Result<LinearHead> {
        if clip.clip().is_err() {
            let expected = "a CLIP, whose text tower embeds the classes' names; take Classifier::Probe or Classifier::Own";
            return Err(Error::argument("model", clip.name(), expected));
        }
        let classes = match &self.texts {
            None => session::class_embeddings(clip, &self.classes)?
                .tensor()
                .clone(),
            Some(texts) => {
                let embedded = texts
                    .iter()
                    .map(|texts| Ok(session::class_embeddings(clip, texts)?.tensor().clone()))
                    .collect::<Result<Vec<_>>>()?;
                score::class_embeddings(&embedded)?
            }
        };
        score::zero_shot(&classes)?.named(&self.classes)
    }

    fn probed(&self, model: &Model) -> Result<Reader> {
        let Some(fitted) = &self.fitted else {
            return Err(Error::argument(
                "classifier",
                "Probe",
                "images to fit a probe on, which are not those tested: task.fitted_on(images)?",
            ));
        };
        let representations = session::embed_images(model, &fitted.images)?;
        let labels = numbered(&fitted.labels, &fitted.labels);
        let classes = self.classes.len();
        let (head, _) = score::fit_probe(&representations, &labels, classes, &self.probe)?;
        let mut reader = self.by_class(Head::Linear(head.named(&self.classes)?))?;
        reader.note = Some(format!("probe fitted on {}", fitted.images.name()));
        Ok(reader)
    }

    /// The labels that the classes were taken from.
    fn reference(&self) -> &Labels {
        &self.fitted.as_ref().unwrap_or(&self.tested).labels
    }

    /// A head whose classes are those of the task in their order.
    fn by_class(&self, head: Head) -> Result<Reader> {
        Ok(Reader {
            head,
            labels: numbered(&self.tested.labels, self.reference()),
            classes: self.classes.len(),
            note: None,
        })
    }

    /// The head that the model was trained with.
    fn own(&self, model: &Model) -> Result<Reader> {
        let factor = Factor::from_name(&self.column);
        if let (Some(factor), ClassHead::None) = (factor, model.encoder().head()) {
            let head = model.factor_head(factor)?;
            let names = head.names().map(<[String]>::to_vec);
            return self.matched(model, Head::Linear(head), factor.count(), names.as_deref());
        }
        if let ClassHead::Nonlinear = model.encoder().head() {
            let width = model.encoder().width();
            let one = candle_core::Tensor::zeros(
                (1, width),
                candle_core::DType::F32,
                model.encoder().device(),
            )?;
            let logits = model.encoder().classify_representations(&one)?;
            let classes = logits.map_or(Ok(0), |logits| logits.dim(1))?;
            let names = model.class_names(classes);
            return self.matched(model, Head::Nonlinear, classes, names.as_deref());
        }
        let head = model.head()?;
        let (classes, names) = (head.classes(), head.names().map(<[String]>::to_vec));
        self.matched(model, Head::Linear(head), classes, names.as_deref())
    }

    /// `head` with the tested labels in the order of its classes: by name where the head names each of them once, else by
    /// number where there are as many.
    fn matched(
        &self,
        model: &Model,
        head: Head,
        classes: usize,
        names: Option<&[String]>,
    ) -> Result<Reader> {
        let labels = &self.tested.labels;
        let place = |name: &String| {
            let mut found = (0..classes).filter(|c| names.is_some_and(|names| names[*c] == *name));
            found.next().filter(|_| found.next().is_none())
        };
        let places: Option<Vec<usize>> = self.classes.iter().map(place).collect();
        let (labels, note) = match places {
            Some(places) => {
                let of_class = numbered(labels, self.reference());
                (
                    of_class.into_iter().map(|class| places[class]).collect(),
                    None,
                )
            }
            None if labels.names.len() == classes => (
                labels.values.clone(),
                Some(format!(
                    "the values of {} are the head's classes by number",
                    self.column
                )),
            ),
            None => {
                return Err(Error::argument(
                    "classifier",
                    format!("Own, of {} with {classes} classes", model.name()),
                    format!(
                        "a head with the {} values of {} in {}; take Classifier::Probe, which is fitted to them",
                        labels.names.len(),
                        self.column,
                        self.tested.images.name()
                    ),
                ));
            }
        };
        Ok(Reader {
            head,
            labels,
            classes,
            note,
        })
    }
}
