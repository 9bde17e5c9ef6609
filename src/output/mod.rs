//! Where a session says things: a terminal or pipes ([`terminal`]), or a notebook.
//!
//! A session is handed its [`FrontEnd`]. What is said while a cell runs is also kept for
//! [`crate::notebook::transcript`], from which `:save` writes a notebook with its outputs.

mod captured;
pub mod content;
mod displays;
pub mod errors;
pub mod failure;
mod forms;
mod front;
mod pictures;
pub mod progress;
pub mod pump;
mod terminal;
mod value;

pub use captured::Output;
pub use front::{Front, Silent, Stream};
pub use value::Value;

use captured::{Captured, MOST_TEXT, MOST_VALUES};
use console::style;
use progress::Step;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use terminal::Terminal;

/// The front end of a session, and what has been said to it since that was last asked for. Clones are the same.
#[derive(Clone)]
pub struct FrontEnd(Arc<Inner>);

struct Inner {
    front: Box<dyn Front>,
    captured: Mutex<Captured>,
}

impl FrontEnd {
    /// Has everything said to `front`.
    pub fn new(front: Box<dyn Front>) -> Self {
        FrontEnd(Arc::new(Inner {
            front,
            captured: Mutex::new(Captured::new(MOST_TEXT, MOST_VALUES)),
        }))
    }

    /// This process's standard output and error.
    pub fn terminal() -> Self {
        Self::new(Box::new(Terminal::default()))
    }

    /// Says a line, or several, on standard output.
    pub fn out(&self, text: &str) {
        self.line(Stream::Out, text);
    }

    /// Says a line, or several, on standard error.
    pub fn err(&self, text: &str) {
        self.line(Stream::Err, text);
    }

    fn line(&self, stream: Stream, text: &str) {
        let text = text.trim_end_matches('\n');
        self.capture(stream, &format!("{text}\n"));
        self.0.front.line(stream, text);
    }

    /// Says something that the user may want to know and that is no error.
    pub fn note(&self, text: &str) {
        self.err(&format!("{} {text}", style("note:").cyan().for_stderr()));
    }

    /// Passes on what a cell has written.
    pub fn write(&self, stream: Stream, text: &str) {
        self.capture(stream, text);
        self.0.front.write(stream, text);
    }

    /// Says why the cell that runs fails.
    pub fn failed(&self, text: &str) {
        self.capture(Stream::Err, &format!("{text}\n"));
        self.0.front.failed(text.trim_end_matches('\n'));
    }

    /// Shows how far a call has got.
    pub fn step(&self, step: Step) {
        self.0.front.step(step);
    }

    /// Ends what belongs to the cell that was running.
    pub fn cell_ended(&self) {
        self.0.front.cell_ended();
    }

    /// Displays a value. One that cannot be displayed (the disk may be full) is no reason to stop.
    pub fn show(&self, value: &Value, name: &str, is_result: bool) {
        self.captured().value(value);
        if let Err(error) = self.0.front.show(value, name, is_result) {
            self.failed(&format!("{error:#}"));
        }
    }

    /// Shows text that was asked for to be read.
    pub fn page(&self, text: &str) {
        self.0.front.page(text.trim_end_matches('\n'));
    }

    /// The user has typed a line for the cell that runs.
    pub fn line_was_typed(&self) {
        self.0.front.line_was_typed();
    }

    /// What has been said since the last call.
    pub fn take_captured(&self) -> Vec<Output> {
        let empty = Captured::new(MOST_TEXT, MOST_VALUES);
        std::mem::replace(&mut *self.captured(), empty).outputs
    }

    fn capture(&self, stream: Stream, text: &str) {
        self.captured().text(stream, text);
    }

    /// A lock whose holder panicked still holds valid data here.
    fn captured(&self) -> MutexGuard<'_, Captured> {
        let captured = self.0.captured.lock();
        captured.unwrap_or_else(PoisonError::into_inner)
    }
}
