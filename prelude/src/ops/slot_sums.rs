//! Weighted sums of rows by slot: what a pooling over tokens with one place for each token comes to, on all cores.

use super::kernel::computed;
use super::raw::filled_in_chunks;
use super::rows::vectorised;
use super::{Path, path, widened};
use candle_core::{Device, Result, Tensor, bail};
use std::sync::Arc;

/// Values that a task should write at least.
const GRAIN: usize = 1 << 12;

/// Matrices for each thread from which on a task takes a whole one, row after row as they lie, which a core reads ahead of;
/// where there are fewer, each slot is dealt out by itself.
const MATRICES_PER_THREAD: usize = 16;

/// The one of K slots in which each row of a group is added up. Groups are alike, or come in turns of W kinds (the windows
/// of an image).
#[derive(Clone, Debug)]
pub struct Slots {
    count: usize,
    /// Rows of a group.
    rows: usize,
    /// The slot of each row, kind by kind.
    of: Arc<[u32]>,
    /// The rows of each slot one after the other, kind by kind, and where those of a slot begin: K W + 1 places.
    sorted: Arc<[u32]>,
    starts: Arc<[usize]>,
}

impl Slots {
    /// All of `rows` in one slot.
    pub fn one(rows: usize) -> Self {
        Self::sort(1, rows, vec![0; rows])
    }

    /// Row r in slot `of[r]` of `count`.
    ///
    /// # Errors
    /// When a slot is not below `count`.
    pub fn new(count: usize, of: Vec<u32>) -> Result<Self> {
        match of.iter().all(|&slot| (slot as usize) < count) {
            true => Ok(Self::sort(count, of.len(), of)),
            false => bail!("slots: {of:?} of {count}"),
        }
    }

    /// These with each group in kinds of `rows` rows, which `order` names in turn; in their own order without.
    ///
    /// # Errors
    /// When there is more than one kind already, or the kinds do not come out even.
    pub fn in_kinds(&self, rows: usize, order: Option<&[u32]>) -> Result<Self> {
        let all = self.rows;
        let fits = rows > 0 && all.is_multiple_of(rows) && self.of.len() == all;
        if !fits || order.is_some_and(|order| order.len() != all) {
            bail!("slots: {all} rows in kinds of {rows}")
        }
        let of = match order {
            Some(order) => order.iter().map(|&row| self.of[row as usize]).collect(),
            None => self.of.to_vec(),
        };
        Ok(Self::sort(self.count, rows, of))
    }

    fn sort(count: usize, rows: usize, of: Vec<u32>) -> Self {
        let kinds = of.len().checked_div(rows).unwrap_or(0);
        let (mut sorted, mut starts) = (Vec::with_capacity(of.len()), vec![0]);
        for kind in 0..kinds {
            let of = &of[kind * rows..][..rows];
            let mut order: Vec<u32> = (0..rows as u32).collect();
            order.sort_by_key(|&row| of[row as usize]);
            let mut end = sorted.len();
            for slot in 0..count {
                end += of.iter().filter(|&&own| own as usize == slot).count();
                starts.push(end)
            }
            sorted.extend(order)
        }
        Self {
            count,
            rows,
            of: of.into(),
            sorted: sorted.into(),
            starts: starts.into(),
        }
    }

    /// Number of slots, K.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The slot of each row, kind by kind.
    pub fn of(&self) -> &[u32] {
        &self.of
    }

    /// W.
    fn kinds(&self) -> usize {
        self.of.len().checked_div(self.rows).unwrap_or(0)
    }

    /// The rows of a slot.
    fn rows_of(&self, kind: usize, slot: usize) -> &[u32] {
        let at = kind * self.count + slot;
        &self.sorted[self.starts[at]..self.starts[at + 1]]
    }

