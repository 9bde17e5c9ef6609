//! Batches in microbatches. What a decomposition keeps of a forward pass is let go once the walk has taken it; with source
//! tokens that is more than the forward pass takes, and more images at once save little time on the CPU (Swin-B takes 5 % less
//! an image for 8 images than for 4).

use super::{Contributions, Decomposer};
use crate::Result;
use candle_core::Tensor;

/// Bytes that are kept of the images of a microbatch, at most, for each thread: a core has so much to do with each operation.
const KEPT_PER_THREAD: usize = 128 << 20;

/// Images of a microbatch as long as it is not known how much is kept of one.
const AT_FIRST: usize = 4;

impl Decomposer<'_> {
    /// Decompose a batch as [`Self::run`], and hand the images to `take` as they are done, in order: on the CPU a few at a
    /// time, with the place of the first one in the batch.
    ///
    /// # Errors
    /// As [`Self::run`], and when `take` fails.
    pub fn run_in_microbatches(
        &self,
        pixels: &Tensor,
        mut take: impl FnMut(usize, Contributions) -> Result<()>,
    ) -> Result<()> {
        super::check_pixels(pixels)?;
        let batch = pixels.dim(0)?;
        let mut start = 0;
        loop {
            let count = match pixels.device().is_cpu() {
                true => images_of_microbatch(batch - start, self.kept.get().copied()),
                false => batch,
            };
            take(start, self.microbatch(&pixels.narrow(0, start, count)?)?)?;
            start += count;
            if start >= batch {
                return Ok(());
            }
        }
    }
}

/// How many of so many images come next, of each of which so many bytes are kept: in microbatches of about the same size.
fn images_of_microbatch(images: usize, kept: Option<usize>) -> usize {
    let threads = rayon::current_num_threads().max(2);
    let most = match kept {
        Some(kept) => (KEPT_PER_THREAD * threads / kept.max(1)).max(1),
        None => AT_FIRST,
    };
    images.div_ceil(images.div_ceil(most).max(1))
}

#[cfg(test)]
mod tests {
    use super::super::testing::small_vit;
    use super::super::{Assembly, DecomposeOptions, Granularity};
    use super::*;
    use crate::ops::testing::gap;
    use candle_core::Device;

    #[test]
    fn microbatches_are_of_about_one_size() {
        let sizes = |mut images: usize, kept| {
            let mut sizes = Vec::new();
            while images > 0 {
                sizes.push(images_of_microbatch(images, kept));
                images -= sizes[sizes.len() - 1]
            }
            sizes
        };
        let threads = rayon::current_num_threads().max(2);
        let of = |images: usize| Some(KEPT_PER_THREAD * threads / images);
        assert_eq!(sizes(8, of(5)), [4, 4]);
        assert_eq!(sizes(9, of(4)), [3, 3, 3]);
        assert_eq!(sizes(7, of(7)), [7]);
        assert_eq!(sizes(2, Some(usize::MAX / 2)), [1, 1]);
        assert_eq!(sizes(3, Some(0)), [3]);
        assert_eq!(sizes(10, None), [4, 3, 3]);
        assert_eq!(images_of_microbatch(0, None), 0);
    }

    #[test]
    fn a_batch_in_microbatches_is_its_images_one_by_one() -> Result<()> {
        let vit = small_vit()?;
        let pixels = Tensor::randn(0f32, 1., (11, 3, 16, 16), &Device::Cpu)?;
        let options = DecomposeOptions {
            granularity: Granularity::Tokens,
            ..DecomposeOptions::default()
        };
        let decomposer = Decomposer::new(&vit, options)?;
        // The first run does not know yet how much is kept: it has several microbatches.
        let mut places = Vec::new();
        let mut parts = Vec::new();
        decomposer.run_in_microbatches(&pixels, |start, part| {
            places.push((start, part.images()));
            parts.push(part);
            Ok(())
        })?;
        assert_eq!(places, [(0, 4), (4, 7)]);
        let joined = Contributions::concat(&parts)?;
        let whole = decomposer.run(&pixels)?;
        let single: Result<Vec<_>> = (0..11)
            .map(|i| decomposer.run(&pixels.narrow(0, i, 1)?))
            .collect();
        let single = Contributions::concat(&single?)?;
        for other in [&joined, &single] {
            assert!(gap(whole.values(), other.values())? < 1e-5);
            assert!(gap(whole.representation(), other.representation())? < 1e-5);
            let head = whole.components()[1];
            let tokens = |c: &Contributions| c.token_contributions().unwrap().of(head);
            assert!(gap(&tokens(&whole)?, &tokens(other)?)? < 1e-5);
            // Images in any order, those of one batch alone, and batches put in their places.
            let directions = Tensor::randn(0f32, 1., (3, whole.values().dim(2)?), &Device::Cpu)?;
            let along = |c: &Contributions| -> Result<Tensor> {
                let scores = c.tokens_along("* head *", &directions)?;
                let values: Vec<_> = scores.iter().map(|scores| scores.values()).collect();
                Ok(Tensor::stack(&values, 0)?)
            };
            let chosen = [vec![9, 0, 0, 5, 3], vec![6, 10], vec![2]];
            for chosen in chosen {
                let (a, b) = (
                    whole.select_images(chosen.clone())?,
                    other.select_images(chosen)?,
                );
                assert!(gap(&along(&a)?, &along(&b)?)? < 1e-4);
                assert!(gap(&tokens(&a)?, &tokens(&b)?)? < 1e-5);
            }
            let mut assembly = Assembly::new(13);
            assembly.put(2, other)?;
            assembly.put(0, &other.select_images(0..2)?)?;
            let put = assembly.finish()?;
            let (two, rest) = (put.select_images(0..2)?, put.select_images(2..13)?);
            assert!(gap(&along(&two)?, &along(&whole)?.narrow(1, 0, 2)?)? < 1e-4);
            assert!(gap(&along(&rest)?, &along(&whole)?)? < 1e-4);
        }
        Ok(())
    }
}
