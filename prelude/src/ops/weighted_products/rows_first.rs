//! Each token's weighted sum of a direction's rows first, and the product of this sum with the token's value vector while it
//! is in registers: the rows are packed once for all groups, and no products lie in memory in between.

use super::Sizes;
use pulp::{Simd, WithSimd};
use std::cell::Cell;

/// Tokens of a tile, whose sums are held in 10 of 16 registers, or in 14 of the 32 that vectors of 16 values have.
const TOKENS: usize = 5;
const TOKENS_OF_WIDE: usize = 7;

/// Places beside the tokens of a group, for a tile that reaches beyond the last one.
const BESIDE: usize = TOKENS_OF_WIDE - 1;

/// Vectors of channels of a tile.
const VECTORS: usize = 2;

/// What channels are padded to with zeros: a whole number of tiles, whose vectors have at most 16 values.
const CHANNELS: usize = VECTORS * 16;

thread_local! {
    /// A group's weights and value vectors: buffers that stay with a thread.
    static SCRATCH: Cell<(Vec<f32>, Vec<f32>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// The values of [`super::weighted_products`].
pub(super) fn summed(
    [v, weights, directions, constants]: [&[f32]; 4],
    sizes: Sizes,
    head: usize,
) -> Vec<f32> {
    let Sizes {
        h, n, c, count, k, ..
    } = sizes;
    let channels = c.next_multiple_of(CHANNELS);
    let mut rows = vec![0.0; count * k * channels];
    for (row, of) in rows
        .chunks_exact_mut(channels)
        .zip(directions.chunks_exact(h * c))
    {
        row[..c].copy_from_slice(&of[head * c..][..c])
    }
    let rows = &rows[..];
    let places = n + BESIDE;
    sizes.each_group([v, weights, constants], head, |part, out| {
        let (mut lines, mut values) = SCRATCH.take();
        let used = gather(part.weights, n, places, &mut lines);
        values.resize((places * channels).max(values.len()), 0.0);
        for (row, of) in values
            .chunks_exact_mut(channels)
            .zip(part.v.chunks_exact(c))
        {
            row[..c].copy_from_slice(of);
            row[c..].fill(0.0)
        }
        pulp::Arch::new().dispatch(Group {
            rows,
            k,
            channels,
            used: &used,
            weights: &lines,
            tokens: n,
            places,
            values: &values[..places * channels],
            constants: part.constants,
            out,
        });
        SCRATCH.set((lines, values))
    })
}

/// Copies the rows of weights that are not all zero, with so many places each, and returns their numbers: windows of 7 x 7
/// tokens have none in 15 of 64 slots.
fn gather(weights: &[f32], n: usize, places: usize, lines: &mut Vec<f32>) -> Vec<usize> {
    let mut used = Vec::with_capacity(weights.len() / n);
    lines.clear();
    for (row, weights) in weights.chunks_exact(n).enumerate() {
        if weights.iter().all(|weight| *weight == 0.0) {
            continue;
        }
        used.push(row);
        lines.extend_from_slice(weights);
        lines.resize(used.len() * places, 0.0)
    }
    used
}

/// The tokens of one group.
struct Group<'a> {
    /// Count x k rows of so many channels.
    rows: &'a [f32],
    k: usize,
    channels: usize,
    /// The rows of a direction that weights are given for, and those, one value a place.
    used: &'a [usize],
    weights: &'a [f32],
    tokens: usize,
    places: usize,
    /// Places x channels.
    values: &'a [f32],
    /// One for each direction.
    constants: &'a [f32],
    /// Tokens x count.
    out: &'a mut [f32],
}

impl WithSimd for Group<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match S::F32_LANES {
            16 => self.along::<S, TOKENS_OF_WIDE>(simd),
            _ => self.along::<S, TOKENS>(simd),
        }
    }
}

impl Group<'_> {
    /// Fills the result, so many tokens at a time.
    #[inline(always)]
    fn along<S: Simd, const T: usize>(&mut self, simd: S) {
        let width = VECTORS * S::F32_LANES;
        let each = self.k * self.channels;
        let count = self.constants.len();
        for at in 0..count {
            let rows = &self.rows[at * each..][..each];
            for top in (0..self.tokens).step_by(T) {
                let mut products = [simd.splat_f32s(0.0); T];
                for from in (0..self.channels).step_by(width) {
                    let sums = self.tile::<S, T>(simd, rows, top, from);
                    for t in 0..T {
                        let value = &self.values[(top + t) * self.channels + from..][..width];
                        let (value, _) = S::as_simd_f32s(value);
                        for v in 0..VECTORS {
                            products[t] = simd.mul_add_f32s(sums[t][v], value[v], products[t])
                        }
                    }
                }
                let left = T.min(self.tokens - top);
                for (t, product) in products.iter().enumerate().take(left) {
                    self.out[(top + t) * count + at] =
                        self.constants[at] + simd.reduce_sum_f32s(*product)
                }
            }
        }
    }

    /// The weighted sums of a direction's rows for some tokens, in some channels.
    #[inline(always)]
    fn tile<S: Simd, const T: usize>(
        &self,
        simd: S,
        rows: &[f32],
        top: usize,
        from: usize,
    ) -> [[S::f32s; VECTORS]; T] {
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; T];
        for i in 0..self.used.len() {
            let row = &rows[self.used[i] * self.channels + from..][..VECTORS * S::F32_LANES];
            let (row, _) = S::as_simd_f32s(row);
            let weights = &self.weights[i * self.places + top..][..T];
            for t in 0..T {
                let weight = simd.splat_f32s(weights[t]);
                for v in 0..VECTORS {
                    sums[t][v] = simd.mul_add_f32s(row[v], weight, sums[t][v])
                }
            }
        }
        sums
    }
}
