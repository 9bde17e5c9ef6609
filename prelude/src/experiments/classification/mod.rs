//! What is to be told apart, on which images, and with what.

mod reader;

pub(super) use reader::{Head, Reader};

use crate::data::{DataSet, Labels};
use crate::experiments::class_texts::class_texts;
use crate::facts::debug_as_display;
use crate::score::ProbeOptions;
use crate::{Error, Result};
use std::sync::Arc;

/// Images with a label each that classifiers are tested on, and others that a probe is fitted on.
///
/// ```no_run
/// use vitrepl_prelude::prelude::*;
///
/// # fn main() -> Result<()> {
/// // Shapes of generated images: a probe is fitted on one seed's and tested on another's.
/// let fitted = GeneratedSet::new(GeneratedSpec::unbiased(77_001, 2000))?;
/// let tested = GeneratedSet::new(GeneratedSpec::unbiased(77_002, 2000))?;
/// let shapes = ClassificationTask::new(tested, "shape")?.fitted_on(fitted)?;
/// // ImageNet by the models' own heads, which need no fit.
/// let imagenet = ClassificationTask::new(ImageNet::open("val", OnUnreadable::Skip)?, "class")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClassificationTask {
    column: String,
    tested: Labelled,
    fitted: Option<Labelled>,
    /// The values that some image has.
    classes: Vec<String>,
    texts: Option<Vec<Vec<String>>>,
    probe: ProbeOptions,
}

#[derive(Clone)]
struct Labelled {
    images: Arc<dyn DataSet>,
    labels: Labels,
}

impl ClassificationTask {
    /// Tell the values of the label column `column` apart on `tested`.
    ///
    /// # Errors
    /// When there is no such column, or all images have one value.
    pub fn new(tested: impl DataSet + 'static, column: &str) -> Result<Self> {
        let images: Arc<dyn DataSet> = Arc::new(tested);
        let labels = images.labels(column)?;
        let classes = used(&labels);
        if classes.len() < 2 {
            let only = classes.first().map_or("nothing", String::as_str);
            return Err(Error::data(
                images.name(),
                format!("its {column} is {only} for every image; there is nothing to tell apart"),
            ));
        }
        Ok(Self {
            column: column.to_string(),
            tested: Labelled { images, labels },
            fitted: None,
            classes,
            texts: None,
            probe: ProbeOptions::default(),
        })
    }

    /// With `images` for probes to be fitted on, which must be others than those tested.
    ///
    /// Whether two *parts* of one set overlap cannot be seen from here: `set.split(1, &[0.5, 0.5])?` makes parts that do
    /// not.
    ///
    /// # Errors
    /// When they are the tested images, lack the column, or lack a class that a tested image has.
    pub fn fitted_on(mut self, images: impl DataSet + 'static) -> Result<Self> {
        let images: Arc<dyn DataSet> = Arc::new(images);
        if images.key() == self.tested.images.key() {
            return Err(Error::data(
                images.name(),
                "a probe would be tested on the images that it was fitted on, and come out too well: fit it on others, such as \
                 a part of set.split(1, &[0.5, 0.5])?",
            ));
        }
        let labels = images.labels(&self.column)?;
        let known = used(&labels);
        if let Some(class) = self.classes.iter().find(|class| !known.contains(class)) {
            return Err(Error::data(
                images.name(),
                format!(
                    "no image of it has {} \"{class}\", which tested images have, so no probe could learn it; fit on \
                     images of every class",
                    self.column
                ),
            ));
        }
        self.classes = known;
        self.fitted = Some(Labelled { images, labels });
        Ok(self)
    }

    /// With these texts for each class, in the order of [`Self::classes`], for a zero-shot head: a class's embedding is the
    /// mean of its texts'. Without them a class's text is its name.
    ///
    /// # Errors
    /// Another number of classes, a class without texts.
    pub fn class_texts<T: AsRef<str>>(mut self, texts: &[impl AsRef<[T]>]) -> Result<Self> {
        self.texts = Some(class_texts(&self.classes, texts)?);
        Ok(self)
    }

    /// With these settings of the probes.
    pub fn probe(mut self, options: ProbeOptions) -> Self {
        self.probe = options;
        self
    }

    /// The label column.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The images tested.
    pub fn tested(&self) -> &dyn DataSet {
        &*self.tested.images
    }

    /// The images a probe is fitted on, where there are any.
    pub fn fitted(&self) -> Option<&dyn DataSet> {
        Some(&*self.fitted.as_ref()?.images)
    }

    /// The share of the tested images that have the most frequent class: what an answer that is always the same gets.
    pub fn majority(&self) -> f64 {
        let labels = &self.tested.labels;
        let count = |value: usize| labels.values.iter().filter(|v| **v == value).count();
        let most = (0..labels.names.len()).map(count).max().unwrap_or(0);
        most as f64 / labels.values.len().max(1) as f64
    }
}

impl std::fmt::Display for ClassificationTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} ({}) of {}, {} images",
            self.column,
            crate::facts::list(&self.classes, 60),
            self.tested.images.name(),
            self.tested.images.len()
        )?;
        match &self.fitted {
            Some(fitted) => write!(
                f,
                "; probes are fitted on {}, {} images",
                fitted.images.name(),
                fitted.images.len()
            ),
            None => f.write_str("; nothing to fit a probe on"),
        }
    }
}

debug_as_display!(ClassificationTask);

/// The values that some image has.
fn present(labels: &Labels) -> Vec<usize> {
    let mut seen = vec![false; labels.names.len()];
    labels.values.iter().for_each(|value| seen[*value] = true);
    (0..seen.len()).filter(|value| seen[*value]).collect()
}

/// Their names.
fn used(labels: &Labels) -> Vec<String> {
    present(labels)
        .into_iter()
        .map(|value| labels.names[value].clone())
        .collect()
}

/// Each label as a place among the classes that `of`, the labels they were taken from, has: by value where both have the same
/// names, so that two classes may be called alike, else by name.
fn numbered(labels: &Labels, of: &Labels) -> Vec<usize> {
    let classes = present(of);
    let place = |value: usize| match labels.names == of.names {
        true => classes.iter().position(|class| *class == value),
        false => {
            let named = |class: &usize| of.names[*class] == labels.names[value];
            classes.iter().position(named)
        }
    };
    let places: Vec<usize> = (0..labels.names.len())
        .map(|value| place(value).unwrap_or(0))
        .collect();
    labels.values.iter().map(|value| places[*value]).collect()
}
