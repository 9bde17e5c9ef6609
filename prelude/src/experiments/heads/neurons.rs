//! Units of an MLP.

use super::words::{correlations, unit};
use crate::activations::{record, select};
use crate::charts::of_tokens::seen;
use crate::charts::{HeatmapGrid, Table, Tile, show_or_say};
use crate::data::DataSet;
use crate::facts::{self, Facts};
use crate::files::rows::{Column, export};
use crate::identity::TextEmbeddings;
use crate::models::Model;
use crate::score::rank;
use crate::session::{self, each_batch};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use std::path::Path;

/// An image that a unit answers to.
#[derive(Clone)]
pub struct NeuronImage {
    /// Its place in the data set.
    pub index: usize,
    pub image: String,
    /// The unit's activation, mean over patches.
    pub activation: f64,
    pixels: Tensor,
    /// The activation at each patch, rows x columns.
    pub map: Tensor,
}

facts::shows!(NeuronImage, |it| Facts::new(format!(
    "image {}, \"{}\"",
    it.index, it.image
))
.row("activation", facts::number(it.activation))
.row("map", facts::tensor(&it.map)));

/// One unit: the texts that go with it, and the images it answers to most and least.
#[derive(Clone)]
pub struct Neuron {
    pub unit: usize,
    /// Texts and correlations, highest first.
    pub words: Vec<(String, f64)>,
    pub top: Vec<NeuronImage>,
    pub bottom: Vec<NeuronImage>,
}

facts::shows!(Neuron, |it| {
    let names = |images: &[NeuronImage]| {
        let names = images.iter().map(|image| image.image.clone());
        facts::list(names.collect::<Vec<_>>(), 110)
    };
    Facts::new(format!("unit {}", it.unit))
        .row("most active", names(&it.top))
        .row("least active", names(&it.bottom))
        .lines(facts::bars(&it.words))
});

/// The units of an MLP that go with some text most.
#[derive(Clone)]
pub struct Neurons {
    title: String,
    block: String,
    /// Highest correlation first.
    pub units: Vec<Neuron>,
}

/// Words of a unit.
const WORDS: usize = 3;

/// The `units` units of the MLP of `block` ("block 5", "stage 3 block 1") of `model` whose activation (after the activation
/// function, mean over patches) goes most with the similarity of one of `texts` to the images, by the CLIP `clip`: the
/// Pearson correlation over images, as in network dissection by CLIP (Oikarinen and Weng 2023, with a plain correlation in
/// place of their weighted mutual information). Each with the `count` images of `images` that it answers to most and least.
///
/// # Errors
/// When the model has no such block, the texts are another CLIP's, there are fewer images or units than asked for, or the
/// call was stopped.
pub fn neurons<S: DataSet + Clone + 'static>(
    model: impl AsRef<Model>,
    clip: impl AsRef<Model>,
    images: &S,
    block: &str,
    texts: impl AsRef<TextEmbeddings>,
    (units, count): (usize, usize),
) -> Result<Neurons> {
    let (model, clip, texts) = (model.as_ref(), clip.as_ref(), texts.as_ref());
    let name = format!("{block} mlp_post");
    let selected = select(model.encoder(), &[&name])?;
    let before = match model.encoder().blocks().iter().any(|b| b.stage.is_some()) {
        true => 0,
        false => model.encoder().token_grid().1,
    };
    let mut means = Vec::new();
    each_batch("record", model, images, 0..images.len(), |start, pixels| {
        let batch = record(model.encoder(), pixels, &selected)?.get(&name)?;
        let patches = batch.dim(1)? - before;
        means.push(
            batch
                .narrow(1, before, patches)?
                .mean(1)?
                .to_device(&Device::Cpu)?,
        );
        Ok(start + batch.dim(0)?)
    })?;
    let means = Tensor::cat(&means, 0)?;
    let embedded = session::embed_images(clip, images)?;
    if let (Some(origin), Some(own)) = (texts.origin(), embedded.origin())
        && let Some(reason) = own.model.weights_differ(&origin.clip)
    {
        return Err(crate::decompose::unrelated(
            "labelling units",
            &format!("images embedded by {}", own.model),
            &format!("texts of {}", origin.clip),
            reason,
            "embed the texts with the same CLIP: class_embeddings(&clip, &texts)?",
        ));
    }
    let similar =
        unit(&embedded)?.matmul(&texts.tensor().to_dtype(DType::F64)?.t()?.contiguous()?)?;
    let found = correlations(&means, &similar)?;
    let all = found.len();
    if units == 0 || units > all {
        return Err(Error::argument(
            "units",
            units,
            format!("from 1 to {all}, those of {block}"),
        ));
    }
    if count == 0 || 2 * count > images.len() {
        let expected = format!("from 1 to {}, half of the images", images.len() / 2);
        return Err(Error::argument("count", count, expected));
    }
    let best = |row: &[f64]| row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut order: Vec<usize> = (0..all).collect();
    order.sort_by(|&a, &b| best(&found[b]).total_cmp(&best(&found[a])));
    let names: Vec<String> = (0..images.len()).map(|i| images.image_name(i)).collect();
    let means: Vec<Vec<f64>> = means.to_dtype(DType::F64)?.t()?.contiguous()?.to_vec2()?;
    let shown = order[..units].iter().map(|&unit| {
        let ranked = rank(&names, &means[unit])?;
        let top = ranked[..count].iter();
        let bottom = ranked[ranked.len() - count..].iter().rev();
        let chosen: Vec<usize> = top.chain(bottom).map(|ranked| ranked.index).collect();
        let mut words: Vec<(String, f64)> = texts
            .texts()
            .iter()
            .cloned()
            .zip(found[unit].iter().copied())
            .collect();
        words.sort_by(|a, b| b.1.total_cmp(&a.1));
        words.truncate(WORDS);
        let part = images.subset(&chosen)?;
        let values = session::activations(model, &part, &[&name])?.get(&name)?;
        let values = values
            .narrow(2, unit, 1)?
            .squeeze(2)?
            .to_device(&Device::Cpu)?;
        let patches = values.dim(1)? - before;
        let side = patches.isqrt();
        let maps = values
            .narrow(1, before, patches)?
            .contiguous()?
            .reshape(((), side, side))?;
        let pixels = seen(
            &part,
            &(0..chosen.len()).collect::<Vec<_>>(),
            Some(model.input()),
        )?;
        let each = chosen.iter().enumerate().map(|(i, &index)| {
            Ok(NeuronImage {
                index,
                image: names[index].clone(),
                activation: means[unit][index],
                pixels: pixels.get(i)?,
                map: maps.get(i)?,
            })
        });
        let mut top = each.collect::<Result<Vec<_>>>()?;
        let bottom = top.split_off(count);
        Ok(Neuron {
            unit,
            words,
            top,
            bottom,
        })
    });
    Ok(Neurons {
        title: format!(
            "{} {block}: units of the MLP, {}, n = {}",
            model.name(),
            images.name(),
            images.len()
        ),
        block: block.to_string(),
        units: shown.collect::<Result<_>>()?,
    })
}

