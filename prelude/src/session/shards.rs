//! The decomposition of a data set into a store, in shards: what the `decompose` program runs on each of many machines.

use super::contributions::each_batch_telling;
use super::replay;
use crate::data::DataSet;
use crate::decompose::{
    ChunkedContributions, Contributions, DecomposeOptions, Decomposer, MapCopies, Origin,
};
use crate::identity::{ImagesId, ModelId};
use crate::models::Model;
use crate::process::{beside::beside, stop};
use crate::store::{Cutter, StoreOptions, StorePlan};
use crate::{Error, Result, facts};
use candle_core::Device;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// One of several equal parts of the chunks of a store: `"3/8"` is the fourth of eight, as they count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

impl Shard {
    /// Part `index` of `count`, from 0.
    ///
    /// # Errors
    /// When there is no such part.
    pub fn new(index: usize, count: usize) -> Result<Self> {
        match index < count {
            true => Ok(Self { index, count }),
            false => Err(Error::argument(
                "shard",
                format!("{index}/{count}"),
                "I/N with I from 0 to N - 1, such as 0/8 to 7/8 for eight machines",
            )),
        }
    }

    /// Which of `chunks` are of this part: neighbours, so that a shard of files is read by one machine.
    fn of(self, chunks: usize) -> Range<usize> {
        let at = |index: usize| index * chunks / self.count;
        at(self.index)..at(self.index + 1)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text
            .split_once('/')
            .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) => Self::new(index, count),
            None => Err(Error::argument(
                "shard",
                text,
                "I/N, such as 0/8 for the first of eight parts",
            )),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// What is decomposed, where to, and which part of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    pub decompose: DecomposeOptions,
    pub store: StoreOptions,
    pub shard: Shard,
    /// Read what is finished of the shard, and make damaged chunks anew.
    pub verify: bool,
}

/// How far a run has got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunProgress {
    /// Images of the shard that are finished, those of an earlier run among them.
    pub done: usize,
    /// Images of the shard.
    pub images: usize,
    /// Images that were finished before this run.
    pub found: usize,
    /// Since the run began.
    pub time: Duration,
}

impl RunProgress {
    /// Images a second, without those that were found.
    pub fn rate(&self) -> f64 {
        (self.done - self.found) as f64 / self.time.as_secs_f64().max(1e-9)
    }
}

impl fmt::Display for RunProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} images, {:.1} images/s",
            self.done,
            self.images,
            self.rate()
        )
    }
}

/// What a run has made.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// Images of the shard.
    pub images: usize,
    /// Images that were finished before.
    pub found: usize,
    /// Chunks that were damaged, and were made anew.
    pub damaged: Vec<usize>,
    pub time: Duration,
    address: String,
    shard: Shard,
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = self.images - self.found;
        write!(
            f,
            "{}, shard {}: {} finished, {made} of them now in {:.1} s",
            self.address,
            self.shard,
            facts::count(self.images, "image"),
            self.time.as_secs_f64()
        )?;
        match self.damaged.is_empty() {
            true => Ok(()),
            false => write!(
                f,
                " (chunks {:?} were damaged and are made anew)",
                self.damaged
            ),
        }
    }
}

/// Decompose the images of `set` into a store, a folder or `s3://bucket/run.zarr`, and open it: for more images than memory
/// holds. Finished chunks stay, so that a call that was stopped goes on, and one that is done costs nothing.
///
/// # Errors
/// As [`decompose_shard`].
pub fn decompose_into(
    address: &str,
    model: impl AsRef<Model>,
    set: impl DataSet,
    options: &DecomposeOptions,
) -> Result<ChunkedContributions> {
    let options = RunOptions {
        decompose: *options,
        ..RunOptions::default()
    };
    decompose_shard(model, &set, address, &options, &mut |_| ())?;
    let stored = Contributions::open(address)?;
    replay::worth_repeating();
    Ok(stored)
}

