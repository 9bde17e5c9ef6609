//! What a classifier makes of images.

use candle_core::{D, DType, Device, Tensor};

use super::{Accuracy, LinearHead};
use crate::check;
use crate::data::ImageNet;
use crate::facts::Facts;
use crate::files::rows::{Column, export};
use crate::identity::{ImagesId, ModelId, debug_as_display};
use crate::models::{ClassHead, Model};
use crate::{Error, Result};
use std::fmt;
use std::path::Path;

/// Images that a display lists.
const SHOWN: usize = 12;

/// The classes of ImageNet, by whose number a head of so many classes is taken to be one of ImageNet's.
const IMAGENET: usize = 1000;

/// Classes and probabilities of images.
#[derive(Clone)]
pub struct Classified {
    model: String,
    images: ImagesId,
    names: Vec<String>,
    probabilities: Tensor,
}

impl Classified {
    /// Of logits, B x C: their softmax.
    pub(crate) fn of_logits(
        model: &ModelId,
        images: ImagesId,
        names: Option<&[String]>,
        logits: &Tensor,
    ) -> Result<Self> {
        let (rows, classes) = check::matrix("logits", logits)?;
        check::same("logits", rows, images.len(), "images")?;
        check::finite("logits", logits)?;
        let logits = logits.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
        let names = match names {
            Some(names) => names.to_vec(),
            None => (0..classes).map(|class| class.to_string()).collect(),
        };
        Ok(Self {
            model: model.to_string(),
            images,
            names,
            probabilities: candle_nn::ops::softmax(&logits, D::Minus1)?,
        })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of classes.
    pub fn class_count(&self) -> usize {
        self.names.len()
    }

    /// What the classes are called: their digits where no names are known.
    pub fn class_names(&self) -> &[String] {
        &self.names
    }

    /// What the images are called.
    pub fn image_names(&self) -> &[String] {
        &self.images.names
    }

    /// B x C, each row summing to 1.
    pub fn probabilities(&self) -> &Tensor {
        &self.probabilities
    }

    /// The most probable class of each image, as labels are.
    pub fn classes(&self) -> Vec<usize> {
        (0..self.len())
            .filter_map(|i| self.order(i).first().map(|(class, _)| *class))
            .collect()
    }

    /// The `count` most probable classes of image `image`, by name, with their probabilities; none for an image that is
    /// not there.
    pub fn best(&self, image: usize, count: usize) -> Vec<(String, f64)> {
        let order = self.order(image).into_iter().take(count);
        order
            .map(|(class, p)| (self.names[class].clone(), p))
            .collect()
    }

    /// The classes of an image, most probable first.
    fn order(&self, image: usize) -> Vec<(usize, f64)> {
        let row = self
            .probabilities
            .get(image)
            .and_then(|row| row.to_vec1::<f32>());
        let row = row.unwrap_or_default().into_iter().map(f64::from);
        let mut order: Vec<(usize, f64)> = row.enumerate().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        order
    }

    /// How many images have their label as most probable class.
    ///
    /// # Errors
    /// Another number of labels than images, or a label that is no class.
    pub fn evaluate(&self, labels: &[usize]) -> Result<Accuracy> {
        Accuracy::of(&self.classes(), labels, self.class_count())
    }

    /// Writes image, class and probability in full precision, one row an image: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let best: Vec<(String, f64)> = (0..self.len()).flat_map(|i| self.best(i, 1)).collect();
        let (classes, probabilities) = best.into_iter().unzip();
        export(
            path.as_ref(),
            &[
                ("image", Column::Text(self.image_names().to_vec())),
                ("class", Column::Text(classes)),
                ("probability", Column::Number(probabilities)),
            ],
        )
    }

    pub(crate) fn title(&self) -> String {
        format!("classes by {}: {}", self.model, self.images)
    }
}

impl fmt::Display for Classified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = (0..self.len().min(SHOWN)).fold(Facts::new(self.title()), |shown, i| {
            let best = self.best(i, 3).into_iter();
            let best: Vec<String> = best.map(|(class, p)| format!("{class} ({p:.3})")).collect();
            shown.row(&self.image_names()[i], best.join(", "))
        });
        let left = self.len().saturating_sub(SHOWN);
        let more = format!("and {left} more: .table(3) has all");
        write!(f, "{}", shown.lines((left > 0).then_some(more)))
    }
}

debug_as_display!(Classified);

impl Model {
    /// The model's own classifier as a head on its representation, with the names of its classes where they are known: a
    /// head of 1000 classes is taken to be ImageNet's.
    ///
    /// # Errors
    /// When the model has none, as the embedded models and backbones without supervision, or one that is not linear in
    /// the representation.
    pub fn head(&self) -> Result<LinearHead> {
        let (weight, bias) = match self.encoder().head() {
            ClassHead::Linear(weight, bias) => (weight, bias),
            ClassHead::None => return Err(self.headless()),
            ClassHead::Nonlinear => {
                return Err(Error::argument(
                    "model",
                    self.name(),
                    "its head is not linear in the representation (a norm and a hidden layer come before the last layer); \
                     model.classify(&images)? takes it as it is",
                ));
            }
        };
        let bias = match bias {
            Some(bias) => bias.clone(),
            None => Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device())?,
        };
        let head = LinearHead::new(weight.clone(), bias)?.reading(Some(ModelId::of(self)));
        match head.classes() {
            IMAGENET => head.named(ImageNet::names()),
            _ => Ok(head),
        }
    }

    /// What a head of `classes` classes calls them.
    pub(crate) fn class_names(&self, classes: usize) -> Option<Vec<String>> {
        let names = || ImageNet::names().into_iter().map(str::to_string).collect();
        (classes == IMAGENET).then(names)
    }

    /// The error of a model without classifier.
    pub(crate) fn headless(&self) -> Error {
        let remedy = match self.clip() {
            Ok(_) => "classify_by(&images, &[\"a\", \"b\"])? classifies by texts",
            Err(_) => "score::fit_probe fits one on embed_images(&model, &images)? and labels",
        };
        let expected = format!("a model with a head for classes; this one has none: {remedy}");
        Error::argument("model", self.name(), expected)
    }
}
