//! Self-attention as one kernel: scores, bias, softmax and mix for each image (or window) and head, without the scores
//! of all of them in memory at once.

use super::kernel::computed;
use super::raw::{Matrix, MatrixMut, filled_in_chunks, product, three_filled_in_chunks};
use super::rows::{exp, max_of, replace_and_sum, vectorised};
use super::{Path, path};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

/// Queries that are scored together where there are many: scores of so many rows stay in a core's own cache.
const QUERIES: usize = 256;

/// The token at each place, group by group, and the place of each token.
pub type GroupOrder = (Arc<[u32]>, Arc<[u32]>);

/// Tokens that attend each to their own group alone.
#[derive(Clone, Debug)]
pub struct Groups {
    /// Tokens a group.
    pub size: usize,
    /// None where tokens lie group by group.
    pub order: Option<GroupOrder>,
}

/// What attention gives.
#[derive(Debug)]
pub struct Attended {
    /// B x T x C, heads side by side.
    pub mixed: Tensor,
    /// What was asked for beside it.
    pub kept: Option<Factors>,
}

/// The factors whose product attention's result is. With groups, one of them stands in place of an image.
#[derive(Debug)]
pub struct Factors {
    /// B x H x R x T, for the queries that were asked for.
    pub probs: Tensor,
    /// B x H x T x C/H.
    pub v: Tensor,
}

/// Whether [`attention`] has a kernel for these: f32 on the CPU, without a gradient.
pub fn has_kernel(qkv: &Tensor, bias: Option<&Tensor>) -> bool {
    let mut inputs = vec![qkv];
    inputs.extend(bias);
    path(qkv, &inputs) == Path::Kernel
        && inputs
            .iter()
            .all(|t| !t.track_op() && t.dtype() == qkv.dtype())
}

/// Attention of queries, keys and values that lie side by side, B x T x 3C, each with the heads side by side. `bias` is
/// added to the scores: T x T, or G x T x T for G that divides (images or groups) times heads. The probabilities of the
/// queries `kept` are given back, and the values, where asked for.
///
/// # Errors
/// When the shapes do not fit, no query is asked for, or [`has_kernel`] is false.
pub fn attention(
    qkv: &Tensor,
    heads: usize,
    bias: Option<&Tensor>,
    groups: Option<&Groups>,
    kept: Option<Range<usize>>,
) -> Result<Attended> {
    let (b, t, width) = qkv.dims3()?;
    let size = groups.map_or(t, |groups| groups.size);
    let of_order = |(order, back): &GroupOrder| {
        let inside = |x: &[u32]| x.len() == t && x.iter().all(|&x| (x as usize) < t);
        inside(order) && inside(back)
    };
    let order = groups.and_then(|groups| groups.order.as_ref());
    if heads == 0
        || width % (3 * heads) != 0
        || size == 0
        || t % size != 0
        || !order.is_none_or(of_order)
        || kept
            .as_ref()
            .is_some_and(|kept| kept.is_empty() || kept.end > size)
    {
        bail!(
            "attention: {heads} heads over q, k and v of {:?} in groups of {size}",
            qkv.dims()
        )
    }
    let parts = b * t / size * heads;
    if let Some(bias) = bias {
        match *bias.dims() {
            [n, m] if (n, m) == (size, size) => {}
            [g, n, m] if (n, m) == (size, size) && g > 0 && parts.is_multiple_of(g) => {}
            _ => bail!(
                "attention: a bias of {:?} for {parts} maps of {size} x {size}",
                bias.dims()
            ),
        }
    }
    let attend = Attend {
        heads,
        size,
        shape: (b, t, width / 3),
        order,
        kept: kept.clone(),
    };
    let mut written = None;
    let mut made = |qkv: &[f32], bias: Option<&[f32]>| {
        let (mixed, factors) = attend.compute(qkv, bias);
        written = factors;
        mixed
    };
    let shape = (b, t, width / 3);
    let mixed = match bias {
        Some(bias) => computed("attention", [qkv, bias], shape, |[qkv, bias]| {
            made(qkv, Some(bias))
        })?,
        None => computed("attention", [qkv], shape, |[qkv]| made(qkv, None))?,
    };
    let kept = match (kept, written) {
        (Some(kept), Some(Written { probs, v })) => {
            let (groups, width) = (b * t / size, width / 3 / heads);
            Some(Factors {
                probs: Tensor::from_vec(probs, (groups, heads, kept.len(), size), qkv.device())?,
                v: Tensor::from_vec(v, (groups, heads, size, width), qkv.device())?,
            })
        }
        _ => None,
    };
    Ok(Attended { mixed, kept })
}

