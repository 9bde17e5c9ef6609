//! The texts of a zero-shot head, some for each class.

use crate::{Error, Result};

/// `texts`, which must be one or more for each of `classes`.
///
/// # Errors
/// Another number of classes, a class without texts.
pub(super) fn class_texts<T: AsRef<str>>(
    classes: &[String],
    texts: &[impl AsRef<[T]>],
) -> Result<Vec<Vec<String>>> {
    let each: Vec<Vec<String>> = texts
        .iter()
        .map(|of| of.as_ref().iter().map(|t| t.as_ref().to_string()).collect())
        .collect();
    if each.len() != classes.len() || each.iter().any(Vec::is_empty) {
        let expected = format!("one or more for each class: {}", classes.join(", "));
        return Err(Error::argument(
            "class_texts",
            format!("{each:?}"),
            expected,
        ));
    }
    Ok(each)
}
