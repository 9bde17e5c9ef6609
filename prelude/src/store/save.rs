//! Contributions that are there, brought into a store.

use super::{ContributionStore, StoreOptions, StorePlan};
use crate::decompose::{ChunkedContributions, Contributions, TokenContributions};
use crate::{Error, Result};

impl ContributionStore {
    /// Writes chunk number `chunk`, whose images `contributions` has, and marks it as finished.
    pub(crate) fn write(&self, chunk: usize, contributions: &Contributions) -> Result<()> {
        let images = self.header.range(chunk).len();
        if contributions.images() != images {
            let expected = format!("{images}, those of chunk {chunk}");
            return Err(Error::argument("images", contributions.images(), expected));
        }
        self.arrays
            .write(&self.bucket, &self.header, chunk, contributions)
    }
}

/// The store at `address` for what is planned, which must not hold others. Contributions of unknown origin cannot be told
/// from others, so they are not added to what is there.
fn store(address: &str, plan: StorePlan, options: &StoreOptions) -> Result<ContributionStore> {
    let unknown = plan.origin.is_none();
    let store = plan.join(address, options)?;
    match unknown && !store.finished()?.is_empty() {
        true => Err(Error::argument(
            "address",
            address,
            "a place where nothing is: these contributions do not know what they were made of, so they cannot be told \
             from those that are there",
        )),
        false => Ok(store),
    }
}

impl Contributions {
    /// Writes them to `address` as a Zarr store (a folder, `file://`, `s3://bucket/run.zarr`, `gs://`, `az://`), which
    /// [`Self::open`] reads and other programs too, source tokens with them where there are any. Chunks that are there
    /// already stay, so that a call that was stopped goes on.
    ///
    /// # Errors
    /// When other contributions are there, it cannot be written, or values are NaN or infinite.
    pub fn save(&self, address: &str) -> Result<()> {
        self.save_as(address, &StoreOptions::default())
    }

    /// [`Self::save`], in halves of the bytes or in chunks of other sizes.
    ///
    /// # Errors
    /// As [`Self::save`]; values beyond those of f16.
    pub fn save_as(&self, address: &str, options: &StoreOptions) -> Result<()> {
        let numbers = self.len() * self.values().dims()[2];
        let shape = self.token_contributions().map(TokenContributions::shape);
        let tokens = shape.transpose()?.map(|(shape, _)| shape.numbers());
        let chunk = options.images_of_chunk(numbers, tokens, self.images())?;
        self.in_chunks(chunk)?.save_as(address, options)
    }
}

impl ChunkedContributions {
    /// As [`Contributions::save`].
    ///
    /// # Errors
    /// As [`Contributions::save`]; when a chunk cannot be read.
    pub fn save(&self, address: &str) -> Result<()> {
        self.save_as(address, &StoreOptions::default())
    }

    /// As [`Contributions::save_as`].
    ///
    /// # Errors
    /// As [`Contributions::save_as`]; when a chunk cannot be read.
    pub fn save_as(&self, address: &str, options: &StoreOptions) -> Result<()> {
        let tokens = self.first_tokens()?;
        let plan = StorePlan {
            components: self.components().to_vec(),
            part_of: self.part_of(),
            origin: self.origin().cloned(),
            images: self.images(),
            width: self.width(),
            tokens: tokens.as_ref().map(TokenContributions::shape).transpose()?,
            label: None,
        };
        let store = store(address, plan, options)?;
        let finished = store.finished()?;
        let mut cutter = Cutter::new(store.header.chunk, self.images());
        self.each_chunk_with_tokens(|start, images| {
            cutter.add(start, images, |index, images| {
                match finished.contains(&index) {
                    true => Ok(()),
                    false => store.write(index, images),
                }
            })
        })
    }
}

/// Cuts batches that follow one another into chunks of a store.
pub(crate) struct Cutter {
    chunk: usize,
    total: usize,
    /// The first image that is held.
    start: usize,
    held: Vec<Contributions>,
}

impl Cutter {
    /// For `total` images in chunks of `chunk`.
    pub fn new(chunk: usize, total: usize) -> Self {
        Self {
            chunk,
            total,
            start: 0,
            held: Vec::new(),
        }
    }

    /// With the images from `start` on; chunks that are complete go to `f` with their numbers. Images that follow a gap
    /// begin a chunk.
    pub fn add(
        &mut self,
        start: usize,
        batch: Contributions,
        mut f: impl FnMut(usize, &Contributions) -> Result<()>,
    ) -> Result<()> {
        let held: usize = self.held.iter().map(Contributions::images).sum();
        if start != self.start + held {
            self.held.clear();
            self.start = start;
        }
        self.held.push(batch);
        loop {
            let index = self.start / self.chunk;
            let wanted = self.total.min((index + 1) * self.chunk) - self.start;
            let held: usize = self.held.iter().map(Contributions::images).sum();
            if wanted == 0 || held < wanted {
                return Ok(());
            }
            let joined = Contributions::concat(&self.held)?;
            f(index, &joined.select_images(0..wanted)?)?;
            self.start += wanted;
            self.held.clear();
            if held > wanted {
                self.held.push(joined.select_images(wanted..held)?);
            }
        }
    }
}