struct Attend<'a> {
    heads: usize,
    /// Tokens a group.
    size: usize,
    /// Of the result, B x T x C.
    shape: (usize, usize, usize),
    order: Option<&'a GroupOrder>,
    /// The queries whose probabilities are asked for.
    kept: Option<Range<usize>>,
}

/// Probabilities and values of all groups, one group's after the other.
struct Written {
    probs: Vec<f32>,
    v: Vec<f32>,
}

/// Those of some queries whose probabilities are asked for.
struct Asked {
    /// Counted from the first of these queries.
    of: Range<usize>,
    /// The place of their first one among all that are asked for.
    place: usize,
}

/// Where some queries of a group leave the results of some heads.
struct Places<'a> {
    /// A row for each query, the heads side by side.
    mixed: &'a mut [f32],
    /// Probabilities, heads x R x N, and values, heads x N x C/H, where asked for.
    kept: Option<(&'a mut [f32], &'a mut [f32])>,
}

thread_local! {
    /// q, k and v of one group: a buffer that stays with a thread, as large as the largest that it has gathered.
    static GATHERED: RefCell<Vec<f32>> = RefCell::default();

    /// Scores, queries x keys, and the factor of each query, as large as the largest part of an attention that a thread has
    /// computed.
    static SCRATCH: RefCell<(Vec<f32>, Vec<f32>)> = RefCell::default();
}

