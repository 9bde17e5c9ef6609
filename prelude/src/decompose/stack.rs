//! Contributions that know what they were made of, in memory or in chunks.

use super::{ChunkedContributions, Contributions, ImageChunks, Side};
use crate::Result;
use candle_core::{DType, Device, Tensor};
use std::sync::Arc;

/// Contributions in memory or in chunks: what takes either takes this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no contributions",
    note = "give what decompose(..) or Contributions::open(..) answers"
)]
pub trait ContributionStack: ImageChunks {
    /// Which components they have, and of what.
    #[doc(hidden)]
    fn belongs(&self) -> Belongs<'_>;

    /// Number of images.
    fn image_count(&self) -> usize;

    /// The representation of image `index`, in f32 on the CPU.
    #[doc(hidden)]
    fn representation_of(&self, index: usize) -> Result<Vec<f32>>;
}

/// What contributions were made of.
#[doc(hidden)]
#[derive(Debug)]
pub struct Belongs<'a>(pub(crate) Side<'a>);

fn row(representation: &Tensor, index: usize) -> Result<Vec<f32>> {
    let row = representation.get(index)?.to_device(&Device::Cpu)?;
    Ok(row.to_dtype(DType::F32)?.to_vec1()?)
}

impl ContributionStack for Contributions {
    fn belongs(&self) -> Belongs<'_> {
        Belongs(self.side())
    }

    fn image_count(&self) -> usize {
        self.images()
    }

    fn representation_of(&self, index: usize) -> Result<Vec<f32>> {
        row(self.representation(), index)
    }
}

impl ContributionStack for ChunkedContributions {
    fn belongs(&self) -> Belongs<'_> {
        Belongs(self.side())
    }

    fn image_count(&self) -> usize {
        self.images()
    }

    fn representation_of(&self, index: usize) -> Result<Vec<f32>> {
        let (chunk, start) = self.chunk_of(index);
        row(self.read_chunk(chunk)?.representation(), index - start)
    }
}

macro_rules! by_reference {
    ($($pointer:ty),*) => {$(
        impl<C: ContributionStack + ?Sized> ContributionStack for $pointer {
            fn belongs(&self) -> Belongs<'_> {
                (**self).belongs()
            }

            fn image_count(&self) -> usize {
                (**self).image_count()
            }

            fn representation_of(&self, index: usize) -> Result<Vec<f32>> {
                (**self).representation_of(index)
            }
        }
    )*};
}
by_reference!(&C, Arc<C>);
