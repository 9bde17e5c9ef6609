//! What is too large to be a model: said before anything of that size is allocated.

use crate::{Error, Result};

/// The side of an image in pixels, as data sets take it.
pub const SIDE: usize = 4096;
/// Channels of a token, or of a hidden layer.
pub const WIDTH: usize = 1 << 17;
/// Blocks, of a stage or of the whole.
pub const DEPTH: usize = 1024;
/// Tokens that attend to each other, and positions of a text.
pub const TOKENS: usize = 1 << 14;
/// Words of a vocabulary, classes of a head.
pub const WORDS: usize = 1 << 24;
/// Numbers in a model: 64 GiB of them.
pub const PARAMETERS: f64 = 1.7e10;

/// Check that `value` of `name` is at most `most`.
///
/// # Errors
/// When it is more.
pub fn within(name: &'static str, value: usize, most: usize) -> Result<()> {
    match value <= most {
        true => Ok(()),
        false => Err(Error::argument(
            name,
            value,
            format!("at most {most} is taken"),
        )),
    }
}

/// Check that a model has no more than [`PARAMETERS`] numbers, `parameters` of them by the fields `name`.
///
/// # Errors
/// When it has more.
pub fn affordable(name: &'static str, parameters: f64) -> Result<()> {
    match parameters <= PARAMETERS {
        true => Ok(()),
        false => Err(Error::argument(
            name,
            format!("{parameters:.1e} numbers"),
            format!("a model of at most {PARAMETERS:.1e} is taken"),
        )),
    }
}

/// Check the eps of a norm.
///
/// # Errors
/// When it is negative or no number.
pub fn eps(name: &'static str, eps: f64) -> Result<()> {
    match eps >= 0. && eps.is_finite() {
        true => Ok(()),
        false => Err(Error::argument(name, eps, "a number from 0")),
    }
}

/// The width of a hidden layer.
///
/// # Errors
/// When the ratio is no number above 0, or the layer is too wide.
pub fn hidden(name: &'static str, width: usize, ratio: f64) -> Result<usize> {
    let hidden = width as f64 * ratio;
    if !(hidden >= 1. && hidden <= WIDTH as f64) {
        let why = format!("a hidden layer of 1 to {WIDTH} channels is taken");
        return Err(Error::argument(name, ratio, why));
    }
    // Rounded, as the ratio may have been read off the width.
    Ok(hidden.round() as usize)
}
