//! Which components decided a prediction: direct logit attribution ("A Mathematical Framework for Transformer Circuits",
//! Elhage et al. 2021; `logit_attrs` of TransformerLens).
//!
//! A linear head's logit of class a is `w_a . z + b_a`. Since `z = sum_i c_i`, it is a sum of one share a component,
//! `w_a . c_i`, and the bias. The same holds for the difference of two classes' logits, with `w_a - w_b`, and for texts,
//! whose logit `s (t_a . z) / |z|` is linear once |z| is known. Nothing is approximated: the shares sum to the logit.
//!
//! ```
//! use vitrepl_prelude::prelude::*;
//! # let folder = tempfile::tempdir().unwrap();
//! # vitrepl_prelude::session::set_cache_folder(folder.path());
//!
//! let clip = load_clip("tiny_clip")?;
//! let images = GeneratedSet::new(GeneratedSpec::unbiased(1, 4))?;
//! let why = attribute_logits(&clip, &images, Readout::texts(&clip, &["circle", "square", "star"])?)?;
//! let shares = why.image(0)?.between("circle", "square")?;
//! assert!(shares.sum_error() < 1e-4);
//! assert!(shares.chart(8).to_string().contains("circle less square"));
//! # Ok::<(), vitrepl_prelude::Error>(())
//! ```

mod shares;

pub use shares::LogitShares;

use super::readout::{Readout, WhichClass, best, f64};
use crate::align::AlignedContributions;
use crate::data::{DataSet, WhichImages};
use crate::decompose::part::rows;
use crate::decompose::{Component, Contributions, DecomposeOptions, Sharing};
use crate::facts::{self, Facts};
use crate::identity::{ImagesId, debug_as_display};
use crate::models::Model;
use crate::session;
use crate::{Error, Result};
use candle_core::Tensor;
use std::fmt;

/// The logits of images, to be taken apart: [`Self::predicted`], [`Self::class`] and [`Self::between`] say which.
#[derive(Clone)]
pub struct LogitAttribution {
    /// What is shown in titles: the model, and the space where it is another's.
    model: String,
    images: Option<ImagesId>,
    components: Vec<Component>,
    /// n x B x d.
    values: Tensor,
    readout: Readout,
    /// Of each image: what its products are multiplied by, and its logits.
    factors: Vec<f64>,
    logits: Vec<Vec<f64>>,
}

/// Take the logits that `readout` makes of `model`'s representations of the images of `set` apart into the shares of
/// components: `attribute_logits(&vit, &images, &probe)`, `attribute_logits(&vit, &images, &vit.head()?)`,
/// `attribute_logits(&clip, &images, Readout::texts(&clip, &["cat", "dog"])?)`.
///
/// Each component keeps its own constants ([`Sharing::Own`]): what biases add on the way is a component of its own.
/// Contributions made otherwise have [`Contributions::attribute_logits`].
///
/// # Errors
/// When the readout is of another model, an image cannot be read, or the call was stopped.
pub fn attribute_logits(
    model: impl AsRef<Model>,
    set: impl DataSet,
    readout: impl Into<Readout>,
) -> Result<LogitAttribution> {
    let model = model.as_ref();
    let options = DecomposeOptions {
        sharing: Sharing::Own,
        ..DecomposeOptions::default()
    };
    session::decompose(model, set, &options)?.attribute_logits(readout)
}

impl Contributions {
    /// The logits that `readout` makes of these representations, taken apart ([`attribute_logits`]).
    ///
    /// # Errors
    /// When the readout is of another model, or these are a part of the components, which do not sum to a
    /// representation.
    pub fn attribute_logits(&self, readout: impl Into<Readout>) -> Result<LogitAttribution> {
        let remedy = "attribute the logits of the whole decomposition, and select from the shares";
        self.check_whole(DOING, remedy)?;
        let readout = readout.into();
        if let Some(origin) = self.origin() {
            readout.check_reads(DOING, &origin.model)?;
        }
        LogitAttribution::new(
            self.origin()
                .map_or("model".to_string(), |origin| origin.model.name.clone()),
            self.origin().map(|origin| origin.images.clone()),
            self.components().to_vec(),
            self.values().clone(),
            self.representation(),
            readout,
        )
    }
}

impl AlignedContributions {
    /// The logits that `readout`, made of texts or fitted in the CLIP's space, makes of the aligned representations, taken
    /// apart: a zero-shot head for a model without text tower.
    ///
    /// # Errors
    /// When the readout is of another CLIP, or these are a part of the components.
    pub fn attribute_logits(&self, readout: impl Into<Readout>) -> Result<LogitAttribution> {
        let remedy = "attribute the logits of all components, and select from the shares";
        self.check_whole(DOING, remedy)?;
        let readout = readout.into();
        if let Some(clip) = self.clip() {
            readout.check_reads(DOING, clip)?;
        }
        let model = self
            .origin()
            .map_or("model".to_string(), |origin| origin.model.name.clone());
        let space = self.clip().map_or(String::new(), |clip| {
            format!(" in the space of {}", clip.name)
        });
        LogitAttribution::new(
            format!("{model}{space}"),
            self.origin().map(|origin| origin.images.clone()),
            self.components().to_vec(),
            self.values().clone(),
            &self.sum()?,
            readout,
        )
    }
}

const DOING: &str = "attributing logits";

impl LogitAttribution {
    fn new(
        model: String,
        images: Option<ImagesId>,
        components: Vec<Component>,
        values: Tensor,
        representation: &Tensor,
        readout: Readout,
    ) -> Result<Self> {
        Ok(Self {
            model,
            images,
            components,
            values,
            factors: readout.factors(representation)?,
            logits: readout.logits(representation)?,
            readout,
        })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.logits.len()
    }

