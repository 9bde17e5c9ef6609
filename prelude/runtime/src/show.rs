//! How the value of a cell is displayed.

use crate::{channel, layout};
use std::any::type_name;
use std::fmt::{Debug, Write as _};

/// Displays values whose type has no `evcxr_display` of its own.
pub trait Show {
    fn evcxr_display(&self);
}

impl<T: Debug + ?Sized> Show for &T {
    fn evcxr_display(&self) {
        display(type_name::<T>(), self)
    }
}

/// Displays values of common types. A method of theirs is found before that of [`Show`], for which the compiler would look
/// through all that is `Debug` anywhere: a sixth of the time that it takes for a cell.
pub trait ShowCommon {
    fn evcxr_display(&self);
}

macro_rules! common {
    ($($kind:ty),*) => {$(
        impl ShowCommon for $kind {
            #[inline(never)]
            fn evcxr_display(&self) {
                display(type_name::<$kind>(), &self)
            }
        }
    )*};
}
common!(
    bool, char, str, i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32, f64
);
common!(
    String,
    Vec<String>,
    Vec<bool>,
    Vec<u8>,
    Vec<u32>,
    Vec<usize>,
    Vec<i32>,
    Vec<i64>
);
common!(Vec<f32>, Vec<f64>, Vec<Vec<f32>>, Vec<Vec<f64>>);

/// A displayed value is shortened to so many bytes.
const LONGEST: usize = 1 << 14;

/// Text up to a length.
#[derive(Default)]
struct Bounded {
    text: String,
    is_cut: bool,
}

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = LONGEST.saturating_sub(self.text.len());
        let end = text.floor_char_boundary(room);
        self.text.push_str(&text[..end]);
        self.is_cut = end < text.len();
        // The rest, which may be long, need not be made.
        if self.is_cut {
            Err(std::fmt::Error)
        } else {
            Ok(())
        }
    }
}

#[inline(never)]
fn display(kind: &str, value: &dyn Debug) {
    if kind == "()" {
        return;
    }
    let mut text = Bounded::default();
    // A type may refuse to be written; what it has written so far is shown.
    let _ = write!(text, "{value:?}");
    let Bounded { mut text, is_cut } = text;
    if is_cut {
        // What follows it says that it goes on.
        text.truncate(text.trim_end_matches([',', ' ']).len());
    }
    let mut text = layout::lay_out(text, is_cut);
    if is_cut {
        text.push_str(" ... (shortened; print it to see all of it)");
    }
    if !channel::send("show", &text) {
        println!("{text}");
    }
}

/// The value of a cell is being displayed, from when this is made until it is dropped.
#[must_use]
pub struct Displaying(());

impl Displaying {
    #[inline(never)]
    pub fn begin() -> Self {
        channel::send("display", "");
        Displaying(())
    }
}

impl Drop for Displaying {
    #[inline(never)]
    fn drop(&mut self) {
        channel::send("displayed", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_at_a_character() {
        let mut text = Bounded::default();
        assert!(write!(text, "{:?}", vec!["é"; 10]).is_ok());
        assert!(!text.is_cut);
        assert!(write!(text, "{:?}", vec!["é"; 1_000_000]).is_err());
        assert!(text.is_cut && text.text.len() <= LONGEST);
    }

    #[test]
    fn common_types_and_all_others_are_displayed_by_a_call_of_one_name() {
        #[derive(Debug)]
        struct Other;
        let (number, text, list) = (&7usize, &String::from("x"), &vec![1.5f32]);
        number.evcxr_display();
        text.evcxr_display();
        list.evcxr_display();
        let (other, twice, word) = (&Other, &&Other, &"x");
        other.evcxr_display();
        twice.evcxr_display();
        word.evcxr_display();
        let nested = &Some(std::sync::Arc::new(Other));
        nested.evcxr_display();
    }
}
