//! What takes vectors with or without a known origin.

use super::{ImageEmbeddings, ModelId, TextEmbeddings};
use candle_core::Tensor;
use std::sync::Arc;

/// Vectors, one a row: a plain tensor, of which nothing more is known, or embeddings that know whose space they are in.
pub trait Embedded {
    /// The vectors, rows x width.
    fn vectors(&self) -> &Tensor;

    /// The model in whose space they are, where that is known.
    fn model(&self) -> Option<&ModelId>;
}

impl Embedded for Tensor {
    fn vectors(&self) -> &Tensor {
        self
    }

    fn model(&self) -> Option<&ModelId> {
        None
    }
}

impl Embedded for TextEmbeddings {
    fn vectors(&self) -> &Tensor {
        self.tensor()
    }

    fn model(&self) -> Option<&ModelId> {
        Some(&self.origin()?.clip)
    }
}

impl Embedded for ImageEmbeddings {
    fn vectors(&self) -> &Tensor {
        self.tensor()
    }

    fn model(&self) -> Option<&ModelId> {
        Some(&self.origin()?.model)
    }
}

impl<E: Embedded + ?Sized> Embedded for Arc<E> {
    fn vectors(&self) -> &Tensor {
        (**self).vectors()
    }

    fn model(&self) -> Option<&ModelId> {
        (**self).model()
    }
}
