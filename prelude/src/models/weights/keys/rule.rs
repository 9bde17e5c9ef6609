//! One line of a format's table: what a tensor is called in the file, what here, and how its shape changes.

use super::pattern::{filled, matched};
use candle_core::{Result, Tensor};

/// What a renamed tensor needs besides its new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reshape {
    /// As it is.
    Same,
    /// `in x out` to `out x in`.
    Transpose,
    /// Leading dimensions of 1 until there are three.
    Lead,
    /// One number, of whatever shape.
    Scalar,
    /// The n-th of the three parts that are stacked along the first dimension: query, key and value.
    Third(usize),
}

impl Reshape {
    /// From the other format's shape to the house's; none when the rank is wrong.
    pub(crate) fn apply(self, tensor: Tensor) -> Result<Option<Tensor>> {
        Ok(match (self, tensor.rank()) {
            (Self::Same, _) => Some(tensor),
            (Self::Third(_), 1 | 2) => Some(tensor),
            (Self::Scalar, _) if tensor.elem_count() == 1 => Some(tensor.reshape(())?),
            (Self::Transpose, 2) => Some(tensor.t()?.contiguous()?),
            (Self::Lead, rank @ 0..=3) => {
                let mut dims = vec![1; 3 - rank];
                dims.extend(tensor.dims());
                Some(tensor.reshape(dims)?)
            }
            _ => None,
        })
    }

    /// The shape in the file of a tensor that has `dims` here.
    pub(crate) fn dims_in_file(self, dims: &[usize]) -> Vec<usize> {
        match self {
            Self::Same | Self::Scalar => dims.to_vec(),
            Self::Transpose => dims.iter().rev().copied().collect(),
            Self::Lead => dims.iter().copied().skip_while(|&d| d == 1).collect(),
            Self::Third(_) => {
                let mut dims = dims.to_vec();
                if let Some(rows) = dims.first_mut() {
                    *rows /= 3
                }
                dims
            }
        }
    }

    /// From the house's shape to the other format's.
    ///
    /// # Errors
    /// When the tensor has not the rank or size the house's has.
    pub fn undo(self, tensor: &Tensor) -> Result<Tensor> {
        match self {
            Self::Same | Self::Scalar => Ok(tensor.clone()),
            Self::Transpose => tensor.t()?.contiguous(),
            Self::Lead => tensor.reshape(self.dims_in_file(tensor.dims())),
            Self::Third(n) => {
                let rows = tensor.dim(0)? / 3;
                tensor.narrow(0, n * rows, rows)?.contiguous()
            }
        }
    }
}

/// A line of a format's table.
pub struct Rule {
    file: &'static str,
    house: &'static str,
    pub(super) reshape: Reshape,
}

/// `file` in the file is `house` here, with the same shape.
pub(super) const fn same(file: &'static str, house: &'static str) -> Rule {
    with(file, house, Reshape::Same)
}

/// `file` in the file is `house` here, after `reshape`.
pub(super) const fn with(file: &'static str, house: &'static str, reshape: Reshape) -> Rule {
    Rule {
        file,
        house,
        reshape,
    }
}

impl Rule {
    /// The house's name of the file's `key`.
    pub(super) fn to_house(&self, key: &str) -> Option<String> {
        filled(self.house, &matched(self.file, key)?)
    }

    /// The file's key of the house's `name`.
    pub(super) fn to_file(&self, name: &str) -> Option<String> {
        filled(self.file, &matched(self.house, name)?)
    }
}
