//! What the cells of a session call: they keep their variables here, and say here what they display and how they ended.
//!
//! Every cell is a shared object of its own. This crate is compiled once, with the standard library alone, as a
//! shared library that all of them use; a variable is found by its name and the type the compiler gave it. What is
//! generic only passes on to what is not: the rest would be compiled again with each cell.
//!
//! ```
//! vitrepl_runtime::begin();
//! let parsed = vitrepl_runtime::step(|| Ok("42".parse::<i32>()?));
//! if let Ok(answer) = parsed {
//!     vitrepl_runtime::keep("answer", 0, answer);
//! }
//! assert_eq!(vitrepl_runtime::take::<i32>("answer"), 42);
//! ```

mod channel;
mod layout;
mod places;
mod show;
mod timeit;
mod variables;

pub use places::{locate, place};
pub use show::{Displaying, Show, ShowCommon};
pub use timeit::timeit;
pub use variables::{Inspected, Unremarkable, forget, keep, keep_result, take};

use std::cell::Cell;
use std::error::Error;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether statements of a cell run on this thread.
    static RUNS_A_CELL: Cell<bool> = const { Cell::new(false) };
}

/// Begins a cell.
#[inline(never)]
pub fn begin() {
    catch_panics();
    variables::begin();
}

/// A `?` has returned early; its error has been shown.
pub struct Failed(());

impl<E: Into<Box<dyn Error>>> From<E> for Failed {
    fn from(error: E) -> Self {
        complain(&*error.into());
        Failed(())
    }
}

#[inline(never)]
fn complain(error: &dyn Error) {
    let text = with_causes(error);
    if !channel::send("failed", &text) {
        eprintln!("{text}");
    }
}

/// An error with what it was caused by, a line each; a cause that the line before tells already is left out.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut told = text.clone();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !told.contains(&cause_text) {
            text.push_str("\ncaused by: ");
            text.push_str(&cause_text);
            told = cause_text;
        }
        next = cause.source();
    }
    text
}

/// How the statements of a cell ended; the program that shows them is told when this is dropped.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    how: &'static str,
    /// The step that did not come to its end.
    step: usize,
}

impl Outcome {
    /// Of a cell whose last statement was reached.
    pub fn finished() -> Self {
        Outcome {
            how: "finished",
            step: 0,
        }
    }

    /// Of a cell that ended in this step.
    #[inline(never)]
    pub fn at(mut self, step: usize) -> Self {
        self.step = step;
        self
    }
}

impl Drop for Outcome {
    #[inline(never)]
    fn drop(&mut self) {
        channel::send(
            "ended",
            &format!("{} {}{}", self.how, self.step, variables::kept()),
        );
        let _ = std::io::stdout().flush();
    }
}

/// Runs some statements of a cell; neither an early return nor a panic goes further than this.
///
/// # Errors
/// How the cell ended, if it did so here.
pub fn step<T>(statements: impl FnOnce() -> Result<T, Failed>) -> Result<T, Outcome> {
    let mut statements = Some(statements);
    let mut result = None;
    let ended = run(
        &mut || match statements.take().map(|statements| statements()) {
            Some(Ok(value)) => {
                result = Some(value);
                true
            }
            _ => false,
        },
    );
    match result {
        Some(value) => Ok(value),
        None => Err(Outcome {
            how: ended,
            step: 0,
        }),
    }
}

#[inline(never)]
fn run(statements: &mut dyn FnMut() -> bool) -> &'static str {
    RUNS_A_CELL.set(true);
    let ended = catch_unwind(AssertUnwindSafe(statements));
    RUNS_A_CELL.set(false);
    match ended {
        Ok(true) => "finished",
        Ok(false) => "error",
        Err(_) => "panicked",
    }
}

/// Has a panic told as one line, with its place in what the user wrote.
fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let message = info.payload_as_str().unwrap_or("no message");
            let text = match info.location() {
                Some(at) => {
                    let place = place(at.file(), at.line(), at.column());
                    format!("panicked: {message} ({place})")
                }
                None => format!("panicked: {message}"),
            };
            if !RUNS_A_CELL.get() {
                eprintln!("a thread {text}");
            } else if !channel::send("failed", &text) {
                eprintln!("{text}");
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug)]
        struct Outer(std::num::ParseIntError, &'static str);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.1)
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let outer = |text| Outer("x".parse::<i32>().unwrap_err(), text);
        let chain = "no number\ncaused by: invalid digit found in string";
        assert_eq!(with_causes(&outer("no number")), chain);
        let told = "no number: invalid digit found in string";
        assert_eq!(with_causes(&outer(told)), told);
    }

    #[test]
    fn early_returns_and_panics_end_here() {
        begin();
        let failed = step(|| Ok("x".parse::<i32>()?));
        assert_eq!(failed.err().unwrap().how, "error");
        let panicked: Result<(), Outcome> = step(|| panic!("on purpose"));
        assert_eq!(panicked.err().unwrap().how, "panicked");
        assert_eq!(step(|| Ok(7)), Ok(7));
    }
}
