//! Buffers that are made on all cores.

use rayon::prelude::*;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// A result that is written to by several tasks at once, each in a part of its own.
pub(super) struct Target(*mut f32);

// SAFETY: it is an address; whoever writes there says why nothing else does.
unsafe impl Sync for Target {}

impl Target {
    pub(super) fn new(buffer: &mut Vec<f32>) -> Self {
        Self(buffer.as_mut_ptr())
    }

    pub(super) fn at(&self, place: usize) -> *mut f32 {
        self.0.wrapping_add(place)
    }
}

/// A buffer of `len` values, of which `fill` is given each piece of `chunk` (the last may be shorter) with its place in
/// the row of pieces. The pieces are zero before that, each zeroed by the core that fills it and while it is in that
/// core's cache; `vec![0.0; len]` would have one core zero all of it first wherever the memory was used before.
///
/// # Panics
/// When `chunk` is 0, and when `fill` does.
pub fn filled_in_chunks(
    len: usize,
    chunk: usize,
    fill: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut buffer: Vec<f32> = Vec::with_capacity(len);
    buffer.spare_capacity_mut()[..len]
        .par_chunks_mut(chunk)
        .enumerate()
        .for_each(|(at, piece)| fill(at, zeroed(piece)));
    // SAFETY: the capacity is at least `len`, and the pieces, which were all written, make up the first `len` values.
    unsafe { buffer.set_len(len) }
    buffer
}

/// As [`filled_in_chunks`], for three buffers of so many pieces each, of which `fill` is given those of one place together.
///
/// # Panics
/// When a piece has no values, and when `fill` does.
pub fn three_filled_in_chunks(
    pieces: usize,
    chunks: [usize; 3],
    fill: impl Fn(usize, [&mut [f32]; 3]) + Sync,
) -> [Vec<f32>; 3] {
    let mut buffers = chunks.map(|chunk| Vec::with_capacity(pieces * chunk));
    let [a, b, c] = &mut buffers;
    (
        parts(a, pieces, chunks[0]),
        parts(b, pieces, chunks[1]),
        parts(c, pieces, chunks[2]),
    )
        .into_par_iter()
        .enumerate()
        .for_each(|(at, (a, b, c))| fill(at, [zeroed(a), zeroed(b), zeroed(c)]));
    for (buffer, chunk) in buffers.iter_mut().zip(chunks) {
        // SAFETY: the capacity is at least this, and the pieces, which were all written, make up these values.
        unsafe { buffer.set_len(pieces * chunk) }
    }
    buffers
}

thread_local! {
    /// A block of a result: a buffer that stays with a thread, as large as the largest block that it has filled.
    static BLOCK: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// A matrix of `shape` (rows and columns), row by row, of which `fill` is given each block of `each` rows and columns (fewer
/// at the edges) with its rows and columns, to write all its values, row by row. What the block holds before is left from
/// others.
///
/// # Panics
/// When blocks would be empty or the matrix does not fit into memory, and when `fill` does.
pub fn filled_in_blocks(
    shape: (usize, usize),
    each: (usize, usize),
    fill: impl Fn(Range<usize>, Range<usize>, &mut [f32]) + Sync,
) -> Vec<f32> {
    let (rows, columns) = shape;
    assert!(each.0 > 0 && each.1 > 0, "blocks of {each:?}");
    let len = rows.checked_mul(columns).expect("a matrix that fits");
    let mut buffer: Vec<f32> = Vec::with_capacity(len);
    let target = Target::new(&mut buffer);
    let across = columns.div_ceil(each.1);
    let blocks = rows.div_ceil(each.0) * across;
    (0..blocks).into_par_iter().for_each(|at| {
        let (top, left) = (at / across * each.0, at % across * each.1);
        let (bottom, right) = (rows.min(top + each.0), columns.min(left + each.1));
        let width = right - left;
        let mut kept = BLOCK.take();
        if kept.len() < (bottom - top) * width {
            kept.resize((bottom - top) * width, 0.0)
        }
        let block = &mut kept[..(bottom - top) * width];
        fill(top..bottom, left..right, block);
        for (row, values) in (top..bottom).zip(block.chunks_exact(width)) {
            // SAFETY: `row` is below `rows` and `left + width` is at most `columns`, so that these `width` values lie
            // within the `len` that the buffer has room for. Blocks differ in their rows or in their columns, so that no
            // two write to one value; nothing else uses the buffer before all have ended.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    values.as_ptr(),
                    target.at(row * columns + left),
                    width,
                )
            }
        }
        BLOCK.set(kept)
    });
    // SAFETY: the capacity is at least `len`, and the blocks, which were all copied, make up these values.
    unsafe { buffer.set_len(len) }
    buffer
}

/// The pieces of a buffer's room, in parallel.
fn parts(
    buffer: &mut Vec<f32>,
    pieces: usize,
    chunk: usize,
) -> impl IndexedParallelIterator<Item = &mut [MaybeUninit<f32>]> {
    buffer.spare_capacity_mut()[..pieces * chunk].par_chunks_mut(chunk)
}

/// The piece, with zeros in it.
fn zeroed(piece: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    piece.fill(MaybeUninit::new(0.0));
    // SAFETY: every value of the piece was written in the line above.
    unsafe { piece.assume_init_mut() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_zero_and_then_filled_once() {
        for (len, chunk) in [(0, 3), (1, 3), (9, 3), (10, 3), (1000, 1)] {
            let got = filled_in_chunks(len, chunk, |at, piece| {
                assert!(piece.iter().all(|x| *x == 0.0));
                for (i, x) in piece.iter_mut().enumerate() {
                    *x += (at * chunk + i) as f32
                }
            });
            let want: Vec<_> = (0..len).map(|i| i as f32).collect();
            assert_eq!(got, want);
        }
    }

    #[test]
    fn every_block_is_filled_once() {
        for shape in [(0, 3), (3, 0), (1, 1), (7, 5), (100, 33)] {
            for each in [(1, 1), (2, 3), (100, 4), (64, 100)] {
                let got = filled_in_blocks(shape, each, |rows, columns, block| {
                    let places = rows.flat_map(|row| columns.clone().map(move |c| (row, c)));
                    let places: Vec<_> = places.collect();
                    assert_eq!(block.len(), places.len());
                    for (x, (row, column)) in block.iter_mut().zip(places) {
                        *x = (row * shape.1 + column) as f32
                    }
                });
                let want: Vec<_> = (0..shape.0 * shape.1).map(|i| i as f32).collect();
                assert_eq!(got, want);
            }
        }
    }

    #[test]
    fn three_buffers_are_filled_piece_by_piece() {
        for pieces in [0, 1, 7, 300] {
            let chunks = [3, 1, 20];
            let got = three_filled_in_chunks(pieces, chunks, |at, parts| {
                for (part, chunk) in parts.into_iter().zip(chunks) {
                    assert_eq!(part, vec![0.0; chunk]);
                    for (i, x) in part.iter_mut().enumerate() {
                        *x += (at * chunk + i) as f32
                    }
                }
            });
            for (got, chunk) in got.iter().zip(chunks) {
                let want: Vec<_> = (0..pieces * chunk).map(|i| i as f32).collect();
                assert_eq!(got, &want)
            }
        }
    }
}
