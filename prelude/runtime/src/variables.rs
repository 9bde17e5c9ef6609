//! The variables that outlive their cell, by name.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

thread_local! {
    /// All cells run on one thread, so that a variable need not be `Send`.
    static VARIABLES: RefCell<HashMap<String, Box<dyn Any>>> = RefCell::default();

    /// What the cell that runs has kept so far: names, which of the cell's variables that is, and the error of a
    /// `Result` that holds one.
    static KEPT: RefCell<BTreeMap<String, (usize, Option<String>)>> = const { RefCell::new(BTreeMap::new()) };
}

/// Keeps a variable for later cells; `number` says which of the cell's variables it is.
pub fn keep<T: 'static>(name: &str, number: usize, value: T) {
    keep_any(name, number, Box::new(value))
}

/// Keeps the result of a cell as `name`; it is recorded as `new_name`. A cell whose result is `()` has none.
pub fn keep_result<T: 'static>(name: &str, new_name: &str, number: usize, value: T) {
    if TypeId::of::<T>() != TypeId::of::<()>() {
        keep_as(name, new_name, number, Box::new(value))
    }
}

#[inline(never)]
fn keep_any(name: &str, number: usize, value: Box<dyn Any>) {
    keep_as(name, name, number, value)
}

#[inline(never)]
fn keep_as(name: &str, recorded: &str, number: usize, value: Box<dyn Any>) {
    KEPT.with_borrow_mut(|kept| {
        kept.entry(recorded.to_owned()).or_default().0 = number;
    });
    let previous = store(name, value);
    // Dropped when the store is free again: it may be user code that uses the store.
    drop(previous);
}

/// The variable `name`, out of the store.
///
/// # Panics
/// When there is none of that type, which the front end has made sure of.
pub fn take<T: 'static>(name: &str) -> T {
    match take_any(name).downcast() {
        Ok(value) => *value,
        Err(other) => give_back(name, other),
    }
}

#[inline(never)]
fn take_any(name: &str) -> Box<dyn Any> {
    let kept = VARIABLES.with_borrow_mut(|variables| variables.remove(name));
    kept.unwrap_or_else(|| panic!("`{name}` is gone; define it again"))
}

#[inline(never)]
fn give_back(name: &str, value: Box<dyn Any>) -> ! {
    store(name, value);
    panic!("the type of `{name}` has been defined anew; define `{name}` again")
}

/// Drops a variable, if it is there.
#[inline(never)]
pub fn forget(name: &str) {
    drop(VARIABLES.with_borrow_mut(|variables| variables.remove(name)));
}

fn store(name: &str, value: Box<dyn Any>) -> Option<Box<dyn Any>> {
    VARIABLES.with_borrow_mut(|variables| variables.insert(name.to_owned(), value))
}

/// A variable that may be a `Result` with an error in it.
pub struct Inspected<'a, T>(pub &'a T);

impl<T, E: Display> Inspected<'_, Result<T, E>> {
    /// Remembers the error of the variable `name`, if it holds one.
    pub fn note(&self, name: &str) {
        if let Err(error) = self.0 {
            note_error(name, error);
        }
    }
}

/// Of all other types there is nothing to remember.
pub trait Unremarkable {
    fn note(&self, name: &str);
}

impl<T> Unremarkable for Inspected<'_, T> {
    fn note(&self, _: &str) {}
}

#[inline(never)]
fn note_error(name: &str, error: &dyn Display) {
    let text = error.to_string();
    KEPT.with_borrow_mut(|kept| kept.insert(name.to_owned(), (0, Some(text))));
}

/// Begins the record of what a cell keeps.
pub(crate) fn begin() {
    KEPT.with_borrow_mut(BTreeMap::clear);
}

/// What the cell has kept: a line `kept NAME NUMBER` for each variable, with the error (on one line) of one that holds
/// one.
pub(crate) fn kept() -> String {
    KEPT.with_borrow(|kept| {
        let lines = kept.iter().map(|(name, (number, error))| match error {
            Some(error) => format!("\nkept {name} {number} {}", error.replace('\n', " ")),
            None => format!("\nkept {name} {number}"),
        });
        lines.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn a_result_that_is_nothing_leaves_the_one_before() {
        begin();
        keep_result("last", "new", 3, 7u8);
        keep_result("last", "new", 4, ());
        assert_eq!(kept(), "\nkept new 3");
        assert_eq!(take::<u8>("last"), 7);
    }

    #[test]
    fn variables_are_found_by_name_and_type() {
        keep("numbers", 0, vec![1, 2]);
        keep("numbers", 0, vec![3]);
        assert_eq!(take::<Vec<i32>>("numbers"), [3]);
        assert!(catch_unwind(|| take::<Vec<i32>>("numbers")).is_err());
        keep("text", 0, "x");
        assert!(catch_unwind(|| take::<String>("text")).is_err());
        assert_eq!(take::<&str>("text"), "x", "it is still there");
    }

    #[test]
    fn what_a_cell_keeps_is_told_with_the_error_of_a_result() {
        begin();
        let (bad, good) = ("x".parse::<i32>(), "1".parse::<i32>());
        Inspected(&bad).note("bad");
        Inspected(&good).note("good");
        Inspected(&3).note("number");
        keep("bad", 1, bad);
        keep("good", 2, good);
        keep("number", 4, 3);
        assert_eq!(
            kept(),
            "\nkept bad 1 invalid digit found in string\nkept good 2\nkept number 4"
        );
        begin();
        assert_eq!(kept(), "");
    }
}
