//! An orthonormal basis of the span of a feature's instantiations.

use std::fmt;

use candle_core::{DType, Device, Tensor};

use super::singular;
use super::vector::{dot, norm};
use crate::check;
use crate::{Error, Result};

/// Directions whose singular value is below this share of the largest one do not count.
pub(super) const CUT: f64 = 1e-3;

/// Dropped texts that a description names.
const NAMED: usize = 5;

/// What is left of a unit vector below this length is rounding.
const NOTHING: f64 = 1e-9;

/// Orthonormal directions of the span of a feature's texts, each text of unit length.
///
/// Their number is that of the singular values of the texts (as rows of unit length) above 1e-3 of the largest one: a
/// text that is another one but for a thousandth ("sea" and "sea.") is no further direction. Which texts count is
/// [`Self::kept`], which add nothing [`Self::dropped`]; the basis displays both.
///
/// [`Self::tensor`] has the directions in the order of the texts, on which scores that are means over directions depend:
/// the first is the first text's, each next one what its text adds. They are the Q of a QR decomposition of the kept
/// texts as columns, up to signs, which no score depends on. [`Self::principal`] has the same number of directions as
/// right singular vectors, which do not depend on the order.
#[derive(Debug, Clone)]
pub struct Basis {
    directions: Vec<Vec<f64>>,
    principal: Vec<Vec<f64>>,
    kept: Vec<usize>,
    dropped: Vec<Dropped>,
}

/// A text that adds no direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Dropped {
    /// Its row among the features.
    pub row: usize,
    /// The row of the kept text nearest to it.
    pub nearest: usize,
    /// Its cosine with that one; 0 for a zero vector.
    pub cosine: f64,
}

impl Basis {
    /// From `features`, k x d, one row an instantiation ("sea", "forest", ...). Computed in f64; directions by
    /// Gram-Schmidt, each vector orthogonalised twice, which is as good as Householder's method.
    ///
    /// # Errors
    /// No features, NaN or infinity, or only zero vectors.
    pub fn of(features: &Tensor) -> Result<Self> {
        check::matrix("features", features)?;
        check::finite("features", features)?;
        let mut rows = features.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        for row in &mut rows {
            let length = norm(row);
            if length > 0.0 {
                row.iter_mut().for_each(|v| *v /= length);
            }
        }
        let singular = singular::decompose(rows.clone());
        let Some((largest, _)) = singular.first() else {
            return Err(Error::argument(
                "features",
                "zero vectors only",
                "at least one vector that is not zero",
            ));
        };
        let least = CUT * largest;
        let principal: Vec<Vec<f64>> = singular
            .into_iter()
            .filter(|(value, _)| *value > least)
            .map(|(_, vector)| vector)
            .collect();
        let kept = choose(&rows, principal.len());
        let directions = kept.iter().map(|&row| &rows[row]);
        let directions: Vec<Vec<f64>> = orthonormal(directions).into_iter().flatten().collect();
        let dropped = (0..rows.len())
            .filter(|row| !kept.contains(row))
            .map(|row| nearest(&rows, row, &kept))
            .collect();
        Ok(Self {
            directions,
            principal,
            kept,
            dropped,
        })
    }

    /// Number of directions, at most the number of features.
    pub fn len(&self) -> usize {
        self.directions.len()
    }

    /// Never: a basis has at least one direction.
    pub fn is_empty(&self) -> bool {
        self.directions.is_empty()
    }

    /// Rows of the texts that add a direction each, in order.
    pub fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// The texts that add nothing to the kept ones.
    pub fn dropped(&self) -> &[Dropped] {
        &self.dropped
    }

    /// The directions as columns, d x k, f32, in the order of the texts.
    pub fn tensor(&self, device: &Device) -> Result<Tensor> {
        columns(&self.directions, device)
    }

    /// The first right singular vectors of the texts as columns, d x k, f32, that of the largest singular value first:
    /// the same span as [`Self::tensor`] where no text is dropped, and the nearest one of that many directions where
    /// some are.
    pub fn principal(&self, device: &Device) -> Result<Tensor> {
        columns(&self.principal, device)
    }

