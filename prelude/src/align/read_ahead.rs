//! Chunks of contributions that are read while the fit works on those before them.

use std::collections::{BTreeMap, VecDeque};
use std::thread::JoinHandle;

use candle_core::Tensor;

use crate::decompose::ChunkedContributions;
use crate::{Error, Result};

/// What has been read of some chunks.
type Read = Vec<(usize, Result<Tensor>)>;

/// The chunks of the windows to come.
#[derive(Default)]
pub(super) struct ReadAhead {
    /// The chunks of each window, in the order in which the windows come.
    windows: VecDeque<Vec<usize>>,
    /// The window that is being read.
    reading: Option<(Vec<usize>, JoinHandle<Read>)>,
    ready: BTreeMap<usize, Result<Tensor>>,
}

impl ReadAhead {
    /// Windows of chunks will be asked for in this order, whatever was said before.
    pub fn expect(&mut self, windows: impl IntoIterator<Item = Vec<usize>>) {
        *self = Self {
            windows: windows.into_iter().collect(),
            ..Self::default()
        };
    }

    /// The values of the chunk at `index`, read ahead or now; the window after it is begun.
    pub fn take(&mut self, index: usize, chunks: &ChunkedContributions) -> Result<Tensor> {
        let is_here = |(window, _): &(Vec<usize>, _)| window.contains(&index);
        if let Some((_, reader)) = self.reading.take_if(|reading| is_here(reading)) {
            let read = reader.join();
            let read = read.map_err(|_| Error::trace("a reader of chunks has ended"))?;
            self.ready.extend(read);
        }
        let found = match self.ready.remove(&index) {
            Some(found) => found,
            None => {
                // The first window is read when it is asked for.
                self.windows.retain(|window| !window.contains(&index));
                read(chunks, index)
            }
        };
        if self.reading.is_none()
            && let Some(window) = self.windows.pop_front()
        {
            let (chunks, next) = (chunks.clone(), window.clone());
            let each = move || next.into_iter().map(|i| (i, read(&chunks, i))).collect();
            self.reading = Some((window, std::thread::spawn(each)));
        }
        found
    }
}

fn read(chunks: &ChunkedContributions, index: usize) -> Result<Tensor> {
    Ok(chunks.read_chunk(index)?.values().clone())
}
