//! The images of a study, what is known of them, and the words for it.

use crate::data::{DataSet, Labels};
use crate::experiments::class_texts::class_texts;
use crate::score::cross_groups;
use crate::{Error, Result};
use std::sync::Arc;

/// Images in three splits with a class and an attribute each, and words for both.
///
/// The groups are the classes crossed with the attribute's values. By default the words of the spurious feature are the
/// names of the attribute's values, those of the core feature and of a zero-shot head the names of the classes;
/// [`Self::spurious`], [`Self::core`] and [`Self::class_texts`] give others.
///
/// ```no_run
/// use vitrepl_prelude::prelude::*;
///
/// # fn main() -> Result<()> {
/// // One set with a column that names the splits, here of parquet shards.
/// let faces = ParquetSet::open("celeba", OnUnreadable::Fail)?;
/// let data = StudyData::by_column(faces, "split", ["train", "val", "test"], "blond", "male")?
///     .spurious("gender", &["man", "woman", "beard", "make-up"])
///     .core("hair", &["blond hair", "dark hair", "red hair"])
///     .class_texts(&[vec!["a person with dark hair"], vec!["a person with blond hair"]])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StudyData {
    pub(super) name: String,
    pub(super) reference: Option<Arc<dyn DataSet>>,
    pub(super) train: Split,
    pub(super) validation: Split,
    pub(super) test: Split,
    pub(super) classes: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) spurious: Words,
    pub(super) core: Words,
    pub(super) class_texts: Vec<Vec<String>>,
}

/// The images of one split with their class and group.
#[derive(Clone)]
pub(super) struct Split {
    pub images: Arc<dyn DataSet>,
    pub classes: Vec<usize>,
    pub groups: Vec<usize>,
}

/// A feature's name and the texts that instantiate it.
#[derive(Clone)]
pub(super) struct Words {
    pub name: String,
    pub texts: Vec<String>,
}

impl Words {
    fn new(name: &str, texts: &[impl AsRef<str>]) -> Self {
        Self {
            name: name.to_string(),
            texts: texts.iter().map(|t| t.as_ref().to_string()).collect(),
        }
    }
}

impl StudyData {
    /// Three sets, each with the columns `class` (what is to be told) and `attribute` (what it is mixed up with). Values
    /// are matched by name, so that the sets may number them differently.
    ///
    /// # Errors
    /// When a set lacks a column, two splits are the same images, the training split has fewer than two classes or lacks
    /// one that another split has, or class and attribute are one column.
    pub fn new(
        train: impl DataSet + 'static,
        validation: impl DataSet + 'static,
        test: impl DataSet + 'static,
        class: &str,
        attribute: &str,
    ) -> Result<Self> {
        let sets: [Arc<dyn DataSet>; 3] = [Arc::new(train), Arc::new(validation), Arc::new(test)];
        let name = sets[2].name().to_string();
        Self::of_sets(name, sets, class, attribute)
    }

    /// One set whose column `split` says which split an image is in; `names` are those of the training, the validation
    /// and the test split.
    ///
    /// # Errors
    /// As [`Self::new`]; when there is no such column, or no image of one of the splits.
    pub fn by_column(
        set: impl DataSet + 'static,
        split: &str,
        names: [&str; 3],
        class: &str,
        attribute: &str,
    ) -> Result<Self> {
        let set: Arc<dyn DataSet> = Arc::new(set);
        let only = |name: &str| -> Result<Arc<dyn DataSet>> {
            Ok(Arc::new(set.clone().only(split, name)?))
        };
        let [train, validation, test] = names;
        let sets = [only(train)?, only(validation)?, only(test)?];
        Self::of_sets(set.name().to_string(), sets, class, attribute)
    }

