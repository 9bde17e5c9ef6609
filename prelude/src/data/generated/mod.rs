//! The generated image set: one object in a textured place, every factor of it known.
//!
//! Nothing is stored. Image `i` of seed `s` is drawn when it is asked for, and is the same whatever
//! the order, the number of threads and the size it is drawn at.
//!
//! ```
//! use vitrepl_prelude::data::{DataSet, Factor, GeneratedSet, GeneratedSpec};
//! # fn main() -> vitrepl_prelude::Result<()> {
//! let set = GeneratedSet::new(GeneratedSpec::unbiased(7, 100))?;
//! assert_eq!(set.pixels(&[0, 3], 48.into())?.dims(), [2, 3, 48, 48]);
//! assert_eq!(Factor::Location.names()[0], "sea");
//! assert_eq!(set.values(Factor::Location).len(), 100);
//! # Ok(())
//! # }
//! ```

mod backgrounds;
mod canvas;
mod captions;
mod correlation;
mod factors;
mod noise;
mod object;
mod scene;

pub use captions::{prompt, vocabulary};
pub use correlation::{FactorCorrelation, Split};
pub use factors::{Factor, Factors};
pub use scene::Drawing;

use super::labels::no_column;
use super::preprocess::planes;
use super::{DataSet, Labels, ModelInput, check_batch, check_indices};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How many different captions an image has.
pub const CAPTIONS: usize = 64;

/// Everything that decides a generated set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneratedSpec {
    pub seed: u64,
    pub len: usize,
    /// Ties a class to a place; without it every factor is independent of the others.
    pub correlation: Option<FactorCorrelation>,
}

impl GeneratedSpec {
    /// `len` images in which every factor is uniform and independent.
    pub fn unbiased(seed: u64, len: usize) -> Self {
        Self {
            seed,
            len,
            correlation: None,
        }
    }

    /// `len` images whose shape class and place group agree in a share `agreement` of them
    /// ([`FactorCorrelation::shape_and_location`]); 0.5 makes them independent.
    pub fn correlated(seed: u64, len: usize, agreement: f64) -> Self {
        let correlation = Some(FactorCorrelation::shape_and_location(agreement));
        Self {
            seed,
            len,
            correlation,
        }
    }
}

/// Images of one size with their object masks.
pub struct Batch {
    /// `B x 3 x size x size`, f32 in [0, 1].
    pub pixels: Tensor,
    /// `B x size x size`, u8: 1 on the object.
    pub masks: Tensor,
}

/// A generated set. See the [module](self).
#[derive(Clone)]
pub struct GeneratedSet {
    spec: GeneratedSpec,
    name: String,
}

impl GeneratedSet {
    /// The set of `spec`. Fails when it is empty or its correlation makes no sense.
    pub fn new(spec: GeneratedSpec) -> Result<Self> {
        if spec.len == 0 {
            return Err(Error::argument("len", 0, "at least one image"));
        }
        let mut name = format!("generated seed {}", spec.seed);
        if let Some(correlation) = &spec.correlation {
            correlation.check()?;
            name = format!("{name}, agreement {}", correlation.agreement);
        }
        Ok(Self { spec, name })
    }

    /// What the set was made from.
    pub fn spec(&self) -> &GeneratedSpec {
        &self.spec
    }

    /// The factors of image `index`.
    pub fn factors(&self, index: usize) -> Factors {
        let mut rng = self.rng(index, 0);
        let mut factors = Factors::uniform(&mut rng);
        if let Some(correlation) = &self.spec.correlation {
            correlation.apply(&mut factors, &mut rng);
        }
        factors
    }

    /// Image `index`, `size` pixels square.
    pub fn draw(&self, index: usize, size: usize) -> Drawing {
        scene::draw(&self.factors(index), size, &mut self.rng(index, 1))
    }

    /// The images at `indices` with their masks.
    pub fn batch(&self, indices: &[usize], size: usize) -> Result<Batch> {
        check_indices(&self.name, indices, self.len())?;
        check_batch(indices.len(), ModelInput::from(size))?;
        let (pixels, masks): (Vec<_>, Vec<_>) = indices
            .par_iter()
            .map(|&i| self.draw(i, size))
            .map(|drawing| (planes(&drawing.rgb), drawing.mask))
            .unzip();
        let shape = (indices.len(), size, size);
        Ok(Batch {
            pixels: Tensor::from_vec(
                pixels.concat(),
                (indices.len(), 3, size, size),
                &Device::Cpu,
            )?,
            masks: Tensor::from_vec(masks.concat(), shape, &Device::Cpu)?,
        })
    }

