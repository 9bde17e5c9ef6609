//! One attention head.

use super::words::attributed;
use crate::align::AlignedContributions;
use crate::charts::of_tokens::{check_images, seen};
use crate::charts::{HeatmapGrid, Table, Tile, show_or_say};
use crate::data::DataSet;
use crate::decompose::TokenScores;
use crate::facts::{self, Facts};
use crate::files::rows::{Column, export};
use crate::identity::TextEmbeddings;
use crate::models::Model;
use crate::score::{rank, text_span};
use crate::{Error, Result, session};
use candle_core::{DType, Device, Tensor};
use std::path::Path;

/// An image that a head answers to.
#[derive(Clone)]
pub struct HeadImage {
    /// Its place in the data set.
    pub index: usize,
    pub image: String,
    /// What the head gives along its first word in this image.
    pub score: f64,
    pixels: Tensor,
    /// What each patch gives along the word, rows x columns.
    pub tokens: Tensor,
    /// How much attention each patch has, rows x columns.
    pub attention: Tensor,
}

facts::shows!(HeadImage, |it| Facts::new(format!(
    "image {}, \"{}\"",
    it.index, it.image
))
.row("score", facts::number(it.score))
.row("tokens", facts::tensor(&it.tokens))
.row("attention", facts::tensor(&it.attention)));

/// One head: its words, the images it gives most and least along the first of them, and where it looks there.
#[derive(Clone)]
pub struct HeadStudy {
    title: String,
    head: String,
    /// The texts that the head moves the representation along most: the correlation over images of what it gives along a
    /// text with what all components give, the paper's score with each text as a feature of its own.
    pub words: Vec<(String, f64)>,
    /// The greedy text span (Gandelsman et al. 2024): texts, and the share of the head's variance in the span so far.
    pub span: Vec<(String, f64)>,
    /// The images with the highest scores, highest first.
    pub top: Vec<HeadImage>,
    /// The images with the lowest scores, lowest first.
    pub bottom: Vec<HeadImage>,
    attention: &'static str,
}

/// Words of a head.
const WORDS: usize = 5;

/// Look at the head `head` ("block 5 head 3") of `model`: its words among `texts`, and the `count` images
/// of `images` that it gives most and least along the first word, each with the maps of its source tokens and of its
/// attention: the class token's row where there is one, else how much attention each token has from those it shares a window
/// with. `aligned` are the images' contributions with source tokens.
///
/// # Errors
/// When `aligned` is of other images, another model or has no source tokens, no head is called so, or an image cannot be
/// read.
pub fn head_study<S: DataSet + Clone + 'static>(
    model: impl AsRef<Model>,
    images: &S,
    aligned: impl AsRef<AlignedContributions>,
    head: &str,
    texts: impl AsRef<TextEmbeddings>,
    count: usize,
) -> Result<HeadStudy> {
    let (model, aligned, texts) = (model.as_ref(), aligned.as_ref(), texts.as_ref());
    let of = aligned.origin().map(|origin| &origin.images);
    check_images("studying a head", of, aligned.images(), images)?;
    if let Some(origin) = texts.origin() {
        aligned.check_clip("studying a head", "texts", &origin.clip)?;
    }
    aligned.tokens(head)?;
    let values = aligned.get(head)?;
    let most = WORDS.min(texts.texts().len()).min(aligned.images());
    aligned.check_whole("studying a head", "aligned, not a part of it")?;
    let span = text_span(&values, texts, most)
        .map_err(|e| Error::data(head, format!("it cannot be labelled ({e})")))?;
    let along = |rows: &Tensor| -> Result<Tensor> {
        let rows = rows.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let texts = texts
            .tensor()
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F64)?;
        Ok(rows.matmul(&texts.t()?.contiguous()?)?)
    };
    let found = attributed(&along(&values)?, &along(&aligned.sum()?)?)?;
    let ranked = rank(texts.texts(), &found)?;
    let words: Vec<(String, f64)> = ranked[..most]
        .iter()
        .map(|ranked| (ranked.name.clone(), ranked.score))
        .collect();
    let word = texts.rows(&[ranked[0].index])?;
    let scores: Vec<f64> = along(&values)?.get_on_dim(1, ranked[0].index)?.to_vec1()?;
    let span = span.picks.iter().zip(&span.explained);
    let span = span.map(|(&pick, &explained)| (texts.texts()[pick].clone(), explained));
    let names: Vec<String> = (0..images.len()).map(|i| images.image_name(i)).collect();
    if count == 0 || 2 * count > names.len() {
        let expected = format!("from 1 to {}, half of the images", names.len() / 2);
        return Err(Error::argument("count", count, expected));
    }
    let ranked = rank(&names, &scores)?;
    let best = ranked[..count].iter();
    let worst = ranked[ranked.len() - count..].iter().rev();
    let chosen: Vec<usize> = best.chain(worst).map(|ranked| ranked.index).collect();
    let part = images.subset(&chosen)?;
    let tokens = aligned.select_images(chosen.clone())?.tokens(head)?;
    let given = tokens.along(&word)?;
    let pattern = format!("{head} pattern");
    let recorded = session::activations(model, &part, &[&pattern])?.get(&pattern)?;
    let (attention, of_class) = looks(&given, &tokens, &recorded)?;
    let pixels = seen(
        &part,
        &(0..chosen.len()).collect::<Vec<_>>(),
        Some(model.input()),
    )?;
    let each = chosen.iter().enumerate().map(|(i, &index)| {
        Ok(HeadImage {
            index,
            image: names[index].clone(),
            score: scores[index],
            pixels: pixels.get(i)?,
            tokens: given.map(i, &words[0].0)?,
            attention: attention.get(i)?,
        })
    });
    let mut top = each.collect::<Result<Vec<_>>>()?;
    let bottom = top.split_off(count);
    Ok(HeadStudy {
        title: format!(
            "{} {head}, {}, n = {}",
            model.name(),
            images.name(),
            images.len()
        ),
        head: head.to_string(),
        words,
        span: span.collect(),
        top,
        bottom,
        attention: match of_class {
            true => "attention of the class token",
            false => "attention that each token has from its window",
        },
    })
}

