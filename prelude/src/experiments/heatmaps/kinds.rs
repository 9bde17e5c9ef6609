//! Heatmaps of several features beside each other, and of every head for one text.

use super::together::token_importance;
use crate::align::{AlignedContributions, AlignedStack};
use crate::charts::of_tokens::{check_images, seen};
use crate::charts::{HeatmapGrid, Table, Tile, show_or_say};
use crate::data::DataSet;
use crate::decompose::{Component, TokenScores, TokenShares};
use crate::files::rows::{Column, export};
use crate::identity::TextEmbeddings;
use crate::score::{Ranking, ShownSign, enlarge, scaled};
use crate::{Error, Result, check, facts};
use candle_core::Tensor;
use std::path::Path;
use std::sync::Arc;

/// How values become colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeatScale {
    /// One scale for all maps, symmetric around 0.
    #[default]
    Shared,
    /// A scale for each map, symmetric around 0.
    Own,
    /// As the published pictures: over the grey image, each map enlarged and divided by the value at which its sorted
    /// absolute values have summed to 98 % (Captum's `outlier_perc=2`), clipped to -1 to 1.
    Published,
}

/// Images and what heads give each text for in them.
#[derive(Clone)]
pub struct Heatmaps {
    title: String,
    pixels: Tensor,
    names: Vec<String>,
    /// One column: of one direction each.
    pub columns: Vec<TokenScores>,
}

/// For each pair of heads and one text, (`scores.select("* head *")?.top(3)?`, `class_embeddings(&clip, &["sea"])?`), what
/// the source tokens of those heads give along the text in each image. `images` are those of `aligned`, few of them.
///
/// # Errors
/// Other images than those of `aligned`; more or fewer than one text a pair; as [`token_importance`].
pub fn heatmaps(
    images: impl DataSet,
    aligned: impl AlignedStack,
    columns: &[(Ranking, Arc<TextEmbeddings>)],
) -> Result<Heatmaps> {
    let set: &dyn DataSet = &images;
    let of = aligned.made_of().map(|origin| &origin.images);
    check_images("drawing heatmaps", of, aligned.image_count(), set)?;
    let columns = columns.iter().map(|(heads, text)| {
        check::same("text", text.texts().len(), 1, "text a map")?;
        token_importance(&aligned, heads, text)
    });
    let columns: Vec<TokenScores> = columns.collect::<Result<_>>()?;
    let first = columns
        .first()
        .ok_or_else(|| Error::argument("columns", "none", "one pair of heads and text or more"))?;
    let which: Vec<usize> = (0..set.len()).collect();
    let model = aligned
        .made_of()
        .map_or(String::new(), |origin| format!("{}: ", origin.model));
    Ok(Heatmaps {
        title: format!("{model}token importance, {}, n = {}", set.name(), set.len()),
        pixels: seen(set, &which, first.origin().2)?,
        names: which.iter().map(|&i| set.image_name(i)).collect(),
        columns,
    })
}

impl Heatmaps {
    /// Each image, then its maps, one row an image.
    ///
    /// # Errors
    /// [`HeatScale::Published`] of a map that is 0 everywhere.
    pub fn chart(&self, scale: HeatScale) -> Result<HeatmapGrid> {
        let legend = match scale {
            HeatScale::Published => "each map over its 98 % value, clipped to -1 to 1",
            _ => "what each patch gives along the text",
        };
        let mut grid =
            HeatmapGrid::new(self.title.as_str(), legend).columns(self.columns.len() + 1);
        if scale == HeatScale::Own {
            grid = grid.own_scales();
        }
        for (i, name) in self.names.iter().enumerate() {
            let pixels = self.pixels.get(i)?;
            grid = grid.tile(Tile::of_pixels(&pixels, name.as_str())?);
            for scores in &self.columns {
                let text = &scores.directions()[0];
                let map = scores.map(i, text)?;
                let caption = format!("{text}: {}", scores.component());
                grid = grid.tile(match scale {
                    HeatScale::Published => {
                        let (_, height, width) = pixels.dims3()?;
                        let map = scaled(&enlarge(&map, height, width)?, ShownSign::All, 2.0)?;
                        Tile::of_pixels(&grey(&pixels)?, caption)?.heat(&map.values)?
                    }
                    _ => Tile::of_pixels(&pixels, caption)?.heat(&map)?,
                });
            }
        }
        Ok(grid)
    }

    /// One row for each image and text: what class token, registers and patches have of it, and the hottest patch.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn table(&self) -> Result<Table> {
        let header = [
            "image",
            "text",
            "heads",
            "all tokens",
            "class token and registers",
            "patches",
            "hottest patch",
        ];
        let mut table = Table::new(self.title.as_str()).columns(header);
        for (i, name) in self.names.iter().enumerate() {
            for scores in &self.columns {
                let text = &scores.directions()[0];
                let shares = scores.shares(i, text)?;
                let whose = [name.clone(), text.clone(), scores.component().to_string()];
                table = table.row(whose.into_iter().chain(cells(&shares)));
            }
        }
        Ok(table)
    }

    /// Shown by evcxr: the maps on one scale.
    pub fn evcxr_display(&self) {
        show_or_say(self.chart(HeatScale::Shared))
    }
}

