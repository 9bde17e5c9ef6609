//! Embeddings that know what they are of.

use super::{ImagesId, ModelId};
use crate::check;
use crate::facts::{self, Facts, debug_as_display};
use crate::{Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;

/// How texts were put before the text tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Prompts {
    /// As they are.
    Plain,
    /// In each of the 80 prompt templates, as the mean of unit vectors.
    Templates,
}

/// Which text tower embedded some texts, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextOrigin {
    pub clip: ModelId,
    /// Hash of the tokenizer.
    pub tokenizer: String,
    pub prompts: Prompts,
}

/// Embeddings of texts, N x D: a tensor (`&embeddings` is taken where a `&Tensor` is wanted) that knows its texts and
/// whose CLIP they are in.
#[derive(Clone)]
pub struct TextEmbeddings {
    tensor: Tensor,
    texts: Vec<String>,
    origin: Option<TextOrigin>,
}

impl AsRef<TextEmbeddings> for TextEmbeddings {
    fn as_ref(&self) -> &TextEmbeddings {
        self
    }
}

impl TextEmbeddings {
    /// Directions from elsewhere, N x D, each with a name. Nothing is known of the space they are in, so only their
    /// width is checked against what they are used with.
    ///
    /// # Errors
    /// When `tensor` is no matrix, or there is not one name for each row.
    pub fn new(texts: &[impl AsRef<str>], tensor: Tensor) -> Result<Self> {
        let (rows, _) = check::matrix("embeddings", &tensor)?;
        if texts.len() != rows {
            let expected = format!("{rows}, one for each row of the embeddings");
            return Err(Error::argument("texts", texts.len(), expected));
        }
        Ok(Self {
            tensor,
            texts: texts.iter().map(|text| text.as_ref().to_string()).collect(),
            origin: None,
        })
    }

    pub(crate) fn with_origin(self, origin: TextOrigin) -> Self {
        Self {
            origin: Some(origin),
            ..self
        }
    }

    /// N x D.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The texts, one a row.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Which text tower made them; none where they were put together by hand.
    pub fn origin(&self) -> Option<&TextOrigin> {
        self.origin.as_ref()
    }

    /// The rows at `indices`, as embeddings of the same origin.
    ///
    /// # Errors
    /// When there are none, or one does not exist.
    pub fn rows(&self, indices: &[usize]) -> Result<Self> {
        let count = self.texts.len();
        if indices.is_empty() || indices.iter().any(|&i| i >= count) {
            let expected = format!("one or more below {count}, the number of texts");
            return Err(Error::argument("rows", format!("{indices:?}"), expected));
        }
        let index: Vec<u32> = indices.iter().map(|&i| i as u32).collect();
        let index = Tensor::new(index, self.tensor.device())?;
        Ok(Self {
            tensor: self.tensor.index_select(&index, 0)?,
            texts: indices.iter().map(|&i| self.texts[i].clone()).collect(),
            origin: self.origin.clone(),
        })
    }
}

/// Which model embedded which images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageOrigin {
    pub model: ModelId,
    pub images: ImagesId,
}

/// A model's representations of images, B x d: a tensor (`&embeddings` is taken where a `&Tensor` is wanted) that knows
/// its model and images.
#[derive(Clone)]
pub struct ImageEmbeddings {
    tensor: Tensor,
    origin: Option<ImageOrigin>,
}

impl AsRef<ImageEmbeddings> for ImageEmbeddings {
    fn as_ref(&self) -> &ImageEmbeddings {
        self
    }
}

impl ImageEmbeddings {
    /// Representations from elsewhere, B x d. Nothing is known of their images, so only their number is checked against
    /// what they are used with.
    ///
    /// # Errors
    /// When `tensor` is no matrix.
    pub fn new(tensor: Tensor) -> Result<Self> {
        check::matrix("embeddings", &tensor)?;
        Ok(Self {
            tensor,
            origin: None,
        })
    }

    /// This value, marked as being `origin`'s.
    ///
    /// # Errors
    /// When the origin names another number of images.
    pub fn with_origin(self, origin: ImageOrigin) -> Result<Self> {
        let (rows, images) = (self.tensor.dims()[0], origin.images.len());
        if rows != images {
            let expected = format!("{images}, the images of {}", origin.images.set);
            return Err(Error::argument("embeddings", rows, expected));
        }
        Ok(Self {
            origin: Some(origin),
            ..self
        })
    }

    /// B x d.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Which model and images they are of; none where they were put together by hand.
    pub fn origin(&self) -> Option<&ImageOrigin> {
        self.origin.as_ref()
    }
}

impl Deref for TextEmbeddings {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

impl Deref for ImageEmbeddings {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

impl fmt::Display for TextEmbeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = facts::count(self.texts.len(), "text embedding");
        let (whose, prompts) = match &self.origin {
            Some(origin) => (origin.clip.to_string(), Some(origin.prompts)),
            None => ("an unknown space".into(), None),
        };
        let width = self.tensor.dims()[1];
        let prompts = prompts.map(|prompts| match prompts {
            Prompts::Plain => "as they are",
            Prompts::Templates => "each in 80 prompt templates, the mean of unit vectors",
        });
        let shown = Facts::new(format!("{texts} of {whose}, width {width}"))
            .row("texts", facts::list(&self.texts, 110))
            .maybe("prompts", prompts)
            .row("values", facts::tensor(&self.tensor));
        write!(f, "{shown}")
    }
}

impl fmt::Display for ImageEmbeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (images, width) = (self.tensor.dims()[0], self.tensor.dims()[1]);
        let title = match &self.origin {
            Some(ImageOrigin { model, images }) => {
                format!("image embeddings of {model}, width {width}: {images}")
            }
            None => {
                let images = facts::count(images, "image");
                format!("image embeddings of unknown origin, width {width}: {images}")
            }
        };
        let names = self.origin.as_ref().map(|origin| &origin.images.names);
        let shown = Facts::new(title)
            .maybe("images", names.map(|names| facts::list(names.iter(), 110)))
            .row("values", facts::tensor(&self.tensor));
        write!(f, "{shown}")
    }
}

debug_as_display!(TextEmbeddings, ImageEmbeddings);
