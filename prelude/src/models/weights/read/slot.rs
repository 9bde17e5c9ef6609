//! A tensor of a file before it is read: what it is called, what it holds, and where.

use std::sync::Arc;

/// Kinds of numbers, as far as they are told apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    F64,
    F32,
    F16,
    BF16,
    /// Four bits of exponent, no infinity (`float8_e4m3fn`).
    F8E4M3,
    F8E5M2,
    U8,
    U32,
    I64,
    /// No weights are made of these: the name, and bytes of one where that is known.
    Other(&'static str, usize),
}

impl Number {
    /// Bytes of one; 0 where it is not known.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::U32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::F8E4M3 | Self::F8E5M2 | Self::U8 => 1,
            Self::Other(_, size) => size,
        }
    }

    /// As messages call it, where it is no floating-point number.
    pub fn odd(self) -> Option<&'static str> {
        match self {
            Self::U8 => Some("uint8"),
            Self::U32 => Some("uint32"),
            Self::I64 => Some("int64"),
            Self::Other(name, _) => Some(name),
            _ => None,
        }
    }
}

/// A tensor of a file.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// The dictionaries it is in, from the outermost.
    pub entry: Arc<[String]>,
    pub key: String,
    pub number: Number,
    pub shape: Vec<usize>,
    /// Where its numbers are, or why there are none to read.
    pub place: Result<Place, String>,
}

/// Where numbers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which file of several.
    pub part: usize,
    /// The first byte.
    pub start: u64,
    /// Distances between neighbours along each dimension, in numbers, where they do not simply follow each other.
    pub strides: Option<Vec<usize>>,
    /// CRC-32 of the bytes, where the file has it and the tensor is all they are.
    pub check: Option<u32>,
}

/// The strides of numbers that simply follow each other.
pub(super) fn contiguous(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i].saturating_mul(shape[i].max(1))
    }
    strides
}

/// Numbers in a tensor of this shape; none where that is more than can be counted.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    // A dimension of 0 does not make the others harmless to multiply.
    let product = shape
        .iter()
        .try_fold(1usize, |all, &n| all.checked_mul(n.max(1)))?;
    Some(if shape.contains(&0) { 0 } else { product })
}