    /// The value of `factor` in every image.
    pub fn values(&self, factor: Factor) -> Vec<usize> {
        self.column((0..self.len()).into_par_iter(), |factors| {
            factors.get(factor)
        })
    }

    /// Caption `variant` (taken modulo [`CAPTIONS`]) of image `index`.
    pub fn caption(&self, index: usize, variant: usize) -> String {
        let mut rng = self.rng(index, 2 + (variant % CAPTIONS) as u64);
        captions::write(&self.factors(index), &mut rng)
    }

    /// Caption `variant` of each image at `indices`.
    pub fn captions(&self, indices: &[usize], variant: usize) -> Vec<String> {
        indices
            .par_iter()
            .map(|&i| self.caption(i, variant))
            .collect()
    }

    fn column(
        &self,
        indices: impl ParallelIterator<Item = usize>,
        value: impl Fn(&Factors) -> u32 + Sync + Send,
    ) -> Vec<usize> {
        indices.map(|i| value(&self.factors(i)) as usize).collect()
    }

    /// A factor by name; with a correlation also "class", "place" and "group" (2 class + place).
    fn labels_at(
        &self,
        column: &str,
        indices: impl ParallelIterator<Item = usize>,
    ) -> Result<Labels> {
        if let Some(factor) = Factor::from_name(column) {
            let names = factor.names().iter().map(|name| name.to_string()).collect();
            return Ok(Labels {
                values: self.column(indices, |factors| factors.get(factor)),
                names,
            });
        }
        match (&self.spec.correlation, column) {
            (Some(FactorCorrelation { class, .. }), "class") => Ok(Labels {
                values: self.column(indices, |factors| class.group(factors)),
                names: class.names.to_vec(),
            }),
            (Some(FactorCorrelation { place, .. }), "place") => Ok(Labels {
                values: self.column(indices, |factors| place.group(factors)),
                names: place.names.to_vec(),
            }),
            (Some(FactorCorrelation { class, place, .. }), "group") => Ok(Labels {
                values: self.column(indices, |factors| {
                    2 * class.group(factors) + place.group(factors)
                }),
                names: class
                    .names
                    .iter()
                    .flat_map(|class| {
                        place
                            .names
                            .iter()
                            .map(move |place| format!("{class}, {place}"))
                    })
                    .collect(),
            }),
            _ => Err(no_column(&self.name, column, &self.label_columns())),
        }
    }

    /// A random stream for each image and purpose.
    fn rng(&self, index: usize, purpose: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.spec.seed);
        rng.set_stream(((index as u64) << 8) | purpose);
        rng
    }
}

impl DataSet for GeneratedSet {
    fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> String {
        let hash = blake3::hash(format!("{:?}", self.spec).as_bytes()).to_hex();
        format!("generated-2-{}", &hash[..16])
    }

    fn len(&self) -> usize {
        self.spec.len
    }

    /// Seed and index: `77000:12`.
    fn image_name(&self, index: usize) -> String {
        format!("{}:{index}", self.spec.seed)
    }

    fn pixels(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        Ok(self.batch(indices, input.size)?.pixels)
    }

    /// The exact object masks: 1 on the object.
    fn masks(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        Ok(self.batch(indices, input.size)?.masks)
    }

    fn label_columns(&self) -> Vec<String> {
        let factors = Factor::ALL.map(Factor::name);
        let biased = self
            .spec
            .correlation
            .iter()
            .flat_map(|_| ["class", "place", "group"]);
        factors
            .into_iter()
            .chain(biased)
            .map(str::to_string)
            .collect()
    }

    fn labels(&self, column: &str) -> Result<Labels> {
        self.labels_at(column, (0..self.len()).into_par_iter())
    }

    fn labels_of(&self, column: &str, indices: &[usize]) -> Result<Labels> {
        check_indices(&self.name, indices, self.len())?;
        self.labels_at(column, indices.par_iter().copied())
    }
}