    fn of_sets(
        name: String,
        sets: [Arc<dyn DataSet>; 3],
        class: &str,
        attribute: &str,
    ) -> Result<Self> {
        if class == attribute {
            let expected = "another column than the class's";
            return Err(Error::argument("attribute", attribute, expected));
        }
        const SPLITS: [&str; 3] = ["training", "validation", "test"];
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            if sets[i].key() == sets[j].key() {
                return Err(Error::data(
                    sets[j].name(),
                    format!(
                        "the {} and the {} split are the same images; what is fitted on images must be tested on others: \
                         set.split(1, &[0.6, 0.2, 0.2])? makes three parts",
                        SPLITS[i], SPLITS[j]
                    ),
                ));
            }
        }
        let column = |name: &str| -> Result<Vec<Labels>> {
            sets.iter().map(|set| set.labels(name)).collect()
        };
        let (class_labels, attribute_labels) = (column(class)?, column(attribute)?);
        let classes = present(&class_labels[..1]);
        if let [] | [_] = classes.as_slice() {
            let reason = format!(
                "its {class} is {} for every image; there is nothing to tell apart",
                classes.first().map_or("nothing", String::as_str)
            );
            return Err(Error::data(sets[0].name(), reason));
        }
        let values = present(&attribute_labels);
        let [class_names, value_names] =
            [&classes, &values].map(|n| n.iter().map(String::as_str).collect::<Vec<_>>());
        let mut splits = Vec::with_capacity(3);
        let mut groups = Vec::new();
        for (i, images) in sets.into_iter().enumerate() {
            let of_class = places(&class_labels[i], &classes).map_err(|unknown| {
                let reason = format!(
                    "it has images of {class} \"{unknown}\", which the training split lacks; it has {}",
                    classes.join(", ")
                );
                Error::data(images.name(), reason)
            })?;
            let of_value = places(&attribute_labels[i], &values)
                .map_err(|unknown| Error::data(images.name(), format!("unknown {unknown}")))?;
            let (of_group, names) = cross_groups(&of_class, &of_value, &class_names, &value_names)?;
            groups = names;
            splits.push(Split {
                images,
                classes: of_class,
                groups: of_group,
            });
        }
        let [train, validation, test] = <[Split; 3]>::try_from(splits)
            .map_err(|_| Error::data(&name, "has not three splits"))?;
        Ok(Self {
            name,
            reference: None,
            train,
            validation,
            test,
            spurious: Words::new(attribute, &values),
            core: Words::new(class, &classes),
            class_texts: classes.iter().map(|name| vec![name.clone()]).collect(),
            classes,
            groups,
        })
    }

    /// With these words for the spurious feature, the attribute.
    pub fn spurious(mut self, name: &str, texts: &[impl AsRef<str>]) -> Self {
        self.spurious = Words::new(name, texts);
        self
    }

    /// With these words for the core feature, which decides the class.
    pub fn core(mut self, name: &str, texts: &[impl AsRef<str>]) -> Self {
        self.core = Words::new(name, texts);
        self
    }

    /// With these texts for each class, in the order of [`Self::classes`], for a zero-shot head; a class's embedding is
    /// the mean of its texts'.
    ///
    /// # Errors
    /// Another number of classes, a class without texts.
    pub fn class_texts<T: AsRef<str>>(mut self, texts: &[impl AsRef<[T]>]) -> Result<Self> {
        self.class_texts = class_texts(&self.classes, texts)?;
        Ok(self)
    }

    /// With images, whose labels are not looked at, for the maps to CLIP's space; scores and means are taken on them too
    /// (but for [`StudyProtocol::Paper`](super::StudyProtocol::Paper)). Best without the correlation: the paper fits the maps on
    /// ImageNet. Without them the maps are fitted on the training images, scores and means taken on the validation split.
    pub fn reference(mut self, images: impl DataSet + 'static) -> Self {
        self.reference = Some(Arc::new(images));
        self
    }

    /// Called `name` in titles.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the classes, in the order of a head's logits.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The names of the groups, `class, attribute`.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Images of each group in the training split.
    pub fn training_groups(&self) -> Vec<usize> {
        self.count(&self.train)
    }

    /// Images of each group in the test split.
    pub fn test_groups(&self) -> Vec<usize> {
        self.count(&self.test)
    }

    fn count(&self, split: &Split) -> Vec<usize> {
        let of = |g: usize| split.groups.iter().filter(|i| **i == g).count();
        (0..self.groups.len()).map(of).collect()
    }

    /// The training images.
    pub fn train(&self) -> &dyn DataSet {
        &*self.train.images
    }

    /// The validation images.
    pub fn validation(&self) -> &dyn DataSet {
        &*self.validation.images
    }

    /// The test images.
    pub fn test(&self) -> &dyn DataSet {
        &*self.test.images
    }
}

/// The names of the values that some image has, in the order of the first column that has them.
fn present(columns: &[Labels]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for labels in columns {
        for (value, name) in labels.names.iter().enumerate() {
            let used = labels.values.contains(&value);
            if used && !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// Each label as a place among `names`; the name that is not among them.
fn places(labels: &Labels, names: &[String]) -> std::result::Result<Vec<usize>, String> {
    let place: Vec<Option<usize>> = labels
        .names
        .iter()
        .map(|name| names.iter().position(|known| known == name))
        .collect();
    let of = |v: &usize| place[*v].ok_or_else(|| labels.names[*v].clone());
    labels.values.iter().map(of).collect()
}
