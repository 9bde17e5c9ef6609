//! The checks that several folders share, each an error in plain words: a stack of contributions is `components x images x width`.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// The shape `(components, images, width)` of a stack of contributions.
pub(crate) fn stack(name: &'static str, t: &Tensor) -> Result<(usize, usize, usize)> {
    match *t.dims() {
        [n, b, d] if n * b * d > 0 => Ok((n, b, d)),
        _ => Err(Error::argument(
            name,
            format!("{:?}", t.dims()),
            "a stack of components x images x width, with nothing empty",
        )),
    }
}

/// The shape `(rows, width)` of a matrix.
pub(crate) fn matrix(name: &'static str, t: &Tensor) -> Result<(usize, usize)> {
    match *t.dims() {
        [r, d] if r * d > 0 => Ok((r, d)),
        _ => Err(Error::argument(
            name,
            format!("{:?}", t.dims()),
            "a matrix of rows x width, with nothing empty",
        )),
    }
}

/// Two sizes that must agree; `what` names the shared axis.
pub(crate) fn same(name: &'static str, got: usize, wanted: usize, what: &str) -> Result<()> {
    if got == wanted {
        return Ok(());
    }
    Err(Error::argument(
        name,
        format!("{got} {what}"),
        format!("{wanted} {what}, as in what it is used with"),
    ))
}

/// Refuses NaN and infinity, which would spoil every later number without a word.
pub(crate) fn finite(name: &'static str, t: &Tensor) -> Result<()> {
    let total = t.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?;
    finite_sum(name, f64::from(total))
}

/// [`finite`] for values whose sum, or a sum of products of all of them, is known already.
pub(crate) fn finite_sum(name: &'static str, total: f64) -> Result<()> {
    if total.is_finite() {
        return Ok(());
    }
    Err(Error::argument(
        name,
        total,
        "finite values only; it holds NaN or infinity, so look at the model or images it came from",
    ))
}

/// The values as f32, in which all of this computes; a tensor that is f32 already is not copied.
pub(crate) fn f32(t: &Tensor) -> Result<Tensor> {
    Ok(t.to_dtype(DType::F32)?)
}