impl Attend<'_> {
    fn compute(&self, qkv: &[f32], bias: Option<&[f32]>) -> (Vec<f32>, Option<Written>) {
        let ((b, t, width), n) = (self.shape, self.size);
        let three = 3 * width;
        let groups = b * t / n;
        let attend = |at: usize, heads: Range<usize>, queries: Range<usize>, places: Places| {
            let Places {
                mixed: out,
                mut kept,
            } = places;
            GATHERED.with_borrow_mut(|gathered| {
                let rows = match self.order {
                    None => &qkv[at * n * three..][..n * three],
                    Some((order, _)) => {
                        let image = &qkv[at * n / t * t * three..][..t * three];
                        gathered.clear();
                        for &token in &order[at * n % t..][..n] {
                            gathered.extend_from_slice(&image[token as usize * three..][..three])
                        }
                        &gathered[..]
                    }
                };
                let (count, d) = (heads.len(), width / self.heads);
                for (i, head) in heads.enumerate() {
                    let part = at * self.heads + head;
                    let bias =
                        bias.map(|bias| &bias[part % (bias.len() / (n * n)) * n * n..][..n * n]);
                    let mut kept = kept.as_mut().map(|(probs, v)| {
                        let each = probs.len() / count;
                        let v = v[i * n * d..][..n * d].chunks_exact_mut(d);
                        for (v, row) in v.zip(rows.chunks_exact(three)) {
                            v.copy_from_slice(&row[2 * width + head * d..][..d])
                        }
                        &mut probs[i * each..][..each]
                    });
                    for some in in_parts(queries.clone(), queries.len().div_ceil(QUERIES)) {
                        let first = (some.start - queries.start) * count * d + i * d;
                        let out = (&mut out[first..], count * d);
                        let kept = kept.as_mut().zip(self.asked_of(&some));
                        let kept = kept.map(|(probs, asked)| {
                            let probs = &mut probs[asked.place * n..][..asked.of.len() * n];
                            (probs, asked.of)
                        });
                        self.head(rows, (head, width), some, bias, out, kept)
                    }
                }
            })
        };
        let threads = rayon::current_num_threads();
        if let Some(range) = &self.kept {
            // A few images on many cores are split by heads.
            let each = heads_each(self.heads, groups, 2 * threads);
            let parts = self.heads / each;
            let width_each = width / parts;
            let pieces = [n * width_each, each * range.len() * n, n * width_each];
            let fill = |task: usize, [mixed, probs, v]: [&mut [f32]; 3]| {
                let heads = task % parts * each..(task % parts + 1) * each;
                let kept = Some((probs, v));
                attend(task / parts, heads, 0..n, Places { mixed, kept })
            };
            let [mixed, probs, v] = three_filled_in_chunks(groups * parts, pieces, fill);
            let mixed = side_by_side(mixed, parts, n, width);
            return (self.in_place(mixed), Some(Written { probs, v }));
        }
        // A few images on many cores are split by queries.
        let blocks = n
            .div_ceil(QUERIES)
            .max((2 * threads).div_ceil(groups.max(1)));
        let blocks = blocks.min(n.div_ceil(16));
        let each = n.div_ceil(blocks);
        let mixed = filled_in_chunks(groups * n * width, n * width, |at, out| {
            out.par_chunks_mut(each * width)
                .enumerate()
                .for_each(|(block, out)| {
                    let from = block * each;
                    let queries = from..from + out.len() / width;
                    let places = Places {
                        mixed: out,
                        kept: None,
                    };
                    attend(at, 0..self.heads, queries, places)
                })
        });
        (self.in_place(mixed), None)
    }

    /// Those of some queries whose probabilities are asked for, if any.
    fn asked_of(&self, some: &Range<usize>) -> Option<Asked> {
        let asked = self.kept.as_ref()?;
        let (from, to) = (asked.start.max(some.start), asked.end.min(some.end));
        (from < to).then(|| Asked {
            of: from - some.start..to - some.start,
            place: from - asked.start,
        })
    }

    /// Some queries of one head of one group, whose q, k and v are `rows`; into the first columns of `out`, the rows of
    /// which are as far apart as it says. The probabilities of those of them that `kept` names are written there.
    fn head(
        &self,
        rows: &[f32],
        (head, width): (usize, usize),
        queries: Range<usize>,
        bias: Option<&[f32]>,
        (out, apart): (&mut [f32], usize),
        kept: Option<(&mut [f32], Range<usize>)>,
    ) {
        let (n, d, three) = (self.size, width / self.heads, 3 * width);
        let count = queries.len();
        let of = |which: usize, from: usize, count: usize| {
            let start = from * three + which * width + head * d;
            Matrix::new(&rows[start..], (count, d), (three, 1))
        };
        SCRATCH.with_borrow_mut(|(scores, factors)| {
            scores.resize((count * n).max(scores.len()), 0.0);
            factors.resize(count.max(factors.len()), 0.0);
            let (scores, factors) = (&mut scores[..count * n], &mut factors[..count]);
            product(
                of(0, queries.start, count),
                of(1, 0, n).transposed(),
                (d as f32).powf(-0.5),
                MatrixMut::new(scores, (count, n), n),
            );
            vectorised(
                #[inline(always)]
                || match bias {
                    Some(bias) => {
                        let bias = bias[queries.start * n..].chunks_exact(n);
                        let each = scores.chunks_exact_mut(n).zip(bias).zip(&mut *factors);
                        for ((scores, bias), factor) in each {
                            for (score, bias) in scores.iter_mut().zip(bias) {
                                *score += bias
                            }
                            *factor = exponentials(scores)
                        }
                    }
                    // A loop: `for_each` would be a function of its own, compiled for all processors.
                    None => {
                        for (scores, factor) in scores.chunks_exact_mut(n).zip(&mut *factors) {
                            *factor = exponentials(scores)
                        }
                    }
                },
            );
            product(
                Matrix::new(scores, (count, n), (n, 1)),
                of(2, 0, n),
                1.0,
                MatrixMut::new(out, (count, d), apart),
            );
            vectorised(
                #[inline(always)]
                || {
                    for (out, factor) in out.chunks_mut(apart).zip(&*factors) {
                        for out in &mut out[..d] {
                            *out *= factor
                        }
                    }
                    if let Some((kept, of)) = kept {
                        let rows = scores[of.start * n..].chunks_exact(n);
                        let rows = rows.zip(&factors[of.start..]);
                        for (kept, (row, factor)) in kept.chunks_exact_mut(n).zip(rows) {
                            for (kept, x) in kept.iter_mut().zip(row) {
                                *kept = x * factor
                            }
                        }
                    }
                },
            );
        })
    }

    /// The rows of all images, which lie group by group, where their tokens are.
    fn in_place(&self, mixed: Vec<f32>) -> Vec<f32> {
        let Some((_, back)) = self.order else {
            return mixed;
        };
        let (_, t, width) = self.shape;
        // Some rows a task, which lie in one image.
        let rows = (1..=t.min(64))
            .rev()
            .find(|rows| t.is_multiple_of(*rows))
            .unwrap_or(1);
        filled_in_chunks(mixed.len(), rows * width, |task, out| {
            let first = task * rows;
            let image = &mixed[first / t * t * width..][..t * width];
            for (out, place) in out.chunks_exact_mut(width).zip(&back[first % t..]) {
                out.copy_from_slice(&image[*place as usize * width..][..width])
            }
        })
    }
}

/// A range in so many parts of one length, but for the last.
fn in_parts(range: Range<usize>, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let each = range.len().div_ceil(parts.max(1)).max(1);
    let end = range.end;
    range
        .step_by(each)
        .map(move |from| from..end.min(from + each))
}