/// Decompose the images of one shard of `set` into the store at `address`, which is made where there is none. Chunks
/// that are finished are left as they are, so that a run that was killed goes on, and one that is done costs nothing.
/// `tell` hears after each chunk.
///
/// # Errors
/// When an image cannot be read, the options do not fit the model, the store holds others' contributions or cannot be
/// written, or the run was stopped.
pub fn decompose_shard(
    model: impl AsRef<Model>,
    set: &dyn DataSet,
    address: &str,
    options: &RunOptions,
    tell: &mut dyn FnMut(&RunProgress),
) -> Result<RunReport> {
    let model = model.as_ref();
    let began = Instant::now();
    let decomposer = Decomposer::new(model.encoder(), options.decompose)?.until(stop::requested);
    let origin = Origin {
        model: ModelId::of(model),
        options: options.decompose,
        images: ImagesId::of(set),
    };
    let plan = StorePlan::of(&decomposer, set.len(), model.input())?.with(origin);
    let store = plan.join(address, &options.store)?;
    let own = options.shard.of(store.chunks());
    let damaged = match options.verify {
        true => store.verify(own.clone())?,
        false => Vec::new(),
    };
    let finished = store.finished()?;
    let images = |chunks: &mut dyn Iterator<Item = usize>| -> usize {
        chunks.map(|chunk| store.range(chunk).len()).sum()
    };
    let mut progress = RunProgress {
        done: images(&mut own.clone().filter(|chunk| finished.contains(chunk))),
        images: images(&mut own.clone()),
        found: 0,
        time: began.elapsed(),
    };
    progress.found = progress.done;
    tell(&progress);
    let mut copies = MapCopies::on(&Device::Cpu);
    for missing in runs(own.filter(|chunk| !finished.contains(chunk))) {
        let range = store.range(missing.start).start..store.range(missing.end - 1).end;
        let mut cutter = Cutter::new(store.images_of_chunk(), set.len());
        let written = AtomicUsize::new(progress.done);
        // Batches are copied off the device and written while the next ones are computed.
        let put = |(start, batch): (usize, Contributions)| {
            cutter.add(start, batch.copied(&mut copies)?, |index, images| {
                store.write(index, images)?;
                written.fetch_add(images.images(), Ordering::Relaxed);
                Ok(())
            })
        };
        let mut told = |written: &AtomicUsize| {
            let done = written.load(Ordering::Relaxed);
            if done != progress.done {
                (progress.done, progress.time) = (done, began.elapsed());
                tell(&progress)
            }
        };
        let ended = beside(put, |give| {
            each_batch_telling("decompose", model, set, range, |start, pixels, tell| {
                decomposer.run_in_microbatches(pixels, |at, part| {
                    let part = part.seen_at(model.input());
                    let done = start + at + part.images();
                    give((start + at, part))?;
                    told(&written);
                    tell(done);
                    Ok(())
                })
            })
        });
        told(&written);
        ended?
    }
    Ok(RunReport {
        images: progress.images,
        found: progress.found,
        damaged,
        time: began.elapsed(),
        address: address.to_string(),
        shard: options.shard,
    })
}

/// Chunks that follow one another, as ranges.
fn runs(chunks: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for chunk in chunks {
        match runs.last_mut() {
            Some(last) if last.end == chunk => last.end += 1,
            _ => runs.push(chunk..chunk + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_take_every_chunk_once() {
        for (chunks, count) in [(10, 3), (2, 5), (7, 7), (0, 2), (1, 1)] {
            let all: Vec<usize> = (0..count)
                .flat_map(|index| Shard::new(index, count).unwrap().of(chunks))
                .collect();
            assert_eq!(all, (0..chunks).collect::<Vec<_>>(), "{chunks} in {count}");
        }
        assert_eq!(
            "3/8".parse::<Shard>().unwrap(),
            Shard { index: 3, count: 8 }
        );
        for text in ["8/8", "3", "a/b", "-1/8", "0/0"] {
            let error = text.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("0/8"), "{error}");
        }
        assert_eq!(runs([0, 1, 4, 6, 7].into_iter()), [0..2, 4..5, 6..8]);
    }
}