    /// How many directions the texts of these `names` have, and which of them add nothing.
    ///
    /// # Errors
    /// When there is not one name for each text.
    pub fn describe(&self, names: &[impl AsRef<str>]) -> Result<String> {
        let texts = self.kept.len() + self.dropped.len();
        check::same("names", names.len(), texts, "texts")?;
        Ok(self.describe_by(|row| format!("\"{}\"", names[row].as_ref())))
    }

    fn describe_by(&self, name: impl Fn(usize) -> String) -> String {
        let count = |n: usize, of: &str| match n {
            1 => format!("1 {of}"),
            n => format!("{n} {of}s"),
        };
        let texts = count(self.kept.len() + self.dropped.len(), "text");
        let mut out = format!("{} of {texts}", count(self.len(), "direction"));
        for (i, dropped) in self.dropped.iter().take(NAMED).enumerate() {
            out += if i == 0 { ": " } else { ", " };
            let (text, nearest) = (name(dropped.row), name(dropped.nearest));
            out += &match dropped.cosine == 0.0 {
                true => format!("{text} is a zero vector"),
                false => format!(
                    "{text} adds nothing (nearest: {nearest}, cosine {:.6})",
                    dropped.cosine
                ),
            };
        }
        match self.dropped.len().saturating_sub(NAMED) {
            0 => out,
            more => format!("{out}, nor do {more} more"),
        }
    }
}

/// `5 directions of 6 texts: text 4 adds nothing (nearest: text 1, cosine 0.999999)`; texts count from 1.
/// [`Basis::describe`] has their names.
impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe_by(|row| format!("text {}", row + 1)))
    }
}

/// The `count` rows that add most to those before them, in order; all of them where there are no more.
fn choose(rows: &[Vec<f64>], count: usize) -> Vec<usize> {
    if count == rows.len() {
        return (0..count).collect();
    }
    let added = added(rows.iter()).into_iter().map(|(length, _)| length);
    let mut order: Vec<(usize, f64)> = added.enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let adding = order.into_iter().filter(|(_, length)| *length > NOTHING);
    let mut kept: Vec<usize> = adding.take(count).map(|(row, _)| row).collect();
    kept.sort_unstable();
    kept
}

/// For each unit vector the length of what it adds to the span of those before it, and its direction if that is more
/// than rounding.
fn added<'a>(vectors: impl Iterator<Item = &'a Vec<f64>>) -> Vec<(f64, Option<Vec<f64>>)> {
    let mut out: Vec<(f64, Option<Vec<f64>>)> = Vec::new();
    for vector in vectors {
        let mut rest = vector.clone();
        for _ in 0..2 {
            for q in out.iter().filter_map(|(_, q)| q.as_ref()) {
                let along = dot(q, &rest);
                rest.iter_mut().zip(q).for_each(|(r, q)| *r -= along * q);
            }
        }
        let length = norm(&rest);
        let direction = (length > NOTHING).then(|| {
            rest.iter_mut().for_each(|r| *r /= length);
            rest
        });
        out.push((length, direction));
    }
    out
}

fn orthonormal<'a>(vectors: impl Iterator<Item = &'a Vec<f64>>) -> Vec<Option<Vec<f64>>> {
    added(vectors).into_iter().map(|(_, q)| q).collect()
}

fn nearest(rows: &[Vec<f64>], row: usize, kept: &[usize]) -> Dropped {
    let cosine = |other: usize| dot(&rows[row], &rows[other]);
    let nearer = |best: usize, other: usize| match cosine(other).abs() > cosine(best).abs() {
        true => other,
        false => best,
    };
    let nearest = kept.iter().copied().fold(kept[0], nearer);
    Dropped {
        row,
        nearest,
        cosine: cosine(nearest),
    }
}

fn columns(vectors: &[Vec<f64>], device: &Device) -> Result<Tensor> {
    let (k, d) = (vectors.len(), vectors[0].len());
    let flat: Vec<f32> = vectors.iter().flatten().map(|&v| v as f32).collect();
    Ok(Tensor::from_vec(flat, (k, d), device)?.t()?.contiguous()?)
}
