//! The images nearest to probes and to texts, for several sets of components, in one pass over the images.

use crate::decompose::{ImageChunks, each_block};
use crate::identity::TextEmbeddings;
use crate::score::retrieval::sum_of;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};

/// The images of the highest scores so far, best first; of equal ones the first.
#[derive(Clone)]
pub(super) struct Nearest {
    k: usize,
    found: Vec<(f64, usize)>,
}

impl Nearest {
    fn new(k: usize) -> Self {
        let found = Vec::with_capacity(k + 1);
        Self { k, found }
    }

    fn offer(&mut self, score: f64, image: usize) {
        let place = self.found.partition_point(|(other, _)| *other >= score);
        if place < self.k {
            self.found.insert(place, (score, image));
            self.found.truncate(self.k);
        }
    }

    pub fn images(&self) -> impl Iterator<Item = usize> {
        self.found.iter().map(|(_, image)| *image)
    }
}

/// The `k` images nearest to each of the first `probes` images by the cosine between sums over components, the probe itself
/// left out: for each of `sets` one [`Nearest`] a probe.
pub(super) fn nearest_to_probes(
    contributions: &impl ImageChunks,
    sets: &[Vec<usize>],
    probes: usize,
    k: usize,
) -> Result<Vec<Vec<Nearest>>> {
    let (_, images, _) = contributions.extent("contributions")?;
    let probes = probes.min(images);
    let mut all: Vec<Probes> = sets.iter().map(|_| Probes::new(probes, k)).collect();
    each_block(contributions, |start, block| {
        for (set, of_set) in sets.iter().zip(&mut all) {
            of_set.take(start, unit(&sum_of(block, set)?)?)?;
        }
        Ok(())
    })?;
    Ok(all.into_iter().map(|of_set| of_set.nearest).collect())
}

/// The probes of one set of components. They are the first images, so nothing is compared until they are there.
struct Probes {
    count: usize,
    /// Of the probes as far as they have come, b x d each; once all are there one, count x d.
    units: Vec<Tensor>,
    have: usize,
    nearest: Vec<Nearest>,
}

impl Probes {
    fn new(count: usize, k: usize) -> Self {
        Self {
            count,
            units: Vec::new(),
            have: 0,
            nearest: vec![Nearest::new(k); count],
        }
    }

    /// Takes the sums of further images, of unit length, of which the first has number `start`.
    fn take(&mut self, start: usize, units: Tensor) -> Result<()> {
        let rows = units.dim(0)?;
        let missing = (self.count - self.have).min(rows);
        if missing > 0 {
            self.units.push(units.narrow(0, 0, missing)?);
            self.have += missing;
            if self.have == self.count {
                let probes = Tensor::cat(&self.units, 0)?;
                self.units = vec![probes.clone()];
                self.compare(0, &probes)?;
            }
        }
        match rows - missing {
            0 => Ok(()),
            rest => self.compare(start + missing, &units.narrow(0, missing, rest)?),
        }
    }

    fn compare(&mut self, start: usize, units: &Tensor) -> Result<()> {
        let probes = self.units.first();
        let probes = probes.ok_or_else(|| Error::argument("probes", 0, "one or more"))?;
        let cosines = probes.matmul(&units.t()?.contiguous()?)?.to_vec2::<f64>()?;
        for (probe, (nearest, row)) in self.nearest.iter_mut().zip(cosines).enumerate() {
            for (i, cosine) in row.into_iter().enumerate() {
                if start + i != probe {
                    nearest.offer(cosine, start + i);
                }
            }
        }
        Ok(())
    }
}

/// The `k` images of the highest products with each text, for each of `sets` and each feature.
pub(super) fn nearest_to_texts(
    aligned: &impl ImageChunks,
    sets: &[Vec<usize>],
    features: &[&TextEmbeddings],
    k: usize,
) -> Result<Vec<Vec<Vec<Nearest>>>> {
    let columns = |texts: &&TextEmbeddings| -> Result<Tensor> {
        let texts = texts.tensor().to_device(&Device::Cpu)?;
        Ok(texts.to_dtype(DType::F64)?.t()?.contiguous()?)
    };
    let columns = features.iter().map(columns).collect::<Result<Vec<_>>>()?;
    let of_feature = |texts: &Tensor| Ok(vec![Nearest::new(k); texts.dim(1)?]);
    let of_set = columns
        .iter()
        .map(of_feature)
        .collect::<Result<Vec<Vec<Nearest>>>>()?;
    let mut all = vec![of_set; sets.len()];
    each_block(aligned, |start, block| {
        for (set, of_set) in sets.iter().zip(&mut all) {
            let sums = sum_of(block, set)?;
            for (texts, of_feature) in columns.iter().zip(of_set) {
                let products = sums.matmul(texts)?.t()?.contiguous()?;
                for (nearest, row) in of_feature.iter_mut().zip(products.to_vec2::<f64>()?) {
                    for (i, product) in row.into_iter().enumerate() {
                        nearest.offer(product, start + i);
                    }
                }
            }
        }
        Ok(())
    })?;
    Ok(all)
}

/// Rows brought to unit length; a row of zeros stays one.
fn unit(sums: &Tensor) -> Result<Tensor> {
    let lengths = sums.sqr()?.sum_keepdim(1)?.sqrt()?;
    Ok(sums.broadcast_div(&lengths.maximum(f64::MIN_POSITIVE)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::retrieval;
    use candle_core::IndexOp;

    /// By the definition, of blocks that end within the probes, at their end and behind it; equal images among them.
    #[test]
    fn the_nearest_are_those_of_a_whole_sort() -> Result<()> {
        let values: Vec<f32> = (0..3 * 23 * 5)
            .map(|i| ((i * 37 % 101) as f32).sin())
            .collect();
        let c = Tensor::from_vec(values, (3, 23, 5), &Device::Cpu)?;
        // Image 20 is image 2 once more.
        let c = Tensor::cat(
            &[c.narrow(1, 0, 20)?, c.narrow(1, 2, 1)?, c.narrow(1, 21, 2)?],
            1,
        )?;
        let sets = [vec![0, 1, 2], vec![1]];
        for size in [1, 4, 7, 23] {
            let chunks: Vec<Tensor> = (0..23)
                .step_by(size)
                .map(|i| c.narrow(1, i, size.min(23 - i)))
                .collect::<candle_core::Result<_>>()?;
            let found = nearest_to_probes(&&chunks[..], &sets, 8, 6)?;
            for (set, of_set) in sets.iter().zip(&found) {
                for (probe, nearest) in of_set.iter().enumerate() {
                    let mut scores = retrieval::by_image(&c, set, &c.i((.., probe, ..))?)?;
                    scores[probe] = f64::NEG_INFINITY;
                    let mut order: Vec<usize> = (0..23).collect();
                    // Equal but for rounding counts as equal.
                    let rounded = |i: &usize| (scores[*i] * 1e9).round() as i64;
                    order.sort_by_key(|i| std::cmp::Reverse(rounded(i)));
                    let got: Vec<usize> = nearest.images().collect();
                    assert_eq!(got, order[..6], "{size} {probe}");
                }
            }
        }
        Ok(())
    }
}