/// As many of `heads` together as leave at least `tasks` tasks, or one.
fn heads_each(heads: usize, groups: usize, tasks: usize) -> usize {
    let enough = |each: &usize| heads.is_multiple_of(*each) && groups * heads / each >= tasks;
    (1..=heads).rev().find(enough).unwrap_or(1)
}

/// Rows whose columns lie in `parts` matrices of `n` rows, one after the other for each group, put together again.
fn side_by_side(mixed: Vec<f32>, parts: usize, n: usize, width: usize) -> Vec<f32> {
    if parts == 1 {
        return mixed;
    }
    let each = width / parts;
    filled_in_chunks(mixed.len(), width, |row, out| {
        let group = &mixed[row / n * n * width..][..n * width];
        for (part, out) in out.chunks_exact_mut(each).enumerate() {
            out.copy_from_slice(&group[(part * n + row % n) * each..][..each])
        }
    })
}

/// Puts e^(x - max) in place of each x; what they are to be multiplied with so that they sum up to 1.
#[inline(always)]
fn exponentials(row: &mut [f32]) -> f32 {
    let max = max_of(row);
    let sum = replace_and_sum(
        row,
        #[inline(always)]
        |x| exp(x - max),
    );
    1.0 / sum
}

#[cfg(test)]
mod tests {
    use super::super::testing::gap;
    use super::*;
    use candle_core::{D, DType, Device};

    /// How far results may be from those in f64, whose values are some units.
    const WITHIN: f32 = 5e-6;

    /// B x T x C and B x H x T x T, of candle's own operations in f64.
    fn written_out(qkv: &Tensor, heads: usize, bias: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let qkv = qkv.to_dtype(DType::F64)?;
        let (b, t, width) = qkv.dims3()?;
        let d = width / 3 / heads;
        let split = qkv.reshape((b, t, 3, heads, d))?;
        let of = |i: usize| {
            split
                .narrow(2, i, 1)?
                .squeeze(2)?
                .transpose(1, 2)?
                .contiguous()
        };
        let (q, k, v) = (of(0)?, of(1)?, of(2)?);
        let mut scores = (q.matmul(&k.t()?.contiguous()?)? * (d as f64).powf(-0.5))?;
        if let Some(bias) = bias {
            let groups = bias.elem_count() / (t * t);
            let apart = scores.reshape(((), groups, t, t))?;
            let bias = bias.to_dtype(DType::F64)?.reshape((groups, t, t))?;
            scores = apart.broadcast_add(&bias)?.reshape((b, heads, t, t))?
        }
        let probs = candle_nn::ops::softmax(&scores, D::Minus1)?;
        let mixed = probs
            .matmul(&v)?
            .transpose(1, 2)?
            .reshape((b, t, heads * d))?;
        Ok((mixed.to_dtype(DType::F32)?, probs.to_dtype(DType::F32)?))
    }

    /// One token and more than are scored together, of which some or one are asked for, one head and several, causal masks,
    /// biases for each head, and for each head of each image; an input that is a view.
    #[test]
    fn attention_is_candles_on_these_cores() -> Result<()> {
        attention_is_candles()
    }

