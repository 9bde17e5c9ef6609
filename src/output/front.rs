//! A place where a session says things.

use super::progress::Step;
use super::value::Value;
use anyhow::Result;
use console::style;

/// A stream of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// Says nothing.
pub struct Silent;

impl Front for Silent {
    fn write(&self, _: Stream, _: &str) {}
    fn line(&self, _: Stream, _: &str) {}
    fn step(&self, _: Step) {}
    fn cell_ended(&self) {}
    fn show(&self, _: &Value, _: &str, _: bool) -> Result<()> {
        Ok(())
    }
}

/// A place to say things.
pub trait Front: Send + Sync {
    /// Text of a cell, as the cell has written it: perhaps a part of a line.
    fn write(&self, stream: Stream, text: &str);

    /// A line, or several, of the session itself.
    fn line(&self, stream: Stream, text: &str);

    /// Why the cell that runs fails: the error that a `?` met, or a panic.
    fn failed(&self, text: &str) {
        self.line(Stream::Err, &style(text).red().for_stderr().to_string());
    }

    /// How far a call has got.
    fn step(&self, step: Step);

    /// Nothing more comes of the cell that was running.
    fn cell_ended(&self);

    /// A displayed value; `name` (a file name without ending) is that of its chart, and `is_result` says that it is
    /// the value of the cell's last expression.
    fn show(&self, value: &Value, name: &str, is_result: bool) -> Result<()>;

    /// Text that was asked for to be read, such as documentation.
    fn page(&self, text: &str) {
        self.line(Stream::Out, text);
    }

    /// The user has typed a line for the cell that runs, and ended it.
    fn line_was_typed(&self) {}
}
