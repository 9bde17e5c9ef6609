//! The products of some value vectors with one row of the directions first, which are weighted and summed while they are in
//! registers, a direction in each place of a vector.

use super::{Part, Sizes};
use crate::ops::rows::from_a_line;
use pulp::{Simd, WithSimd};

/// Directions that are packed side by side: a whole number of vectors, which have at most so many values.
const TOGETHER: usize = 16;

/// Tokens of a tile: a processor needs some 8 sums at once to add to two each cycle.
const TOKENS: usize = 10;

/// The values of [`super::weighted_products`].
pub(super) fn summed(
    [v, weights, directions, constants]: [&[f32]; 4],
    sizes: Sizes,
    head: usize,
) -> Vec<f32> {
    let Sizes { c, count, k, .. } = sizes;
    let len = count.div_ceil(TOGETHER) * k * c * TOGETHER;
    let mut buffer = Vec::new();
    let panels = from_a_line(&mut buffer, len);
    pack(directions, sizes, head, panels);
    let panels = &*panels;
    sizes.each_group([v, weights, constants], head, |part, out| {
        pulp::Arch::new().dispatch(Group {
            panels,
            sizes,
            part,
            out,
        })
    })
}

/// Writes the head's directions into `panels`, which are zero: of so many that lie side by side, for each of their rows, a line
/// for each channel.
fn pack(directions: &[f32], sizes: Sizes, head: usize, panels: &mut [f32]) {
    let Sizes { h, c, k, .. } = sizes;
    for (place, row) in directions.chunks_exact(h * c).enumerate() {
        let (direction, of) = (place / k, place % k);
        let (block, at) = (direction / TOGETHER, direction % TOGETHER);
        let lines = &mut panels[(block * k + of) * c * TOGETHER..][..c * TOGETHER];
        for (line, value) in lines.chunks_exact_mut(TOGETHER).zip(&row[head * c..]) {
            line[at] = *value
        }
    }
}

/// The tokens of one group.
struct Group<'a> {
    panels: &'a [f32],
    sizes: Sizes,
    part: Part<'a>,
    /// Tokens x count.
    out: &'a mut [f32],
}

impl WithSimd for Group<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Sizes { c, count, k, .. } = self.sizes;
        let panels = self.panels.chunks_exact(k * c * TOGETHER);
        for (block, panel) in panels.enumerate() {
            for from in (0..TOGETHER).step_by(S::F32_LANES) {
                let first = block * TOGETHER + from;
                if first < count {
                    self.along(simd, &panel[from..], first)
                }
            }
        }
    }
}

impl Group<'_> {
    /// Fills the result for a vector of directions from `first` on, so many tokens at a time. The last tile has tokens of the
    /// one before it too, where their number is no multiple.
    #[inline(always)]
    fn along<S: Simd>(&mut self, simd: S, panel: &[f32], first: usize) {
        let n = self.sizes.n;
        if n < TOKENS {
            for top in 0..n {
                self.put(self.tile::<S, 1>(simd, panel, top), top, first)
            }
            return;
        }
        for top in (0..n).step_by(TOKENS) {
            let top = top.min(n - TOKENS);
            self.put(self.tile::<S, TOKENS>(simd, panel, top), top, first)
        }
    }

    /// The sums of some tokens.
    #[inline(always)]
    fn tile<S: Simd, const T: usize>(&self, simd: S, panel: &[f32], top: usize) -> [S::f32s; T] {
        let Sizes { n, c, .. } = self.sizes;
        let values: [&[f32]; T] = std::array::from_fn(
            #[inline(always)]
            |t| &self.part.v[(top + t) * c..][..c],
        );
        let mut sums = [simd.splat_f32s(0.0); T];
        for (row, weights) in self.part.weights.chunks_exact(n).enumerate() {
            let weights = &weights[top..][..T];
            let mut products = [simd.splat_f32s(0.0); T];
            for i in 0..c {
                let line = &panel[(row * c + i) * TOGETHER..][..S::F32_LANES];
                let line = S::as_simd_f32s(line).0[0];
                for t in 0..T {
                    let value = simd.splat_f32s(values[t][i]);
                    products[t] = simd.mul_add_f32s(line, value, products[t])
                }
            }
            for t in 0..T {
                let weight = simd.splat_f32s(weights[t]);
                sums[t] = simd.mul_add_f32s(products[t], weight, sums[t])
            }
        }
        sums
    }

    /// Writes the sums of tokens from `top` on.
    #[inline(always)]
    fn put<V: bytemuck::Pod, const T: usize>(&mut self, sums: [V; T], top: usize, first: usize) {
        let count = self.sizes.count;
        for (t, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(top + t) * count..][first..count];
            let constants = &self.part.constants[first..];
            let sums: &[f32] = bytemuck::cast_slice(std::slice::from_ref(sums));
            for ((out, sum), constant) in out.iter_mut().zip(sums).zip(constants) {
                *out = constant + sum
            }
        }
    }
}