impl Neurons {
    /// One row a unit: its words with their correlations, and its strongest image.
    pub fn table(&self) -> Table {
        let words = (1..=WORDS).map(|i| format!("word {i}"));
        let header = ["unit".to_string()].into_iter().chain(words);
        let header = header.chain(["most", "least"].map(str::to_string));
        let table = Table::new(self.title.as_str()).columns(header);
        let image = |images: &[NeuronImage]| {
            let first = images.first();
            first.map_or(String::new(), |i| {
                format!("{} ({})", i.image, facts::number(i.activation))
            })
        };
        self.units.iter().fold(table, |table, unit| {
            let words = unit
                .words
                .iter()
                .map(|(word, r)| format!("{word} ({r:.2})"));
            let words = words.chain(std::iter::repeat(String::new())).take(WORDS);
            let first = std::iter::once(unit.unit.to_string());
            table.row(
                first
                    .chain(words)
                    .chain([image(&unit.top), image(&unit.bottom)]),
            )
        })
    }

    /// One row a unit: the images it answers to most, with its activation at each patch.
    ///
    /// # Errors
    /// Pictures that cannot be laid out.
    pub fn chart(&self) -> Result<HeatmapGrid> {
        let most = self
            .units
            .iter()
            .map(|unit| unit.top.len())
            .max()
            .unwrap_or(1);
        let legend = "activation of the unit at each patch, each map on its own scale";
        // Units have no common measure, so each map has its own.
        let mut grid = HeatmapGrid::new(self.title.as_str(), legend)
            .columns(most)
            .own_scales();
        for unit in &self.units {
            for image in &unit.top {
                let (word, r) = unit.words.first().map_or(("", 0.0), |(word, r)| (word, *r));
                let activation = facts::number(image.activation);
                let caption = format!(
                    "unit {} ({word}, r {r:.2}): {} ({activation})",
                    unit.unit, image.image
                );
                grid = grid.tile(Tile::of_pixels(&image.pixels, caption)?.heat(&image.map)?);
            }
        }
        Ok(grid)
    }

    /// Writes one row for each unit and image: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let all: Vec<(&Neuron, &NeuronImage)> = self
            .units
            .iter()
            .flat_map(|unit| {
                unit.top
                    .iter()
                    .chain(&unit.bottom)
                    .map(move |image| (unit, image))
            })
            .collect();
        let word = |(unit, _): &(&Neuron, &NeuronImage)| {
            unit.words
                .first()
                .map_or(String::new(), |(word, _)| word.clone())
        };
        export(
            path.as_ref(),
            &[
                ("block", Column::Text(vec![self.block.clone(); all.len()])),
                (
                    "unit",
                    Column::Count(all.iter().map(|(unit, _)| unit.unit).collect()),
                ),
                ("word", Column::Text(all.iter().map(word).collect())),
                (
                    "image",
                    Column::Text(all.iter().map(|(_, i)| i.image.clone()).collect()),
                ),
                (
                    "index",
                    Column::Count(all.iter().map(|(_, i)| i.index).collect()),
                ),
                (
                    "activation",
                    Column::Number(all.iter().map(|(_, i)| i.activation).collect()),
                ),
            ],
        )
    }

    /// Shown by evcxr: the pictures.
    pub fn evcxr_display(&self) {
        show_or_say(self.chart())
    }
}

impl std::fmt::Display for Neurons {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.table())
    }
}

crate::identity::debug_as_display!(Neurons);
