//! Stacks of contributions that come in chunks of images, one chunk where they are in memory.

use super::Contributions;
use crate::{Error, Result, check};
use candle_core::Tensor;
use std::sync::Arc;

/// Images of one block: what is computed of a chunk is computed block by block, so that a chunk that is all images needs
/// no more memory beside it than a small one.
const BLOCK: usize = 1024;

/// A stack of components x images x channels that can be gone through in chunks of images, in their order and as often
/// as is wanted: a tensor and [`Contributions`] in memory (one chunk), [`ChunkedContributions`](super::ChunkedContributions)
/// wherever they are. What is computed over one does not depend on how the images are cut into chunks.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no stack of components x images x channels",
    note = "give contributions, aligned contributions, or a tensor of that shape"
)]
pub trait ImageChunks {
    /// The numbers of components, images and channels. `name` is what an error calls the stack.
    ///
    /// # Errors
    /// When it has another shape, or one of them is 0.
    fn extent(&self, name: &'static str) -> Result<(usize, usize, usize)>;

    /// Hand each chunk (n x b x d) with the number of its first image to `f`, in the order of the images.
    ///
    /// # Errors
    /// When a chunk cannot be read, the call was stopped, or `f` fails.
    fn each(&self, f: &mut dyn FnMut(usize, &Tensor) -> Result<()>) -> Result<()>;
}

impl ImageChunks for Tensor {
    fn extent(&self, name: &'static str) -> Result<(usize, usize, usize)> {
        check::stack(name, self)
    }

    fn each(&self, f: &mut dyn FnMut(usize, &Tensor) -> Result<()>) -> Result<()> {
        f(0, self)
    }
}

impl ImageChunks for Contributions {
    fn extent(&self, name: &'static str) -> Result<(usize, usize, usize)> {
        check::stack(name, self.values())
    }

    fn each(&self, f: &mut dyn FnMut(usize, &Tensor) -> Result<()>) -> Result<()> {
        f(0, self.values())
    }
}

/// Stacks of the same components, one after the other along the images.
impl ImageChunks for [Tensor] {
    fn extent(&self, name: &'static str) -> Result<(usize, usize, usize)> {
        let mut whole: Option<(usize, usize, usize)> = None;
        for chunk in self {
            let (n, b, d) = check::stack(name, chunk)?;
            let (components, images, channels) = whole.unwrap_or((n, 0, d));
            check::same(name, n, components, "components")?;
            check::same(name, d, channels, "channels")?;
            whole = Some((n, images + b, d));
        }
        whole.ok_or_else(|| Error::argument(name, "no chunk", "one chunk of images or more"))
    }

    fn each(&self, f: &mut dyn FnMut(usize, &Tensor) -> Result<()>) -> Result<()> {
        let mut start = 0;
        for chunk in self {
            f(start, chunk)?;
            start += chunk.dim(1)?;
        }
        Ok(())
    }
}

macro_rules! by_reference {
    ($($pointer:ty),*) => {$(
        impl<C: ImageChunks + ?Sized> ImageChunks for $pointer {
            fn extent(&self, name: &'static str) -> Result<(usize, usize, usize)> {
                (**self).extent(name)
            }

            fn each(&self, f: &mut dyn FnMut(usize, &Tensor) -> Result<()>) -> Result<()> {
                (**self).each(f)
            }
        }
    )*};
}
by_reference!(&C, Arc<C>);

/// Hand blocks of at most 1024 images of each chunk (n x b x d, not contiguous) with the number of the first one to `f`.
pub(crate) fn each_block<C: ImageChunks + ?Sized>(
    chunks: &C,
    mut f: impl FnMut(usize, &Tensor) -> Result<()>,
) -> Result<()> {
    chunks.each(&mut |start, chunk| {
        let images = chunk.dim(1)?;
        for first in (0..images).step_by(BLOCK) {
            f(
                start + first,
                &chunk.narrow(1, first, BLOCK.min(images - first))?,
            )?;
        }
        Ok(())
    })
}
