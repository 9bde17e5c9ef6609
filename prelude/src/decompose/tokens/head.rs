//! One head's source tokens, to be asked about.

use super::{TokenLayer, TokenLayout, TokenScores, along_each};
use crate::data::ModelInput;
use crate::decompose::{Component, unrelated};
use crate::facts::{self, Facts};
use crate::identity::{ImagesId, ModelId, Vectors, debug_as_display};
use crate::{Error, Result, check};
use candle_core::{DType, Device, Tensor};
use std::fmt;

/// The contributions of one head's source tokens, `c.tokens("block 5 head 3")?`, or the same in the space of a CLIP,
/// `alignment.apply(&c)?.tokens("block 5 head 3")?`.
///
/// Tokens stand as in the model: class token, registers, then patches row by row over the whole image. In a hierarchical
/// model they are those of the head's stage.
#[derive(Clone)]
pub struct HeadTokens {
    component: Component,
    layer: TokenLayer,
    head: usize,
    layout: TokenLayout,
    /// Of the contributions written out.
    width: usize,
    model: Option<ModelId>,
    images: Option<ImagesId>,
    input: Option<ModelInput>,
    space: Option<TokenSpace>,
}

/// The space of a CLIP, and the way there from a component's.
#[derive(Clone)]
pub(crate) struct TokenSpace {
    /// d x D; none for the identity.
    pub map: Option<Tensor>,
    pub clip: Option<ModelId>,
}

impl TokenSpace {
    /// What the space is in which directions are, in a few words; none for the model's own.
    pub(super) fn words(space: Option<&Self>) -> String {
        match space.map(|space| &space.clip) {
            Some(Some(clip)) => format!("the image space of {clip}"),
            Some(None) => "another space, by an aligner".into(),
            None => "the model's own space".into(),
        }
    }
}

impl HeadTokens {
    pub(super) fn new(
        component: Component,
        layer: TokenLayer,
        head: usize,
        layout: TokenLayout,
        width: usize,
    ) -> Self {
        Self {
            component,
            layer,
            head,
            layout,
            width,
            model: None,
            images: None,
            input: None,
            space: None,
        }
    }

    /// This value, marked as being of `model` and of pictures brought to size by `input`.
    pub(super) fn of_model(self, model: Option<ModelId>, input: Option<ModelInput>) -> Self {
        Self {
            model,
            input,
            ..self
        }
    }

    /// This value, marked as being of `images`.
    pub(crate) fn of_images(self, images: Option<ImagesId>) -> Self {
        Self { images, ..self }
    }

    /// These tokens in another space, where directions are asked for from now on.
    pub(crate) fn in_space(self, space: TokenSpace) -> Self {
        Self {
            space: Some(space),
            ..self
        }
    }

    /// The head.
    pub fn component(&self) -> Component {
        self.component
    }

    /// How the images were brought to size, where that is known.
    pub(super) fn input(&self) -> Option<ModelInput> {
        self.input
    }

    /// How the tokens lie in the image.
    pub fn layout(&self) -> &TokenLayout {
        &self.layout
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.layer.images()
    }

    /// How much each source token gives along each of `directions`: k x d in the space of the model, or texts of the CLIP
    /// that the contributions are aligned to. The directions are pulled back through aligner and channel map to the head's
    /// value vectors, so that images x tokens x d is never written out. An aligner's bias belongs to no token and is left
    /// out, as in the published code.
    ///
    /// # Errors
    /// Directions of another space or width, none, NaN or infinity.
    pub fn along<E: Vectors + ?Sized>(&self, directions: &E) -> Result<TokenScores> {
        let mut scores = along_each(std::slice::from_ref(self), directions)?;
        Ok(scores.remove(0))
    }

