//! The images that a fit draws: from a tensor, or from contributions that come in chunks.

use std::cell::RefCell;
use std::collections::VecDeque;

use candle_core::{Device, Tensor};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::check;
use super::read_ahead::ReadAhead;
use crate::Result;
use crate::decompose::{ChunkedContributions, ImageChunks};

/// Chunks whose images are shuffled together.
const WINDOW: usize = 4;
/// Chunks that are in memory, beside those that are read ahead: no image of a window comes after one of the next.
const OPEN: usize = WINDOW;

/// Contributions as a fit takes them.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Drawn<'a> {
    /// n x B x d.
    Whole(&'a Tensor),
    /// In chunks.
    Chunked(&'a ChunkedContributions),
}

/// Contributions of which batches are drawn.
pub(super) enum Pool<'a> {
    Whole(Tensor),
    Chunked {
        chunks: &'a ChunkedContributions,
        open: RefCell<VecDeque<(usize, Tensor)>>,
        ahead: RefCell<ReadAhead>,
    },
}

impl<'a> Pool<'a> {
    pub fn new(drawn: Drawn<'a>) -> Result<Self> {
        Ok(match drawn {
            Drawn::Whole(values) => Self::Whole(check::f32(values)?),
            Drawn::Chunked(chunks) => Self::Chunked {
                chunks,
                open: RefCell::default(),
                ahead: RefCell::default(),
            },
        })
    }

    /// Components, images, channels.
    pub fn extent(&self) -> Result<(usize, usize, usize)> {
        match self {
            Self::Whole(values) => values.extent("contributions"),
            Self::Chunked { chunks, .. } => chunks.extent("contributions"),
        }
    }

    /// Where they are; chunks are read to the CPU.
    pub fn device(&self) -> &Device {
        match self {
            Self::Whole(values) => values.device(),
            Self::Chunked { .. } => &Device::Cpu,
        }
    }

    /// The sum over components, B x d, and the hash of all values where one is wanted. Refuses NaN and infinity.
    pub fn sums(&self, mut hash: Option<&mut blake3::Hasher>) -> Result<Tensor> {
        let mut seen = |chunk: &Tensor| -> Result<Tensor> {
            check::finite("contributions", chunk)?;
            if let Some(hash) = &mut hash {
                for i in 0..chunk.dim(0)? {
                    let values = chunk.get(i)?.flatten_all()?.to_vec1::<f32>()?;
                    hash.update(bytemuck::cast_slice(&values));
                }
            }
            Ok(chunk.sum(0)?)
        };
        let chunks = match self {
            Self::Whole(values) => return seen(values),
            Self::Chunked { chunks, .. } => chunks,
        };
        let (images, width) = (chunks.images(), chunks.width());
        let mut sums = Vec::with_capacity(images * width);
        chunks.each_chunk(|_, chunk| {
            sums.extend(seen(chunk.values())?.flatten_all()?.to_vec1::<f32>()?);
            Ok(())
        })?;
        Ok(Tensor::from_vec(sums, (images, width), &Device::Cpu)?)
    }

    /// The images at `rows`, n x k x d.
    pub fn rows(&self, rows: &[u32]) -> Result<Tensor> {
        let (chunks, open, ahead) = match self {
            Self::Whole(values) => {
                let rows = Tensor::new(rows, values.device())?;
                return Ok(values.index_select(&rows, 1)?);
            }
            Self::Chunked {
                chunks,
                open,
                ahead,
            } => (chunks, open, ahead),
        };
        let mut images = Vec::with_capacity(rows.len());
        let mut open = open.borrow_mut();
        for &row in rows {
            let (index, start) = chunks.chunk_of(row as usize);
            if !open.iter().any(|(at, _)| *at == index) {
                if open.len() == OPEN {
                    open.pop_front();
                }
                open.push_back((index, ahead.borrow_mut().take(index, chunks)?));
            }
            let chunk = open.iter().find(|(at, _)| *at == index);
            if let Some((_, values)) = chunk {
                images.push(values.narrow(1, row as usize - start, 1)?);
            }
        }
        Ok(Tensor::cat(&images, 1)?)
    }

    /// `train` in the order of an epoch: any order of a tensor's; of chunks, the chunks in any order, and the images of
    /// four at a time.
    pub fn order(&self, train: &[u32], mut rng: ChaCha8Rng) -> Vec<u32> {
        let mut order = train.to_vec();
        let Self::Chunked { chunks, ahead, .. } = self else {
            order.shuffle(&mut rng);
            return order;
        };
        order.sort_unstable();
        let of_chunk = |row: &u32| chunks.chunk_of(*row as usize).0;
        let mut groups: Vec<&[u32]> = order.chunk_by(|a, b| of_chunk(a) == of_chunk(b)).collect();
        groups.shuffle(&mut rng);
        let chunks_of =
            |window: &[&[u32]]| window.iter().map(|group| of_chunk(&group[0])).collect();
        ahead
            .borrow_mut()
            .expect(groups.chunks(WINDOW).map(chunks_of));
        let windows = groups.chunks(WINDOW).map(|window| {
            let mut images = window.concat();
            images.shuffle(&mut rng);
            images
        });
        windows.collect::<Vec<_>>().concat()
    }

    /// `rows` in an order in which each chunk is read once.
    pub fn sorted(&self, rows: &[u32]) -> Vec<u32> {
        let mut rows = rows.to_vec();
        if let Self::Chunked { .. } = self {
            rows.sort_unstable();
        }
        rows
    }
}