    /// 1 where a row is in a slot, W x K x R.
    fn indicator(&self, like: &Tensor) -> Result<Tensor> {
        let of = Tensor::new(&*self.of, &Device::Cpu)?.reshape((self.kinds(), 1, self.rows))?;
        let slots = Tensor::arange(0u32, self.count as u32, &Device::Cpu)?;
        let slots = slots.reshape((1, self.count, 1))?;
        let indicator = slots.broadcast_eq(&of)?.to_dtype(like.dtype())?;
        indicator.to_device(like.device())
    }
}

/// The rows of each slot, times their weights, added up: `x` G x H x R x C, `weights` G x R; gives G x H x K x C.
/// Differentiable wherever one of them is tracked.
///
/// # Errors
/// When the shapes or types do not fit.
pub fn slot_sums(x: &Tensor, weights: &Tensor, slots: &Slots) -> Result<Tensor> {
    let (g, h, r, c) = x.dims4()?;
    let kinds = slots.kinds();
    let fits = weights.dims() == [g, r] && r == slots.rows && kinds > 0 && g % kinds == 0;
    if !fits || weights.dtype() != x.dtype() {
        bail!(
            "slot sums: {:?} of {:?} for {:?} of {:?}, {} slots of {} rows in {kinds} kinds",
            weights.dims(),
            weights.dtype(),
            x.dims(),
            x.dtype(),
            slots.count,
            slots.rows
        )
    }
    if r == 1 && slots.count == 1 {
        return x.broadcast_mul(&weights.reshape((g, 1, 1, 1))?);
    }
    let tracked = x.track_op() || weights.track_op();
    match path(x, &[x, weights]) {
        Path::Kernel if !tracked && c > 0 => {
            let shape = (g, h, slots.count, c);
            computed("slot sums", [x, weights], shape, |[x, weights]| {
                summed(x, weights, (g, h, r, c), slots)
            })
        }
        Path::Widened => slot_sums(&widened(x)?, &widened(weights)?, slots)?.to_dtype(x.dtype()),
        _ => composed(x, weights, slots).and_then(|sums| sums.reshape((g, h, slots.count, c))),
    }
}

/// The same result, composed of candle's differentiable operations.
fn composed(x: &Tensor, weights: &Tensor, slots: &Slots) -> Result<Tensor> {
    let (g, h, r, _) = x.dims4()?;
    let (kinds, k) = (slots.kinds(), slots.count);
    let by_kind = weights.reshape((g / kinds, kinds, 1, r))?;
    let spread = by_kind.broadcast_mul(&slots.indicator(weights)?.unsqueeze(0)?)?;
    let spread = spread
        .reshape((g, 1, k, r))?
        .broadcast_as((g, h, k, r))?
        .contiguous()?;
    spread.matmul(&x.contiguous()?)
}