    /// As on a machine of many cores, where heads are dealt out too.
    #[test]
    fn attention_is_candles_on_many_cores() -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(16).build();
        pool.expect("threads").install(attention_is_candles)
    }

    fn attention_is_candles() -> Result<()> {
        let cpu = &Device::Cpu;
        for (b, t, heads, d) in [
            (1, 1, 1, 3),
            (2, 13, 3, 5),
            (1, 300, 2, 16),
            (1, 600, 2, 4),
            (3, 65, 1, 8),
        ] {
            let qkv = Tensor::randn(0f32, 1., (b, 3 * heads * d, t), cpu)?.transpose(1, 2)?;
            let causal: Vec<f32> = (0..t * t)
                .map(|i| {
                    if i % t > i / t {
                        f32::NEG_INFINITY
                    } else {
                        0.0
                    }
                })
                .collect();
            let biases = [
                None,
                Some(Tensor::from_vec(causal, (t, t), cpu)?),
                Some(Tensor::randn(0f32, 1., (heads, t, t), cpu)?),
                Some(Tensor::randn(0f32, 1., (b * heads, t, t), cpu)?),
            ];
            for bias in biases.iter().map(Option::as_ref) {
                let (mixed, probs) = written_out(&qkv, heads, bias)?;
                let got = attention(&qkv, heads, bias, None, None)?;
                let apart = gap(&got.mixed, &mixed)?;
                assert!(apart < WITHIN, "{b} {t} {heads}: {apart}");
                assert!(got.kept.is_none());
                for asked in [t / 3..t / 3 + t.div_ceil(2), 0..1, t - 1..t, 0..t] {
                    let got = attention(&qkv, heads, bias, None, Some(asked.clone()))?;
                    assert!(gap(&got.mixed, &mixed)? < WITHIN);
                    let probs = probs.narrow(2, asked.start, asked.len())?;
                    let kept = got.kept.expect("what was asked for");
                    assert!(gap(&kept.probs, &probs)? < WITHIN, "{t}: {asked:?}");
                    let v = qkv.narrow(2, 2 * heads * d, heads * d)?;
                    let v = v.reshape((b, t, heads, d))?.transpose(1, 2)?;
                    assert_eq!(gap(&kept.v, &v)?, 0.0);
                }
            }
        }
        Ok(())
    }

    /// Each group is an image of its own, and its tokens come back to where they were.
    #[test]
    fn groups_attend_each_to_itself() -> Result<()> {
        let cpu = &Device::Cpu;
        let (b, t, size, heads) = (2, 12, 4, 2);
        let qkv = Tensor::randn(0f32, 1., (b, t, 3 * 6), cpu)?;
        let order: Vec<u32> = (0..12).map(|i| (i * 5 + 3) % 12).collect();
        let mut back = vec![0u32; 12];
        (order.iter().enumerate()).for_each(|(place, &token)| back[token as usize] = place as u32);
        let orders: [Option<GroupOrder>; 2] = [None, Some((order.into(), back.into()))];
        // For each head of each of the three groups of an image.
        let bias = Tensor::randn(0f32, 1., (3 * heads, size, size), cpu)?;
        for order in orders {
            let gathered = match &order {
                Some((order, _)) => qkv.index_select(&Tensor::new(&order[..], cpu)?, 1)?,
                None => qkv.clone(),
            };
            let apart = gathered.reshape((b * t / size, size, 18))?;
            let (mixed, probs) = written_out_in_groups(&apart, heads, &bias)?;
            let mixed = mixed.reshape((b, t, 6))?;
            let mixed = match &order {
                Some((_, back)) => mixed.index_select(&Tensor::new(&back[..], cpu)?, 1)?,
                None => mixed,
            };
            let groups = Groups { size, order };
            let got = attention(&qkv, heads, Some(&bias), Some(&groups), None)?;
            assert!(gap(&got.mixed, &mixed)? < WITHIN);
            let got = attention(&qkv, heads, Some(&bias), Some(&groups), Some(0..size))?;
            assert!(gap(&got.mixed, &mixed)? < WITHIN);
            let kept = got.kept.expect("what was asked for");
            assert!(gap(&kept.probs, &probs)? < WITHIN);
            let v = apart.narrow(2, 12, 6)?.reshape(((), size, heads, 3))?;
            assert_eq!(gap(&kept.v, &v.transpose(1, 2)?)?, 0.0);
        }
        Ok(())
    }

    fn written_out_in_groups(
        apart: &Tensor,
        heads: usize,
        bias: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let images = apart.dim(0)? * heads / bias.dim(0)?;
        let bias = Tensor::cat(&vec![bias; images], 0)?;
        written_out(apart, heads, Some(&bias))
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<()> {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
        let qkv = zeros(&[2, 12, 18])?;
        let refused = |heads, bias: Option<&Tensor>, groups: Option<&Groups>, probs| {
            attention(&qkv, heads, bias, groups, probs).is_err()
        };
        assert!(
            refused(4, None, None, None),
            "heads that do not divide the width"
        );
        assert!(refused(2, Some(&zeros(&[12, 11])?), None, None));
        assert!(refused(2, Some(&zeros(&[3, 12, 12])?), None, None));
        assert!(refused(2, None, None, Some(0..13)));
        assert!(refused(2, None, None, Some(3..3)));
        let groups = |size, order: Option<(Vec<u32>, Vec<u32>)>| Groups {
            size,
            order: order.map(|(order, back)| (order.into(), back.into())),
        };
        assert!(refused(2, None, Some(&groups(5, None)), None));
        let places: Vec<u32> = (0..12).collect();
        let beyond: Vec<u32> = (1..13).collect();
        assert!(refused(
            2,
            None,
            Some(&groups(4, Some((places.clone(), beyond)))),
            None
        ));
        let short = Some((places.clone(), places[1..].to_vec()));
        assert!(refused(2, None, Some(&groups(4, short)), None));
        let variable = candle_core::Var::from_tensor(&qkv)?;
        assert!(!has_kernel(&variable, None) && has_kernel(&qkv, None));
        assert!(!has_kernel(&qkv.to_dtype(DType::F64)?, None));
        Ok(())
    }
}
