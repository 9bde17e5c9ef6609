//! The experiment: maps of a data set by every method, against its masks.

use super::examples::Example;
use super::maps::Batch;
use super::{Segmentation, SegmentationExamples, SegmentationMethod, SegmentationRow};
use crate::align::Alignment;
use crate::data::{DataSet, Labels};
use crate::decompose::part::whole;
use crate::decompose::{
    ChunkedContributions, DecomposeOptions, DecomposeTarget, Decomposer, Granularity, Origin,
    no_tokens, unrelated,
};
use crate::facts::{self, Facts};
use crate::identity::{ImagesId, ModelId, TextEmbeddings, debug_as_display};
use crate::models::Model;
use crate::process::stop;
use crate::score::{LinearHead, SegmentationScores, segment};
use crate::session::each_batch;
use crate::trace::Block;
use crate::{Error, Result, check};
use candle_core::{DType, Tensor};
use std::fmt;
use std::sync::Arc;

/// What is compared, and how.
#[derive(Clone)]
pub struct SegmentationSettings {
    pub methods: Vec<SegmentationMethod>,
    /// The column whose value is an image's class; where there is none, the class that `head` predicts is taken, and said.
    pub column: Option<String>,
    /// Blocks before this one are not decomposed; all are by default. (Published: the last 7 of a ViT-B's 12.)
    pub first_block: Option<Block>,
    /// For [`SegmentationMethod::DecompositionToText`]: an alignment of the model and one text for each class of the head.
    pub texts: Option<(Arc<Alignment>, Arc<TextEmbeddings>)>,
    /// Images of which the maps are kept, to be looked at.
    pub examples: usize,
    /// Contributions of the same images with source tokens, `Contributions::open("run.zarr")?`, from which the decomposition
    /// is read instead of being made anew.
    pub stored: Option<ChunkedContributions>,
}

impl fmt::Display for SegmentationSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods = self.methods.iter().map(|method| method.name());
        let class = match &self.column {
            Some(column) => format!("of the column \"{column}\""),
            None => "what the head predicts".to_string(),
        };
        let first = self.first_block;
        let shown = Facts::new("how images are segmented")
            .row("methods", facts::list(methods, 110))
            .row("class of an image", class)
            .maybe("decomposed from", first.map(|block| block.to_string()))
            .maybe(
                "texts",
                self.texts.as_ref().map(|(_, texts)| texts.texts().len()),
            )
            .row("examples kept", self.examples)
            .maybe(
                "decomposition read from",
                self.stored.as_ref().map(ChunkedContributions::place),
            );
        write!(f, "{shown}")
    }
}

debug_as_display!(SegmentationSettings);

impl Default for SegmentationSettings {
    fn default() -> Self {
        Self {
            methods: SegmentationMethod::all(),
            column: None,
            first_block: None,
            texts: None,
            examples: 4,
            stored: None,
        }
    }
}

