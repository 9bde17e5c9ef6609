//! Whether a score can be taken of the images at hand: a number that would come out as 0 for want of images or of
//! variance is an error, because nothing tells it from a score of 0.

use crate::{Error, Result};

/// Refuses images that are too few for their variance along `directions` to be known.
pub(super) fn images(images: usize, directions: usize) -> Result<()> {
    if images < 2 {
        return Err(Error::argument(
            "contributions",
            "1 image",
            "two or more: one image has no variance, so every score would be 0",
        ));
    }
    if images < directions {
        return Err(Error::argument(
            "contributions",
            format!("{images} images"),
            format!(
                "at least as many images as the features have directions, {directions}: fewer cannot vary along all \
                 of them; give more images or fewer texts"
            ),
        ));
    }
    Ok(())
}

/// What an array without variance is told to the user as.
pub(super) fn constant(name: &'static str, value: impl ToString, why: &str) -> Error {
    Error::argument(
        name,
        value,
        format!(
            "{why}; look at the images (are they all the same?) and at what the contributions were made with"
        ),
    )
}
