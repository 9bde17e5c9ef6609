//! Which images of a set are meant.

use crate::{Error, Result};
use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo};

/// Images by their numbers, from 0: one (`7`), a range (`0..10`, `..`) or a list (`[3, 5]`).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which images",
    note = "give a number, 7, a range, 0..10, or a list of numbers, [3, 5]"
)]
pub trait WhichImages {
    /// The numbers, of `len` images.
    ///
    /// # Errors
    /// When there are none, or one does not exist.
    fn numbers(&self, len: usize) -> Result<Vec<usize>>;
}

/// Refuses numbers beyond `len` images.
fn checked(numbers: Vec<usize>, len: usize, asked: impl ToString) -> Result<Vec<usize>> {
    let expected = match numbers.iter().find(|&&i| i >= len) {
        Some(i) => format!(
            "image {i} does not exist; there are {len}, numbered from 0: 0..{len} takes all"
        ),
        None if numbers.is_empty() => {
            format!("one image or more; there are {len}: 0..{len} takes all")
        }
        None => return Ok(numbers),
    };
    Err(Error::argument("images", asked.to_string(), expected))
}

impl WhichImages for usize {
    fn numbers(&self, len: usize) -> Result<Vec<usize>> {
        checked(vec![*self], len, self)
    }
}

impl WhichImages for Range<usize> {
    fn numbers(&self, len: usize) -> Result<Vec<usize>> {
        // A range far beyond the end is refused by its last number, not written out.
        let end = self.end.min(self.start.max(len).saturating_add(1));
        checked((self.start..end).collect(), len, format!("{self:?}"))
    }
}

impl WhichImages for RangeInclusive<usize> {
    fn numbers(&self, len: usize) -> Result<Vec<usize>> {
        (*self.start()..self.end().saturating_add(1)).numbers(len)
    }
}

impl WhichImages for RangeTo<usize> {
    fn numbers(&self, len: usize) -> Result<Vec<usize>> {
        (0..self.end).numbers(len)
    }
}

impl WhichImages for RangeFrom<usize> {
    fn numbers(&self, len: usize) -> Result<Vec<usize>> {
        (self.start..len).numbers(len)
    }
}

impl WhichImages for RangeFull {
    fn numbers(&self, len: usize) -> Result<Vec<usize>> {
        (0..len).numbers(len)
    }
}

impl WhichImages for [usize] {
    fn numbers(&self, len: usize) -> Result<Vec<usize>> {
        checked(self.to_vec(), len, format!("{self:?}"))
    }
}

impl<const N: usize> WhichImages for [usize; N] {
    fn numbers(&self, len: usize) -> Result<Vec<usize>> {
        self.as_slice().numbers(len)
    }
}

impl WhichImages for Vec<usize> {
    fn numbers(&self, len: usize) -> Result<Vec<usize>> {
        self.as_slice().numbers(len)
    }
}

impl<W: WhichImages + ?Sized> WhichImages for &W {
    fn numbers(&self, len: usize) -> Result<Vec<usize>> {
        (**self).numbers(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_by_number_range_and_list() {
        assert_eq!(7.numbers(8).unwrap(), [7]);
        assert_eq!((2..4).numbers(8).unwrap(), [2, 3]);
        assert_eq!((6..=7).numbers(8).unwrap(), [6, 7]);
        assert_eq!((..2).numbers(8).unwrap(), [0, 1]);
        assert_eq!((6..).numbers(8).unwrap(), [6, 7]);
        assert_eq!((..).numbers(2).unwrap(), [0, 1]);
        assert_eq!([5, 1, 5].numbers(8).unwrap(), [5, 1, 5]);
        for refused in [
            8.numbers(8),
            (0..9).numbers(8),
            (0..usize::MAX).numbers(8),
            (0..=usize::MAX).numbers(8),
            (9..12).numbers(8),
            (3..3).numbers(8),
            (8..).numbers(8),
            [1, 8].numbers(8),
        ] {
            let text = refused.unwrap_err().to_string();
            assert!(text.contains("0..8 takes all"), "{text}");
        }
    }
}
