//! How much source tokens give along directions.

use super::TokenLayout;
use crate::data::{ModelInput, WhichImages};
use crate::decompose::part::rows;
use crate::facts::{self, Facts};
use crate::files::rows::{Column, export};
use crate::identity::{ImagesId, ModelId, debug_as_display};
use crate::{Error, Result, check, files};
use candle_core::Tensor;
use std::fmt;
use std::path::Path;

/// How much each source token of a head (or of several together) gives along some directions, for B images:
/// [`HeadTokens::along`](super::HeadTokens::along) makes them. They know how tokens lie in the image, so that class token
/// and registers are kept apart from patches, and draw themselves over the pictures ([`Self::heatmap`]).
#[derive(Clone)]
pub struct TokenScores {
    component: String,
    directions: Vec<String>,
    values: Tensor,
    layout: TokenLayout,
    model: Option<ModelId>,
    images: Option<ImagesId>,
    input: Option<ModelInput>,
}

/// What the tokens of one image give along one direction, in parts.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenShares {
    /// All tokens together: what the head gives along the direction, but for an aligner's bias.
    pub total: f64,
    /// Each token before the patches, by name.
    pub before: Vec<(String, f64)>,
    /// All patches together.
    pub patches: f64,
    /// Row and column of the patch that gives most, and how much that is.
    pub hottest: (usize, usize, f64),
}

impl TokenScores {
    /// `values` B x T x k of f32 on the CPU, of `directions` (k) in `layout` (T).
    pub(crate) fn new(
        component: String,
        directions: Vec<String>,
        values: Tensor,
        layout: TokenLayout,
    ) -> Result<Self> {
        let (_, tokens, count) = check::stack("token scores", &values)?;
        check::same("token scores", tokens, layout.tokens(), "tokens")?;
        check::same("directions", directions.len(), count, "directions")?;
        Ok(Self {
            component,
            directions,
            values,
            layout,
            model: None,
            images: None,
            input: None,
        })
    }

    /// This value, marked as being of a model's images brought to size by `input`.
    pub(crate) fn of(
        self,
        model: Option<ModelId>,
        images: Option<ImagesId>,
        input: Option<ModelInput>,
    ) -> Self {
        Self {
            model,
            images,
            input,
            ..self
        }
    }

    /// Scores of the same origin with other numbers, for what is computed from these.
    pub(crate) fn with(
        &self,
        component: String,
        directions: Vec<String>,
        values: Tensor,
        layout: TokenLayout,
    ) -> Result<Self> {
        let made = Self::new(component, directions, values, layout)?;
        Ok(made.of(self.model.clone(), self.images.clone(), self.input))
    }

    /// The head, `block 5 head 3`, or what is summed.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The texts, or `direction 0` where they have no names.
    pub fn directions(&self) -> &[String] {
        &self.directions
    }

    /// How tokens lie in the image.
    pub fn layout(&self) -> &TokenLayout {
        &self.layout
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.values.dims()[0]
    }

    /// The model and the images, where they are known.
    pub(crate) fn origin(&self) -> (Option<&ModelId>, Option<&ImagesId>, Option<ModelInput>) {
        (self.model.as_ref(), self.images.as_ref(), self.input)
    }

    /// The name of image `number`: its number where names are not known.
    pub fn image_name(&self, number: usize) -> String {
        let names = self
            .images
            .as_ref()
            .and_then(|images| images.names.get(number));
        names.cloned().unwrap_or_else(|| format!("image {number}"))
    }