    /// `directions` in the model's own space, k x d, where the factors are.
    pub(super) fn aimed<E: Vectors + ?Sized>(&self, directions: &E) -> Result<Tensor> {
        let own = match &self.space {
            Some(space) => space.clip.as_ref(),
            None => self.model.as_ref(),
        };
        let remedy = match &self.space {
            Some(_) => "embed the texts with the CLIP that the contributions are aligned to".into(),
            None => format!(
                "tokens answer to texts once they are aligned: alignment.apply(&c)?.tokens(\"{}\")?.along(&texts)?",
                self.component
            ),
        };
        if let (Some(own), Some(other)) = (own, directions.model())
            && let Some(reason) = own.weights_differ(other)
        {
            let tokens = match &self.space {
                Some(_) => format!("the tokens in the space of {own}"),
                None => format!("the tokens of {own}"),
            };
            let given = format!("directions of {other}");
            return Err(unrelated(
                "projecting source tokens",
                &tokens,
                &given,
                reason,
                &remedy,
            ));
        }
        let vectors = directions.vectors();
        let width = self.width()?;
        if !matches!(*vectors.dims(), [k, d] if d == width && k > 0) {
            return Err(Error::argument(
                "directions",
                format!("{:?}", vectors.dims()),
                format!("k x {width}, the width of the space the tokens are in; {remedy}"),
            ));
        }
        match self.space.as_ref().and_then(|space| space.map.as_ref()) {
            Some(map) => {
                let map = map.to_device(vectors.device())?;
                let aimed = check::f32(vectors)?.matmul(&map.t()?.contiguous()?)?;
                self.layer.beside(&aimed)
            }
            None => self.layer.beside(vectors),
        }
    }

    /// How much each source token gives along directions called `names`: `pulled` are those as the layer's channel map brings
    /// them back, `constants` what each token has of the constants
    /// along them, batch by batch.
    pub(super) fn scores(
        &self,
        names: Vec<String>,
        pulled: &Tensor,
        constants: &[Option<Tensor>],
    ) -> Result<TokenScores> {
        let values = self.layer.along(self.head, pulled, constants)?;
        TokenScores::new(
            self.component.to_string(),
            names,
            values.to_dtype(DType::F32)?.to_device(&Device::Cpu)?,
            self.layout.clone(),
        )
        .map(|scores| scores.of(self.model.clone(), self.images.clone(), self.input))
    }

    /// The layer's source tokens.
    pub(super) fn layer(&self) -> &TokenLayer {
        &self.layer
    }

    /// What the tokens of each window have (images and windows x N x k), put where they lie in the image: B x T x k.
    pub(crate) fn in_place(&self, x: &Tensor) -> Result<Tensor> {
        self.layer.first().in_place(x)
    }

    /// The contributions written out, B x T x d: large, and seldom needed.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn values(&self) -> Result<Tensor> {
        let values = self.layer.head(self.head)?;
        match self.space.as_ref().and_then(|space| space.map.as_ref()) {
            Some(map) => {
                let map = map.to_device(values.device())?.to_dtype(values.dtype())?;
                Ok(values.broadcast_matmul(&map)?)
            }
            None => Ok(values),
        }
    }

    /// Channels of the space in which directions are.
    fn width(&self) -> Result<usize> {
        match self.space.as_ref().and_then(|space| space.map.as_ref()) {
            Some(map) => Ok(map.dim(1)?),
            None => Ok(self.width),
        }
    }
}

impl fmt::Display for HeadTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.model.as_ref();
        let whose = model.map_or(String::new(), |model| format!(" of {model}"));
        let images = match &self.images {
            Some(images) => images.to_string(),
            None => facts::count(self.images(), "image"),
        };
        let shown = Facts::new(format!(
            "source tokens of {}{whose}: {images}",
            self.component
        ))
        .row("tokens", &self.layout)
        .row("directions in", TokenSpace::words(self.space.as_ref()))
        .row(
            "ask",
            ".along(&texts)? gives how much each token gives along each text",
        );
        write!(f, "{shown}")
    }
}

debug_as_display!(HeadTokens);
