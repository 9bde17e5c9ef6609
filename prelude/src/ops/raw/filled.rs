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
        .for_each(|(at, piece)| {
            piece.fill(MaybeUninit::new(0.0));
            // SAFETY: every value of the piece was written in the line above.
            let piece = unsafe { piece.assume_init_mut() };
            fill(at, piece)
        });
    // SAFETY: the capacity is at least `len`, and the pieces, which were all written, make up the first `len` values.
    unsafe { buffer.set_len(len) }
    buffer
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
}