    /// What the classes are called.
    pub fn classes(&self) -> Vec<String> {
        self.readout.classes()
    }

    /// The logits of each image.
    pub fn logits(&self) -> &[Vec<f64>] {
        &self.logits
    }

    /// The class with the largest logit, for each image.
    pub fn predictions(&self) -> Vec<usize> {
        self.logits.iter().map(|logits| best(logits)).collect()
    }

    /// One image, by its number.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn image(&self, number: usize) -> Result<Self> {
        self.select_images(number)
    }

    /// Some images, by their numbers.
    ///
    /// # Errors
    /// When there are none, or one does not exist.
    pub fn select_images(&self, which: impl WhichImages) -> Result<Self> {
        let chosen = which.numbers(self.images())?;
        Ok(Self {
            images: self.images.as_ref().map(|images| images.at(&chosen)),
            values: rows(&self.values, 1, &chosen)?,
            factors: chosen.iter().map(|&i| self.factors[i]).collect(),
            logits: chosen.iter().map(|&i| self.logits[i].clone()).collect(),
            ..self.clone()
        })
    }

    /// The shares in the logit of each image's predicted class.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn predicted(&self) -> Result<LogitShares> {
        let classes = self.predictions();
        let first = classes.first().copied().unwrap_or_default();
        let what = match classes.iter().all(|class| *class == first) {
            true => format!("{}, the predicted class", self.classes()[first]),
            false => "the predicted class of each image".to_string(),
        };
        self.shares(what, &classes, None)
    }

    /// The shares in the logit of one class: its name or its number.
    ///
    /// # Errors
    /// When there is no such class.
    pub fn class(&self, class: impl WhichClass) -> Result<LogitShares> {
        let class = self.readout.class(class)?;
        let what = self.classes()[class].clone();
        self.shares(what, &vec![class; self.images()], None)
    }

    /// The shares in the logit of class `a` less that of class `b`: what made it the one and not the other.
    ///
    /// # Errors
    /// When there is no such class, or both are the same.
    pub fn between(&self, a: impl WhichClass, b: impl WhichClass) -> Result<LogitShares> {
        let (a, b) = (self.readout.class(a)?, self.readout.class(b)?);
        let names = self.classes();
        if a == b {
            let expected = "two classes that differ; .class(..)? takes one alone";
            return Err(Error::argument(
                "classes",
                format!("\"{0}\" and \"{0}\"", names[a]),
                expected,
            ));
        }
        let what = format!("{} less {}", names[a], names[b]);
        self.shares(what, &vec![a; self.images()], Some(b))
    }

    /// The shares in the logits of the class of each image, less that of `against`.
    fn shares(
        &self,
        what: String,
        classes: &[usize],
        against: Option<usize>,
    ) -> Result<LogitShares> {
        let (weight, bias) = (self.readout.weight()?, self.readout.bias()?);
        let mut directions = rows(&weight, 0, classes)?;
        if let Some(b) = against {
            directions = directions.broadcast_sub(&weight.get(b)?)?;
        }
        let less = |of: &dyn Fn(usize) -> f64, class: usize| of(class) - against.map_or(0.0, of);
        let mut shares = Vec::with_capacity(self.components.len());
        for i in 0..self.components.len() {
            let products = (f64(&self.values.get(i)?)? * &directions)?.sum(1)?;
            let products = products.to_vec1::<f64>()?.into_iter().zip(&self.factors);
            shares.push(products.map(|(product, factor)| product * factor).collect());
        }
        let each = || classes.iter().zip(&self.logits);
        Ok(LogitShares::new(
            self.title(),
            what,
            self.readout.unit(),
            self.components.clone(),
            shares,
            classes
                .iter()
                .map(|&class| less(&|c| bias[c], class))
                .collect(),
            each()
                .map(|(&class, logits)| less(&|c| logits[c], class))
                .collect(),
        ))
    }

    fn title(&self) -> String {
        let images = match &self.images {
            Some(images) if self.images() == 1 => images.set.clone(),
            Some(images) => format!("{}, n = {}", images.set, self.images()),
            None => facts::count(self.images(), "image"),
        };
        format!("{}, {images}", self.model)
    }
}

impl fmt::Display for LogitAttribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        let names = self.classes();
        let predictions = self.predictions();
        let counted = (0..names.len())
            .map(|class| (class, predictions.iter().filter(|p| **p == class).count()));
        let mut counted: Vec<(usize, usize)> = counted.filter(|(_, count)| *count > 0).collect();
        counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let rows = counted.iter().take(SHOWN);
        let rows: Vec<(String, f64)> = rows
            .map(|(class, n)| (names[*class].clone(), *n as f64))
            .collect();
        let left = counted.len().saturating_sub(SHOWN);
        let shown = Facts::new(format!("logits of {}, to be taken apart", self.title()))
            .row(
                "components",
                crate::decompose::names_in_words(&self.components),
            )
            .row("classes", facts::list(&names, 100))
            .row(
                "ask",
                ".predicted()?, .class(\"a\")?, .between(\"a\", \"b\")?, of one: .image(0)?",
            )
            .lines(["predicted, images:".to_string()])
            .lines(facts::bars(&rows))
            .lines((left > 0).then(|| format!("and {left} more classes")));
        write!(f, "{shown}")
    }
}

debug_as_display!(LogitAttribution);