/// What all tokens, those before the patches, and the patches give, and where the hottest patch is, for a table.
fn cells(shares: &TokenShares) -> [String; 4] {
    let before: f64 = shares.before.iter().map(|(_, v)| v).sum();
    let (row, column, _) = shares.hottest;
    [
        format!("{:.4}", shares.total),
        format!("{before:.4}"),
        format!("{:.4}", shares.patches),
        format!("row {row}, column {column}"),
    ]
}

/// 3 x H x W with the mean of the channels in each, as Captum's grey image.
fn grey(pixels: &Tensor) -> Result<Tensor> {
    Ok(pixels
        .mean_keepdim(0)?
        .broadcast_as(pixels.shape())?
        .contiguous()?)
}

/// One image, and what every head gives along one text in it.
#[derive(Clone)]
pub struct HeadMaps {
    title: String,
    image: String,
    pixels: Tensor,
    /// One for each head, in the order of the model.
    pub heads: Vec<TokenScores>,
}

/// What the source tokens of each head of `aligned` give along one `text` in the one image of `images`:
/// `head_maps(images.subset(&[7])?, &aligned.image(7)?, &text)?`.
///
/// # Errors
/// More or other images than the one of `aligned`, more than one text, contributions without source tokens.
pub fn head_maps(
    images: impl DataSet,
    aligned: impl AsRef<AlignedContributions>,
    text: impl AsRef<TextEmbeddings>,
) -> Result<HeadMaps> {
    let (aligned, text) = (aligned.as_ref(), text.as_ref());
    let set: &dyn DataSet = &images;
    check::same(
        "images",
        set.len(),
        1,
        "image, such as images.subset(&[7])? and aligned.image(7)?,",
    )?;
    check::same("text", text.texts().len(), 1, "text")?;
    let of = aligned.origin().map(|origin| &origin.images);
    check_images("drawing heads", of, aligned.images(), set)?;
    let heads = aligned.components().iter().filter(|c| c.is_head());
    let heads: Vec<String> = heads.map(Component::to_string).collect();
    let heads = aligned.tokens_along(&heads, text)?;
    let input = heads.first().and_then(|scores| scores.origin().2);
    let model = aligned
        .origin()
        .map_or(String::new(), |origin| format!("{}: ", origin.model));
    let image = set.image_name(0);
    Ok(HeadMaps {
        title: format!(
            "{model}every head along \"{}\", image {image}",
            text.texts()[0]
        ),
        image,
        pixels: seen(set, &[0], input)?.get(0)?,
        heads,
    })
}

impl HeadMaps {
    /// A thumbnail for each head, on one scale.
    ///
    /// # Errors
    /// Pictures that cannot be laid out.
    pub fn chart(&self) -> Result<HeatmapGrid> {
        let mut grid =
            HeatmapGrid::new(self.title.as_str(), "what each patch gives along the text")
                .columns(6);
        for scores in &self.heads {
            let text = &scores.directions()[0];
            let total = facts::number(scores.shares(0, text)?.total);
            let caption = format!("{}: {total}", scores.component());
            grid = grid.tile(Tile::of_pixels(&self.pixels, caption)?.heat(&scores.map(0, text)?)?);
        }
        Ok(grid)
    }

    /// One row a head.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn table(&self) -> Result<Table> {
        let header = [
            "head",
            "all tokens",
            "class token and registers",
            "patches",
            "hottest patch",
        ];
        let mut table = Table::new(self.title.as_str()).columns(header);
        for scores in &self.heads {
            let shares = scores.shares(0, &scores.directions()[0])?;
            let head = std::iter::once(scores.component().to_string());
            table = table.row(head.chain(cells(&shares)));
        }
        Ok(table)
    }

    /// Writes one row a head: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let shares = self.heads.iter().map(|s| s.shares(0, &s.directions()[0]));
        let shares = shares.collect::<Result<Vec<_>>>()?;
        let names = self.heads.iter().map(|s| s.component().to_string());
        export(
            path.as_ref(),
            &[
                (
                    "image",
                    Column::Text(vec![self.image.clone(); shares.len()]),
                ),
                ("head", Column::Text(names.collect())),
                (
                    "total",
                    Column::Number(shares.iter().map(|s| s.total).collect()),
                ),
                (
                    "patches",
                    Column::Number(shares.iter().map(|s| s.patches).collect()),
                ),
            ],
        )
    }

    /// Shown by evcxr: the thumbnails.
    pub fn evcxr_display(&self) {
        show_or_say(self.chart())
    }
}

/// The table, or what kept it from being made.
fn text(table: Result<Table>) -> String {
    table.map_or_else(|error| error.to_string(), |table| table.to_string())
}

impl std::fmt::Display for Heatmaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&text(self.table()))
    }
}

impl std::fmt::Display for HeadMaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&text(self.table()))
    }
}

crate::identity::debug_as_display!(Heatmaps, HeadMaps);
