//! The generated version of the study: shapes in places.

use super::StudyData;
use crate::data::{Factor, FactorCorrelation, GeneratedSet, GeneratedSpec};
use crate::{Error, Result};

/// How many images of which kind.
#[derive(Clone, Debug)]
pub struct GeneratedSplits {
    /// Share of the training images in which class and place agree.
    pub agreement: f64,
    /// Images without bias or labels: the aligner's, the scores', and the ablation's means.
    pub reference: usize,
    /// Images the probe is fitted on.
    pub train: usize,
    /// Images on which k is chosen; class and place are independent.
    pub validation: usize,
    /// Images the accuracies are of; class and place are independent.
    pub test: usize,
    pub seed: u64,
}

impl Default for GeneratedSplits {
    fn default() -> Self {
        Self {
            agreement: 0.95,
            reference: 4000,
            train: 3000,
            validation: 2000,
            test: 4000,
            // The zoo was trained on seeds below 1000.
            seed: 77_000,
        }
    }
}

impl StudyData {
    /// Rounded against angular shapes, in open and in covered places; location is the spurious feature, shape the core
    /// one, and a zero-shot head knows a class by its three shapes.
    ///
    /// # Errors
    /// When a size or the share makes no sense.
    pub fn generated(splits: &GeneratedSplits) -> Result<Self> {
        const INDEPENDENT: f64 = 0.5;
        let set = |offset: u64, len, agreement| {
            let seed = splits.seed + offset;
            GeneratedSet::new(GeneratedSpec::correlated(seed, len, agreement))
        };
        let train = set(1, splits.train, splits.agreement)?;
        let validation = set(2, splits.validation, INDEPENDENT)?;
        let test = set(3, splits.test, INDEPENDENT)?;
        let reference = GeneratedSet::new(GeneratedSpec::unbiased(splits.seed, splits.reference))?;
        let FactorCorrelation { class, .. } =
            FactorCorrelation::shape_and_location(splits.agreement);
        let name = format!("generated, agreement {}", splits.agreement);
        let data = Self::new(train, validation, test, "class", "place")?;
        // A class is numbered by what the probe's labels say, which follows the factor's own split.
        let shapes = data.classes.iter().map(|name| {
            let class_of = class.names.iter().position(|known| known == name);
            let values = class_of.map(|class_of| &class.groups[class_of]);
            let values =
                values.ok_or_else(|| Error::data(&*data.name, format!("no class {name}")))?;
            let names = values.iter().map(|v| class.factor.names()[*v as usize]);
            Ok(names.collect::<Vec<_>>())
        });
        let shapes = shapes.collect::<Result<Vec<_>>>()?;
        let location = Factor::Location;
        data.named(name)
            .spurious(location.name(), location.names())
            .core(Factor::Shape.name(), Factor::Shape.names())
            .reference(reference)
            .class_texts(&shapes)
    }
}
