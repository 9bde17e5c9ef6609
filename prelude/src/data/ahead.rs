//! Decoding ahead: while a model computes one batch, other threads decode the next, and bring them to its device.

use super::{DataSet, ModelInput, check_batch};
use crate::{Error, Result};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::sync_channel;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a set's images are brought to a model. What comes out does not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loading {
    /// Images a forward pass takes together.
    pub batch: usize,
    /// Threads that decode.
    pub threads: usize,
    /// Batches that are decoded before they are asked for, at most.
    pub ahead: usize,
}

impl Default for Loading {
    fn default() -> Self {
        Self {
            batch: 32,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            ahead: 2,
        }
    }
}

impl Loading {
    /// Check that every number is above 0 and no larger than makes sense.
    ///
    /// # Errors
    /// When one is not.
    pub fn check(&self) -> Result<()> {
        let numbers = [
            ("batch", self.batch, 65_536),
            ("threads", self.threads, 1024),
            ("ahead", self.ahead, 1024),
        ];
        match numbers
            .into_iter()
            .find(|&(_, value, most)| value == 0 || value > most)
        {
            Some((name, value, most)) => Err(Error::argument(
                name,
                value,
                format!("between 1 and {most}"),
            )),
            None => Ok(()),
        }
    }
}

/// How often a wait for an image looks whether it is to go on.
const LOOK: Duration = Duration::from_millis(20);

/// Hand the images `range` of `set` to `take` batch by batch, in order, with their indices and as `bring` makes them, while
/// other threads decode those that follow and one brings the next. `go_on` is asked before each batch and while waiting for
/// one; where it says no, or `take` breaks off, the call ends as soon as the images that are being decoded are done.
///
/// # Errors
/// The error of the first image that cannot be decoded, of `bring`, or of `take`; and when the batches that `loading` holds at once
/// are absurdly large.
pub fn each_batch(
    set: &dyn DataSet,
    range: Range<usize>,
    input: ModelInput,
    loading: Loading,
    go_on: &(dyn Fn() -> bool + Sync),
    mut bring: impl FnMut(Tensor) -> Result<Tensor> + Send,
    mut take: impl FnMut(Range<usize>, Tensor) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    loading.check()?;
    // The batch that is brought ahead is one of those that are decoded ahead.
    let window = loading.batch.saturating_mul(loading.ahead);
    check_batch((window + loading.batch).min(range.len()), input)?;
    let work = Work {
        set,
        input,
        end: range.end,
        window,
        state: Mutex::new(State {
            next: range.start,
            taken: range.start,
            ready: BTreeMap::new(),
            stopped: false,
        }),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        // Whatever way this is left, the threads are told, and the scope waits for them.
        let _stop = StopAtEnd(&work);
        for _ in 0..loading.threads.min(range.len()) {
            scope.spawn(|| work.decode());
        }
        let (brought, batches) = sync_channel(0);
        let (mut next, end, work) = (range.start, range.end, &work);
        scope.spawn(move || {
            while next < end {
                let batch = next..end.min(next + loading.batch);
                next = batch.end;
                let pixels = work.batch(batch.clone(), go_on).transpose();
                // None where the call is to end.
                let Some(pixels) = pixels else { return };
                let pixels = pixels.and_then(&mut bring);
                if brought.send((batch, pixels)).is_err() {
                    return;
                }
            }
        });
        let mut done = range.start;
        for (batch, pixels) in batches {
            let pixels = pixels?;
            done = batch.end;
            if !go_on() || take(batch, pixels)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(match done == range.end {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })
    })
}

/// What the threads share.
struct Work<'a> {
    set: &'a dyn DataSet,
    input: ModelInput,
    end: usize,
    /// Images between the one being taken and the furthest being decoded.
    window: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// The next image to decode.
    next: usize,
    /// Images before this one have been handed out.
    taken: usize,
    ready: BTreeMap<usize, Result<Tensor>>,
    stopped: bool,
}

struct StopAtEnd<'a, 'b>(&'a Work<'b>);

impl Drop for StopAtEnd<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

impl Work<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One decoding thread: image after image, until all are done or it is told to stop.
    fn decode(&self) {
        while let Some(index) = self.claim() {
            // A panic must not leave the other side waiting.
            let pixels = catch_unwind(AssertUnwindSafe(|| self.set.pixels(&[index], self.input)));
            let pixels = pixels.unwrap_or_else(|_| {
                let reason = format!("decoding image {index} panicked; please report this");
                Err(Error::data(self.set.name(), reason))
            });
            self.lock().ready.insert(index, pixels);
            self.changed.notify_all();
        }
    }

    /// The next image to decode, once there is room for it.
    fn claim(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.next >= self.end {
                return None;
            }
            if state.next < state.taken + self.window {
                state.next += 1;
                return Some(state.next - 1);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The images of `batch`, B x 3 x size x size, once they are there; none where `go_on` says no before, or the call ends.
    fn batch(&self, batch: Range<usize>, go_on: &dyn Fn() -> bool) -> Result<Option<Tensor>> {
        let mut images = Vec::with_capacity(batch.len());
        let mut state = self.lock();
        for index in batch {
            let image = loop {
                if let Some(image) = state.ready.remove(&index) {
                    break image;
                }
                // Where nothing is decoded any more, no image comes.
                let stopped = state.stopped;
                drop(state);
                if stopped || !go_on() {
                    return Ok(None);
                }
                state = self.lock();
                if !state.ready.contains_key(&index) {
                    let wait = self.changed.wait_timeout(state, LOOK);
                    state = wait.unwrap_or_else(PoisonError::into_inner).0;
                }
            };
            images.push(image?);
            state.taken = index + 1;
        }
        drop(state);
        self.changed.notify_all();
        if !go_on() {
            return Ok(None);
        }
        Ok(Some(Tensor::cat(&images, 0)?))
    }
}
