//! Where a session says things: a terminal or pipes ([`terminal`]), or a notebook.
//!
//! A process has one front end, as it has one standard output. What is said while a cell runs is also kept for
//! [`crate::notebook::transcript`], from which `:save` writes a notebook with its outputs.

mod captured;
pub mod content;
mod displays;
pub mod errors;
pub mod failure;
mod front;
pub mod progress;
pub mod pump;
mod terminal;
mod value;

pub use captured::Output;
pub use front::{Front, Stream};
pub use value::Value;

use captured::{Captured, MOST_TEXT, MOST_VALUES};
use console::style;
use progress::Step;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use terminal::Terminal;

static FRONT: OnceLock<Box<dyn Front>> = OnceLock::new();

/// What has been said since it was last asked for.
static CAPTURED: Mutex<Captured> = Mutex::new(Captured::new(MOST_TEXT, MOST_VALUES));

/// Has everything said to `front` from now on; only the first call counts.
pub fn choose(front: Box<dyn Front>) {
    let _ = FRONT.set(front);
}

fn front() -> &'static dyn Front {
    &**FRONT.get_or_init(|| Box::new(Terminal::default()))
}

/// Says a line, or several, on standard output.
pub fn out(text: &str) {
    let text = text.trim_end_matches('\n');
    capture(Stream::Out, &format!("{text}\n"));
    front().line(Stream::Out, text);
}

/// Says a line, or several, on standard error.
pub fn err(text: &str) {
    let text = text.trim_end_matches('\n');
    capture(Stream::Err, &format!("{text}\n"));
    front().line(Stream::Err, text);
}

/// Says something that the user may want to know and that is no error.
pub fn note(text: &str) {
    err(&format!("{} {text}", style("note:").cyan().for_stderr()));
}

/// Passes on what a cell has written.
pub fn write(stream: Stream, text: &str) {
    capture(stream, text);
    front().write(stream, text);
}

/// Says why the cell that runs fails.
pub fn failed(text: &str) {
    capture(Stream::Err, &format!("{text}\n"));
    front().failed(text.trim_end_matches('\n'));
}

/// Shows how far a call has got.
pub fn step(step: Step) {
    front().step(step);
}

/// Ends what belongs to the cell that was running.
pub fn cell_ended() {
    front().cell_ended();
}

/// Displays a value. One that cannot be displayed (the disk may be full) is no reason to stop.
pub fn show(value: &Value, name: &str, is_result: bool) {
    locked(&CAPTURED).value(value);
    if let Err(error) = front().show(value, name, is_result) {
        failed(&format!("{error:#}"));
    }
}

/// Shows text that was asked for to be read.
pub fn page(text: &str) {
    front().page(text.trim_end_matches('\n'));
}

/// The user has typed a line for the cell that runs.
pub fn line_was_typed() {
    front().line_was_typed();
}

/// What has been said since the last call.
pub fn take_captured() -> Vec<Output> {
    let captured = &mut *locked(&CAPTURED);
    std::mem::replace(captured, Captured::new(MOST_TEXT, MOST_VALUES)).outputs
}

fn capture(stream: Stream, text: &str) {
    locked(&CAPTURED).text(stream, text);
}

/// A lock whose holder panicked still holds valid data here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