fn summed(
    x: &[f32],
    weights: &[f32],
    (g, h, r, c): (usize, usize, usize, usize),
    slots: &Slots,
) -> Vec<f32> {
    let (k, kinds) = (slots.count, slots.kinds());
    if g * h >= MATRICES_PER_THREAD * rayon::current_num_threads() {
        return filled_in_chunks(g * h * k * c, k * c, |matrix, out| {
            let group = matrix / h;
            let rows = x[matrix * r * c..].chunks_exact(c);
            let weights = &weights[group * r..][..r];
            let of = &slots.of[group % kinds * r..];
            vectorised(
                #[inline(always)]
                || {
                    for ((x, weight), &slot) in rows.zip(weights).zip(of) {
                        for (out, x) in out[slot as usize * c..][..c].iter_mut().zip(x) {
                            *out += weight * x
                        }
                    }
                },
            )
        });
    }
    let each = (GRAIN / c).max(1);
    filled_in_chunks(g * h * k * c, each * c, |task, out| {
        vectorised(
            #[inline(always)]
            || {
                for (i, out) in out.chunks_exact_mut(c).enumerate() {
                    let at = task * each + i;
                    let (matrix, slot) = (at / k, at % k);
                    let group = matrix / h;
                    let (x, weights) = (&x[matrix * r * c..], &weights[group * r..]);
                    for &row in slots.rows_of(group % kinds, slot) {
                        let row = row as usize;
                        let weight = weights[row];
                        for (out, x) in out.iter_mut().zip(&x[row * c..]) {
                            *out += weight * x
                        }
                    }
                }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Var};

    fn random(shape: &[usize]) -> Result<Tensor> {
        Tensor::randn(0f64, 1., shape, &Device::Cpu)
    }

    /// One slot and several, of which one stays empty; one kind of group and three.
    fn some_slots() -> Result<[Slots; 4]> {
        let four = Slots::new(4, vec![2, 0, 2, 3, 0, 0])?;
        let order = [5, 0, 1, 4, 3, 2];
        let in_kinds = four.in_kinds(2, Some(&order))?;
        Ok([Slots::one(1), Slots::one(6), four, in_kinds])
    }

    #[test]
    fn sums_are_those_of_a_product_with_a_matrix_of_zeros_and_weights() -> Result<()> {
        for slots in some_slots()? {
            // So many heads that each task takes a matrix.
            let many = MATRICES_PER_THREAD * rayon::current_num_threads();
            for (h, c) in [(1, 1), (3, 7), (2, 5000), (many, 3)] {
                let (g, r) = (3 * slots.kinds(), slots.rows);
                let (x, weights) = (random(&[g, h, r, c])?, random(&[g, r])?);
                let half = |t: &Tensor| t.to_dtype(DType::F32);
                let got = slot_sums(&half(&x)?, &half(&weights)?, &slots)?;
                assert_eq!(got.dims(), [g, h, slots.count, c]);
                let (x, weights) = (
                    x.flatten_all()?.to_vec1::<f64>()?,
                    weights.to_vec2::<f64>()?,
                );
                let mut want = vec![0f64; g * h * slots.count * c];
                for (at, x) in x.iter().enumerate() {
                    let (channel, row, matrix) = (at % c, at / c % r, at / c / r);
                    let group = matrix / h;
                    let slot = slots.of[group % slots.kinds() * r + row] as usize;
                    want[(matrix * slots.count + slot) * c + channel] += weights[group][row] * x
                }
                let got = got.flatten_all()?.to_vec1::<f32>()?;
                for (got, want) in got.iter().zip(&want) {
                    assert!((*got as f64 - want).abs() < 1e-5, "{got} {want}")
                }
            }
        }
        Ok(())
    }

    #[test]
    fn what_a_device_takes_is_what_the_kernel_computes_and_has_a_gradient() -> Result<()> {
        for slots in some_slots()? {
            let g = 2 * slots.kinds();
            let x = random(&[g, 3, slots.rows, 5])?.to_dtype(DType::F32)?;
            let weights = random(&[g, slots.rows])?.to_dtype(DType::F32)?;
            let gap = (slot_sums(&x, &weights, &slots)? - composed(&x, &weights, &slots)?)?;
            assert!(gap.abs()?.max_all()?.to_scalar::<f32>()? < 1e-5);
            let tracked = Var::from_tensor(&weights)?;
            let slopes = slot_sums(&x, &tracked, &slots)?.sum_all()?.backward()?;
            let slope = slopes.get(&tracked).expect("a gradient");
            let gap = (x.sum((1, 3))? - slope)?.abs()?.max_all()?;
            assert!(gap.to_scalar::<f32>()? < 1e-5);
        }
        Ok(())
    }

    #[test]
    fn rows_and_slots_that_do_not_fit_are_refused() -> Result<()> {
        assert!(Slots::new(2, vec![0, 2]).is_err());
        let slots = Slots::new(2, vec![0, 1, 1, 0])?;
        assert!(slots.in_kinds(3, None).is_err());
        assert!(slots.in_kinds(2, Some(&[0, 1])).is_err());
        let kinds = slots.in_kinds(2, None)?;
        assert!(kinds.in_kinds(2, None).is_err());
        let x = random(&[3, 1, 2, 1])?;
        assert!(slot_sums(&x, &random(&[3, 2])?, &kinds).is_err());
        assert!(slot_sums(&x, &random(&[3, 3])?, &kinds).is_err());
        Ok(())
    }
}
