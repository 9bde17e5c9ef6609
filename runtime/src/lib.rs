//! What the cells of a session call: they keep their variables here, and say here how they ended.
//!
//! Every cell is a shared object of its own. This crate is compiled once, with the standard library alone, as a
//! shared library that all of them use; a variable is found by its name and the type the compiler gave it. What is
//! generic only passes on to what is not: the rest would be compiled again with each cell.
//!
//! ```
//! let outcome = vitrepl_runtime::run(|| {
//!     vitrepl_runtime::keep("answer", "42".parse::<i32>()?);
//!     Ok(())
//! });
//! assert!(outcome.finished());
//! assert_eq!(vitrepl_runtime::take::<i32>("answer"), 42);
//! ```

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// All cells run on one thread, so that a variable need not be `Send`.
    static VARIABLES: RefCell<HashMap<String, Box<dyn Any>>> = RefCell::default();
}

/// Keeps a variable for later cells.
pub fn keep<T: 'static>(name: &str, value: T) {
    keep_any(name, Box::new(value))
}

#[inline(never)]
fn keep_any(name: &str, value: Box<dyn Any>) {
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

/// A `?` has returned early; its error has been written to standard error.
pub struct Failed(());

impl<E: Display> From<E> for Failed {
    fn from(error: E) -> Self {
        complain(&error);
        Failed(())
    }
}

#[inline(never)]
fn complain(error: &dyn Display) {
    eprintln!("{error}");
}

/// How the statements of a cell ended; says so to the front end when it is dropped.
#[must_use]
pub struct Outcome(&'static str);

impl Outcome {
    /// Whether the last statement was reached.
    #[inline(never)]
    pub fn finished(&self) -> bool {
        self.0 == "finished"
    }
}

/// Runs the statements of a cell; neither an early return nor a panic goes further than this.
pub fn run(statements: impl FnOnce() -> Result<(), Failed>) -> Outcome {
    let mut statements = Some(statements);
    run_any(&mut || match statements.take() {
        Some(statements) => statements(),
        None => Ok(()),
    })
}

#[inline(never)]
fn run_any(statements: &mut dyn FnMut() -> Result<(), Failed>) -> Outcome {
    catch_panics();
    match catch_unwind(AssertUnwindSafe(statements)) {
        Ok(Ok(())) => Outcome("finished"),
        Ok(Err(Failed(()))) => Outcome("error"),
        Err(_) => Outcome("panicked"),
    }
}

impl Drop for Outcome {
    /// First ends a line that the cell may have left unfinished, which would otherwise be taken for a part of these
    /// messages.
    #[inline(never)]
    fn drop(&mut self) {
        println!(
            "\nVITREPL_LINE_ENDED\nEVCXR_BEGIN_CONTENT application/x-vitrepl-status\n{}\nEVCXR_END_CONTENT",
            self.0
        );
        eprintln!("VITREPL_END_OF_CELL");
    }
}

/// Has a panic written as one line. The place of a panic in the cell itself is left out: it is a line of generated
/// code.
fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let message = info.payload_as_str().unwrap_or("no message");
            match info.location().filter(|place| place.file() != "src/lib.rs") {
                Some(place) => eprintln!("panicked: {message} ({place})"),
                None => eprintln!("panicked: {message}"),
            }
        }));
    });
}

/// Displays values whose type has no `evcxr_display` of its own.
pub trait Show {
    fn evcxr_display(&self);
}

impl<T: Debug + ?Sized> Show for T {
    fn evcxr_display(&self) {
        display(std::any::type_name::<T>(), &self)
    }
}

#[inline(never)]
fn display(kind: &str, value: &dyn Debug) {
    if kind != "()" {
        println!(
            "\nVITREPL_LINE_ENDED\nEVCXR_BEGIN_CONTENT text/plain\n{value:?}\nEVCXR_END_CONTENT"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_by_name_and_type() {
        keep("numbers", vec![1, 2]);
        keep("numbers", vec![3]);
        assert_eq!(take::<Vec<i32>>("numbers"), [3]);
        assert!(catch_unwind(|| take::<Vec<i32>>("numbers")).is_err());
        keep("text", "x");
        assert!(catch_unwind(|| take::<String>("text")).is_err());
        assert_eq!(take::<&str>("text"), "x", "it is still there");
    }

    #[test]
    fn early_returns_and_panics_end_here() {
        let failed = run(|| {
            "x".parse::<i32>()?;
            Ok(())
        });
        assert!(!failed.finished());
        assert!(!run(|| panic!("on purpose")).finished());
        assert!(run(|| Ok(())).finished());
    }
}