    /// Images x tokens x directions, f32 on the CPU; tokens as in [`Self::layout`].
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// The patches alone, as maps: images x directions x rows x columns.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn maps(&self) -> Result<Tensor> {
        let (b, _, k) = self.values.dims3()?;
        let (first, side) = (self.layout.before().len(), self.layout.side());
        let patches = self.values.narrow(1, first, side * side)?;
        Ok(patches
            .transpose(1, 2)?
            .contiguous()?
            .reshape((b, k, side, side))?)
    }

    /// The map of one image along one direction, `map(7, "sea")`: rows x columns.
    ///
    /// # Errors
    /// When there is no such image or direction.
    pub fn map(&self, image: usize, direction: &str) -> Result<Tensor> {
        image.numbers(self.images())?;
        let one = self.direction(direction)?;
        Ok(one.maps()?.get(image)?.get(0)?)
    }

    /// The tokens that have no place in the image, images x tokens x directions; none where the model has none.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn before(&self) -> Result<Option<Tensor>> {
        match self.layout.before().len() {
            0 => Ok(None),
            count => Ok(Some(self.values.narrow(1, 0, count)?)),
        }
    }

    /// One direction alone, by its text.
    ///
    /// # Errors
    /// When none is called so.
    pub fn direction(&self, text: &str) -> Result<Self> {
        let place = self.place(text)?;
        let values = self.values.narrow(2, place, 1)?.contiguous()?;
        let (component, layout) = (self.component.clone(), self.layout.clone());
        self.with(component, vec![text.to_string()], values, layout)
    }

    /// What tokens give along `text` less what they give along `other`: what speaks for the one rather than for the other.
    ///
    /// # Errors
    /// When one of them is no direction of these scores.
    pub fn contrast(&self, text: &str, other: &str) -> Result<Self> {
        let values =
            |text: &str| -> Result<Tensor> { Ok(self.values.narrow(2, self.place(text)?, 1)?) };
        let difference = (values(text)? - values(other)?)?;
        let (component, layout) = (self.component.clone(), self.layout.clone());
        let name = format!("{text} less {other}");
        self.with(component, vec![name], difference, layout)
    }

    /// Some images, by their numbers.
    ///
    /// # Errors
    /// When there are none, or one does not exist.
    pub fn select_images(&self, images: impl WhichImages) -> Result<Self> {
        let chosen = images.numbers(self.images())?;
        Ok(Self {
            values: rows(&self.values, 0, &chosen)?,
            images: self.images.as_ref().map(|images| images.at(&chosen)),
            ..self.clone()
        })
    }

    /// What class token, registers and patches of one image give along one direction.
    ///
    /// # Errors
    /// When there is no such image or direction.
    pub fn shares(&self, image: usize, direction: &str) -> Result<TokenShares> {
        image.numbers(self.images())?;
        let values = self.values.get(image)?;
        let values = values.narrow(1, self.place(direction)?, 1)?.flatten_all()?;
        let values: Vec<f32> = values.to_vec1()?;
        let names = self.layout.before();
        let (before, patches) = values.split_at(names.len());
        let sum = |values: &[f32]| values.iter().map(|v| f64::from(*v)).sum::<f64>();
        let hottest = (0..patches.len()).max_by(|&a, &b| patches[a].total_cmp(&patches[b]));
        let hottest = hottest.unwrap_or_default();
        let side = self.layout.side();
        let named = names.iter().zip(before);
        Ok(TokenShares {
            total: sum(&values),
            before: named
                .map(|(name, v)| (name.clone(), f64::from(*v)))
                .collect(),
            patches: sum(patches),
            hottest: (hottest / side, hottest % side, f64::from(patches[hottest])),
        })
    }

    /// Writes one row for each image, direction and token: what the token is, its row and column where it is a patch, and
    /// what it gives: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let (b, t, k) = self.values.dims3()?;
        let values: Vec<f32> = self.values.flatten_all()?.to_vec1()?;
        let each = (0..b * t * k).map(|i| (i / (t * k), i / k % t, i % k));
        let text = |f: &dyn Fn((usize, usize, usize)) -> String| {
            Column::Text(each.clone().map(f).collect())
        };
        let place = |pick: fn((usize, usize)) -> usize| {
            let of = |(_, token, _)| self.layout.place(token).1.map(|at| pick(at) as f64);
            Column::Maybe(each.clone().map(of).collect())
        };
        let model = self
            .model
            .as_ref()
            .map_or(String::new(), ModelId::to_string);
        export(
            path.as_ref(),
            &[
                ("image", text(&|(i, ..)| self.image_name(i))),
                ("direction", text(&|(.., j)| self.directions[j].clone())),
                ("token", text(&|(_, token, _)| self.layout.place(token).0)),
                ("row", place(|at| at.0)),
                ("column", place(|at| at.1)),
                (
                    "value",
                    Column::Number(values.iter().map(|v| f64::from(*v)).collect()),
                ),
                ("component", text(&|_| self.component.clone())),
                ("model", text(&|_| model.clone())),
            ],
        )
    }

    fn place(&self, text: &str) -> Result<usize> {
        let found = self.directions.iter().position(|known| known == text);
        found.ok_or_else(|| {
            let near = files::nearest(text, self.directions.iter().cloned());
            let expected = match near.first() {
                Some(near) => format!("one of these scores, such as \"{near}\""),
                None => format!(
                    "one of these scores: {}",
                    facts::list(&self.directions, 200)
                ),
            };
            Error::argument("direction", format!("\"{text}\""), expected)
        })
    }
}

impl fmt::Display for TokenScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        let whose = self.model.as_ref();
        let whose = whose.map_or(String::new(), |model| format!(" of {model}"));
        let images = match &self.images {
            Some(images) => images.to_string(),
            None => facts::count(self.images(), "image"),
        };
        let mut shown = Facts::new(format!(
            "what source tokens of {}{whose} give along {}: {images}",
            self.component,
            facts::count(self.directions.len(), "direction")
        ))
        .row("tokens", &self.layout)
        .row("values", facts::tensor(&self.values));
        for direction in self.directions.iter().take(SHOWN) {
            let shares = self.shares(0, direction).map_err(|_| fmt::Error)?;
            let before = shares.before.iter();
            let before: String = before
                .map(|(name, v)| format!(", {name} {}", facts::number(*v)))
                .collect();
            let (row, column, most) = shares.hottest;
            shown = shown.row(
                format!("\"{direction}\""),
                format!(
                    "in {}: {} in all{before}, most {} in row {row}, column {column}",
                    self.image_name(0),
                    facts::number(shares.total),
                    facts::number(most)
                ),
            );
        }
        write!(f, "{shown}")
    }
}

debug_as_display!(TokenScores);
