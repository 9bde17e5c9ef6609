//! What takes vectors with or without a known origin.

use super::{ImageEmbeddings, ModelId, TextEmbeddings};
use candle_core::Tensor;
use std::sync::Arc;

/// Vectors, one a row: a plain tensor, of which nothing more is known, or embeddings that know whose space they are in.
pub trait Vectors {
    /// The vectors, rows x width.
    fn vectors(&self) -> &Tensor;

    /// The model in whose space they are, where that is known.
    fn model(&self) -> Option<&ModelId>;
}

impl Vectors for Tensor {
    fn vectors(&self) -> &Tensor {
        self
    }

    fn model(&self) -> Option<&ModelId> {
        None
    }
}

impl Vectors for TextEmbeddings {
    fn vectors(&self) -> &Tensor {
        self.tensor()
    }

    fn model(&self) -> Option<&ModelId> {
        Some(&self.origin()?.clip)
    }
}

impl Vectors for ImageEmbeddings {
    fn vectors(&self) -> &Tensor {
        self.tensor()
    }

    fn model(&self) -> Option<&ModelId> {
        Some(&self.origin()?.model)
    }
}

impl<E: Vectors + ?Sized> Vectors for Arc<E> {
    fn vectors(&self) -> &Tensor {
        (**self).vectors()
    }

    fn model(&self) -> Option<&ModelId> {
        (**self).model()
    }
}