/// Attention maps B x rows x columns out of a head's patterns, and whether they are the class token's.
fn looks(
    given: &TokenScores,
    tokens: &crate::decompose::HeadTokens,
    patterns: &Tensor,
) -> Result<(Tensor, bool)> {
    let layout = given.layout();
    let (before, side) = (layout.before().len(), layout.side());
    let n = patterns.dim(candle_core::D::Minus1)?;
    let patterns = patterns
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F32)?
        .reshape(((), n, n))?;
    let of_class = layout
        .before()
        .first()
        .is_some_and(|name| name == "class token");
    let rows = match of_class {
        true => patterns.narrow(1, 0, 1)?.squeeze(1)?,
        false => {
            let received = patterns.mean(1)?.unsqueeze(2)?;
            tokens.in_place(&received)?.squeeze(2)?
        }
    };
    let patches = rows.narrow(1, before, side * side)?.contiguous()?;
    Ok((patches.reshape(((), side, side))?, of_class))
}

impl HeadStudy {
    /// The images that the head gives most along its first word, with the maps of its source tokens below; then those that it
    /// gives least.
    ///
    /// # Errors
    /// Pictures that cannot be laid out.
    pub fn chart(&self) -> Result<HeatmapGrid> {
        let title = format!(
            "{}: most and least along \"{}\"",
            self.title, self.words[0].0
        );
        let legend = "what each patch gives along the text";
        let mut grid = HeatmapGrid::new(title, legend).columns(self.top.len());
        for (which, images) in [("most", &self.top), ("least", &self.bottom)] {
            for image in images {
                let score = facts::number(image.score);
                let caption = format!("{which}: {} ({score})", image.image);
                grid = grid.tile(Tile::of_pixels(&image.pixels, caption)?);
            }
            for image in images {
                let tile = Tile::of_pixels(&image.pixels, "its source tokens")?;
                grid = grid.tile(tile.heat(&image.tokens)?);
            }
        }
        Ok(grid)
    }

    /// Where the head looks in the same images.
    ///
    /// # Errors
    /// Pictures that cannot be laid out.
    pub fn attention(&self) -> Result<HeatmapGrid> {
        let grid = HeatmapGrid::new(format!("{}: where it looks", self.title), self.attention);
        let mut grid = grid.columns(self.top.len());
        for image in self.top.iter().chain(&self.bottom) {
            let tile = Tile::of_pixels(&image.pixels, image.image.as_str())?;
            grid = grid.tile(tile.heat(&image.attention)?);
        }
        Ok(grid)
    }

    /// The head's words with their correlations, beside the text span.
    pub fn table(&self) -> Table {
        let header = [
            "word",
            "variance attributed",
            "text span",
            "explained so far, %",
        ];
        let table = Table::new(format!("{}: words", self.title)).columns(header);
        let none = (String::new(), f64::NAN);
        let span = self.span.iter().chain(std::iter::repeat(&none));
        let rows = self.words.iter().zip(span);
        rows.fold(table, |table, ((word, score), (spanned, explained))| {
            table.row([
                word.clone(),
                format!("{score:.3}"),
                spanned.clone(),
                match explained.is_nan() {
                    true => String::new(),
                    false => format!("{:.1}", 100.0 * explained),
                },
            ])
        })
    }

    /// Writes one row for each image that is shown: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let all: Vec<&HeadImage> = self.top.iter().chain(&self.bottom).collect();
        let text = |of: &str| Column::Text(vec![of.to_string(); all.len()]);
        export(
            path.as_ref(),
            &[
                ("head", text(&self.head)),
                ("word", text(&self.words[0].0)),
                (
                    "image",
                    Column::Text(all.iter().map(|i| i.image.clone()).collect()),
                ),
                (
                    "index",
                    Column::Count(all.iter().map(|i| i.index).collect()),
                ),
                (
                    "score",
                    Column::Number(all.iter().map(|i| i.score).collect()),
                ),
            ],
        )
    }

    /// Shown by evcxr: images and maps.
    pub fn evcxr_display(&self) {
        show_or_say(self.chart())
    }
}

impl std::fmt::Display for HeadStudy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.table())
    }
}

crate::identity::debug_as_display!(HeadStudy);
