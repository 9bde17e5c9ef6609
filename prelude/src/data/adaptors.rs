//! A set seen otherwise: with its own preprocessing, or with other labels.

use super::{DataSet, Labels, ModelInput, Preprocess};
use crate::{Error, Result};
use candle_core::Tensor;
use std::sync::Arc;

/// A set with a preprocessing of its own. Made by [`DataSet::preprocessed`].
#[derive(Clone)]
pub struct Preprocessed {
    whole: Arc<dyn DataSet>,
    preprocess: Preprocess,
}

impl Preprocessed {
    pub(super) fn new(whole: Arc<dyn DataSet>, preprocess: Preprocess) -> Result<Self> {
        preprocess.check()?;
        Ok(Self { whole, preprocess })
    }

    fn input(&self, input: ModelInput) -> ModelInput {
        ModelInput::new(input.size, self.preprocess)
    }
}

impl DataSet for Preprocessed {
    fn name(&self) -> &str {
        self.whole.name()
    }

    fn key(&self) -> String {
        let all = format!("{} {:?}", self.whole.key(), self.preprocess);
        let hash = blake3::hash(all.as_bytes()).to_hex();
        format!("preprocessed-{}", &hash[..16])
    }

    fn len(&self) -> usize {
        self.whole.len()
    }

    fn image_name(&self, index: usize) -> String {
        self.whole.image_name(index)
    }

    fn pixels(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        self.whole.pixels(indices, self.input(input))
    }

    fn masks(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        self.whole.masks(indices, self.input(input))
    }

    fn skipped(&self) -> &[Error] {
        self.whole.skipped()
    }

    fn label_columns(&self) -> Vec<String> {
        self.whole.label_columns()
    }

    fn labels(&self, column: &str) -> Result<Labels> {
        self.whole.labels(column)
    }

    fn labels_of(&self, column: &str, indices: &[usize]) -> Result<Labels> {
        self.whole.labels_of(column, indices)
    }
}

/// A set with a label column given by the caller. Made by [`DataSet::relabelled`].
#[derive(Clone)]
pub struct Relabelled {
    whole: Arc<dyn DataSet>,
    column: String,
    labels: Labels,
}

impl Relabelled {
    pub(super) fn new(whole: Arc<dyn DataSet>, column: &str, labels: Labels) -> Result<Self> {
        let wrong = |reason| {
            Err(Error::data(
                whole.name(),
                format!("labels \"{column}\": {reason}"),
            ))
        };
        if labels.values.len() != whole.len() {
            let (given, images) = (labels.values.len(), whole.len());
            return wrong(format!(
                "{given} labels for {images} images; give one for each"
            ));
        }
        if let Some(value) = labels.values.iter().find(|&&v| v >= labels.names.len()) {
            return wrong(format!(
                "value {value} has no name; there are {}",
                labels.names.len()
            ));
        }
        let column = column.to_string();
        Ok(Self {
            whole,
            column,
            labels,
        })
    }
}

impl DataSet for Relabelled {
    fn name(&self) -> &str {
        self.whole.name()
    }

    /// Labels are no part of it: the images are the same.
    fn key(&self) -> String {
        self.whole.key()
    }

    fn len(&self) -> usize {
        self.whole.len()
    }

    fn image_name(&self, index: usize) -> String {
        self.whole.image_name(index)
    }

    fn pixels(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        self.whole.pixels(indices, input)
    }

    fn masks(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        self.whole.masks(indices, input)
    }

    fn skipped(&self) -> &[Error] {
        self.whole.skipped()
    }

    fn label_columns(&self) -> Vec<String> {
        let mut columns = self.whole.label_columns();
        if !columns.contains(&self.column) {
            columns.push(self.column.clone())
        }
        columns
    }

    fn labels(&self, column: &str) -> Result<Labels> {
        if column == self.column {
            Ok(self.labels.clone())
        } else {
            self.whole.labels(column)
        }
    }
}
