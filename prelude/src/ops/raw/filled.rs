//! Buffers that are made on all cores.

use rayon::prelude::*;
use std::mem::MaybeUninit;

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