/// Segment `images`, which have masks, by each of the settings' methods for the class of each image, a logit of `head`
/// (`&model.head()?`, or a probe). Nothing is kept but sums, whatever the number of images.
///
/// # Errors
/// When the images have no masks, the head is of another model or has fewer classes than the labels, an image cannot be
/// read, or the call was stopped.
pub fn segmentation(
    model: impl AsRef<Model>,
    images: impl DataSet,
    head: &LinearHead,
    settings: &SegmentationSettings,
) -> Result<Segmentation> {
    let model = model.as_ref();
    let set: &dyn DataSet = &images;
    let encoder = model.encoder();
    check::same("head", head.width(), encoder.width(), "channels")?;
    let options = DecomposeOptions {
        granularity: Granularity::Tokens,
        first_block: settings.first_block,
        ..DecomposeOptions::default()
    };
    let decomposer = Decomposer::new(encoder, options)?.until(stop::requested);
    if let Some(stored) = &settings.stored {
        check_stored(stored, model, set, settings.first_block)?;
    }
    let decompose = |start: usize, pixels: &Tensor| match &settings.stored {
        Some(stored) => stored.select_images(start..start + pixels.dim(0)?),
        None => decomposer.run(pixels),
    };
    let labels = settings
        .column
        .as_deref()
        .map(|column| classes(set, column, head))
        .transpose()?;
    if let Some((_, texts)) = &settings.texts {
        check::same(
            "texts",
            texts.texts().len(),
            head.classes(),
            "classes of the head",
        )?;
    }
    let mut results = Segmentation {
        model: model.name().to_string(),
        data: set.name().to_string(),
        images: 0,
        classes: match &settings.column {
            Some(column) => format!("class by \"{column}\""),
            None => "class as predicted".to_string(),
        },
        rows: Vec::new(),
        undefined: Vec::new(),
        examples: SegmentationExamples::default(),
    };
    let mut methods: Vec<SegmentationMethod> = Vec::new();
    let mut first = true;
    let mut sums: Vec<SegmentationScores> = Vec::new();
    each_batch("segment", model, set, 0..set.len(), |start, pixels| {
        let count = pixels.dim(0)?;
        let classes = match &labels {
            Some(labels) => labels[start..start + count].to_vec(),
            None => head.predict(
                &encoder
                    .forward(pixels, &crate::trace::Tape::off())?
                    .representation
                    .value()
                    .clone(),
            )?,
        };
        let batch = Batch {
            model,
            head,
            decompose: &decompose,
            start,
            texts: settings.texts.as_ref(),
            pixels,
            classes: &classes,
        };
        if std::mem::take(&mut first) {
            let one = Batch {
                pixels: &pixels.narrow(0, 0, 1)?,
                classes: &classes[..1],
                ..batch
            };
            for method in &settings.methods {
                match one.maps(&[*method]) {
                    Ok(_) => methods.push(*method),
                    // The method is not defined on this model.
                    Err(Error::Argument {
                        name,
                        value,
                        expected,
                    }) if name == "method" || name == "texts" => {
                        results
                            .undefined
                            .push((*method, format!("{value}: {expected}")));
                    }
                    Err(error) => return Err(error),
                }
            }
            sums = vec![SegmentationScores::default(); methods.len()];
        }
        let indices: Vec<usize> = (start..start + count).collect();
        let masks = set.masks(&indices, model.input())?;
        let maps = batch.maps(&methods)?;
        for (maps, sum) in maps.iter().zip(&mut sums) {
            for i in 0..count {
                sum.add(&segment(&maps.get(i)?, &masks.get(i)?)?);
            }
        }
        for (i, &class) in classes.iter().enumerate() {
            if start + i < settings.examples {
                let own = maps
                    .iter()
                    .map(|maps| maps.get(i))
                    .collect::<candle_core::Result<_>>()?;
                results.examples.add(Example {
                    image: set.image_name(start + i),
                    class: head.name(class),
                    pixels: picture(set, start + i, model)?,
                    mask: masks.get(i)?.to_dtype(DType::F32)?,
                    maps: own,
                });
            }
        }
        results.images = start + count;
        Ok(start + count)
    })?;
    results.examples.named(&results.model, &methods);
    let rows = methods.into_iter().zip(sums);
    results.rows = rows
        .map(|(method, scores)| SegmentationRow { method, scores })
        .collect();
    Ok(results)
}

/// Refuses contributions that are not those of `images` in `model`, whole and with source tokens.
fn check_stored(
    stored: &ChunkedContributions,
    model: &Model,
    set: &dyn DataSet,
    first_block: Option<Block>,
) -> Result<()> {
    let doing = "segmenting by stored contributions";
    if !stored.has_tokens() {
        return Err(no_tokens());
    }
    whole(
        doing,
        stored.len(),
        stored.part_of(),
        "open the whole store",
    )?;
    let Some(origin) = stored.origin() else {
        return Err(Error::argument(
            "stored",
            stored.place(),
            "contributions that know what they were made of, as decompose(..) makes them",
        ));
    };
    let wanted = Origin {
        model: ModelId::of(model),
        options: DecomposeOptions {
            first_block: first_block.or(origin.options.first_block),
            target: DecomposeTarget::Representation,
            ..origin.options
        },
        images: ImagesId::of(set),
    };
    let differ = origin.difference(&wanted);
    match differ.or_else(|| origin.images.difference(&wanted.images)) {
        None => Ok(()),
        Some(reason) => Err(unrelated(
            doing,
            &format!("the store {} of {origin}", stored.place()),
            &format!("the segmentation of {wanted}"),
            reason,
            "open the store of these images, or leave it out",
        )),
    }
}

/// The picture as the model sees it, before normalisation.
fn picture(set: &dyn DataSet, index: usize, model: &Model) -> Result<Tensor> {
    Ok(set.pixels(&[index], model.input())?.get(0)?)
}

/// The class of each image in the numbers of the head: by name where the head has names, else by value.
fn classes(set: &dyn DataSet, column: &str, head: &LinearHead) -> Result<Vec<usize>> {
    let Labels { values, names } = set.labels(column)?;
    let numbers: Vec<usize> = match head.names() {
        None => (0..names.len()).collect(),
        Some(known) => names
            .iter()
            .map(|name| {
                let found = known.iter().position(|known| known == name);
                found.ok_or_else(|| {
                    let list = crate::facts::list(known, 200);
                    let expected = format!("one of the head's classes: {list}");
                    Error::argument("class", format!("\"{name}\""), expected)
                })
            })
            .collect::<Result<_>>()?,
    };
    match numbers.iter().find(|class| **class >= head.classes()) {
        Some(class) => {
            let expected = format!("below {}, the classes of the head", head.classes());
            Err(Error::argument("class", class, expected))
        }
        None => Ok(values.into_iter().map(|value| numbers[value]).collect()),
    }
}
