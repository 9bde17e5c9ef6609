//! Where a session says things: a terminal or pipes ([`Terminal`]), or a notebook.
//!
//! A process has one front end, as it has one standard output. What is said while a cell runs is also kept for
//! [`crate::record`], from which `:save` writes a notebook with its outputs.

pub mod content;
pub mod progress;
pub mod pump;

use crate::show;
use anyhow::Result;
use console::{Term, style};
use progress::{Bars, Step};
use std::io::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

static FRONT: OnceLock<Box<dyn Front>> = OnceLock::new();

/// What has been said since it was last asked for.
static CAPTURED: Mutex<Captured> = Mutex::new(Captured::new(MOST_TEXT, MOST_VALUES));

/// More text than this (in bytes) of one cell is not kept for `:save`.
const MOST_TEXT: usize = 1 << 20;

/// More of displayed values than this (in bytes) of one cell is not kept for `:save`.
const MOST_VALUES: usize = 1 << 25;

/// A stream of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// One thing that a cell has put out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Out(String),
    /// Standard error.
    Err(String),
    /// A displayed value: data by MIME type, as evcxr carries it (pictures in base64).
    Value(Vec<(String, String)>),
}

impl Output {
    /// Bytes of what it says.
    pub fn size(&self) -> usize {
        match self {
            Output::Out(text) | Output::Err(text) => text.len(),
            Output::Value(forms) => forms.iter().map(|(_, data)| data.len()).sum(),
        }
    }
}

/// What a cell has put out, up to a size.
struct Captured {
    outputs: Vec<Output>,
    /// Bytes of text, and of values, for which there still is room.
    room: [usize; 2],
    is_cut: bool,
}

impl Captured {
    const fn new(text: usize, values: usize) -> Self {
        Captured {
            outputs: Vec::new(),
            room: [text, values],
            is_cut: false,
        }
    }

    /// Adds text to what was captured last if it is of the same stream.
    fn text(&mut self, stream: Stream, text: &str) {
        // Each output, however short, takes room of its own.
        let mut size = text.len();
        let last = match (self.outputs.last_mut(), stream) {
            (Some(Output::Out(last)), Stream::Out) | (Some(Output::Err(last)), Stream::Err) => {
                Some(last)
            }
            _ => {
                size += size_of::<Output>();
                None
            }
        };
        if self.is_cut || size > self.room[0] {
            self.cut();
            return;
        }
        self.room[0] -= size;
        match (last, stream) {
            (Some(last), _) => last.push_str(text),
            (None, Stream::Out) => self.outputs.push(Output::Out(text.to_owned())),
            (None, Stream::Err) => self.outputs.push(Output::Err(text.to_owned())),
        }
    }

    fn value(&mut self, value: &Value) {
        let output = Output::Value(value.0.clone());
        let size = output.size() + size_of::<Output>();
        if self.is_cut || size > self.room[1] {
            self.cut();
            return;
        }
        self.room[1] -= size;
        self.outputs.push(output);
    }

    fn cut(&mut self) {
        if !std::mem::replace(&mut self.is_cut, true) {
            let text = "... (there was more, which is not kept)\n";
            self.outputs.push(Output::Err(text.to_owned()));
        }
    }
}

/// A displayed value: its forms, by MIME type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(Vec<(String, String)>);

impl Value {
    pub fn new(mut forms: Vec<(String, String)>) -> Self {
        forms.sort();
        Value(forms)
    }

    pub fn get(&self, mime: &str) -> Option<&str> {
        let found = self.0.iter().find(|(kind, _)| kind == mime);
        found.map(|(_, data)| data.as_str())
    }

    /// MIME types and data.
    pub fn forms(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(kind, data)| (kind.as_str(), data.as_str()))
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

/// A terminal, or whatever standard output and error are.
#[derive(Default)]
struct Terminal {
    screen: Mutex<Screen>,
}

#[derive(Default)]
struct Screen {
    bars: Bars,
    /// Whether a line of standard output, and of standard error, is not ended.
    open: [bool; 2],
    /// Parts of lines that wait until they are whole, because bars are drawn below.
    waiting: [String; 2],
}

/// Half a line of this length (in bytes) does not wait for its end.
const LONGEST_LINE: usize = 1 << 16;

impl Screen {
    // A reader that has gone away is no reason to stop the evaluation.
    fn print(&mut self, stream: Stream, text: &str) {
        if text.is_empty() {
            return;
        }
        self.open[stream as usize] = !text.ends_with('\n');
        self.bars.print(|| match stream {
            Stream::Out => {
                let mut out = std::io::stdout().lock();
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            }
            Stream::Err => {
                let _ = std::io::stderr().write_all(text.as_bytes());
            }
        });
    }

    fn write(&mut self, stream: Stream, text: &str) {
        let mut text = std::mem::take(&mut self.waiting[stream as usize]) + text;
        if !self.bars.is_empty() && text.len() < LONGEST_LINE {
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            self.waiting[stream as usize] = text.split_off(whole);
        }
        match stream {
            Stream::Out => self.print(stream, &text),
            Stream::Err => {
                let coloured = text.split_inclusive('\n').map(|line| {
                    let content = line.trim_end_matches('\n');
                    let styled = if content.is_empty() {
                        String::new()
                    } else {
                        style(content).red().for_stderr().to_string()
                    };
                    styled + &line[content.len()..]
                });
                self.print(stream, &coloured.collect::<String>());
            }
        }
    }

    /// Has what follows on `stream` begin a line. On a terminal the other stream's line is in the way too.
    fn begin_line(&mut self, stream: Stream) {
        self.flush();
        let same_place = Term::stdout().is_term() && Term::stderr().is_term();
        for one in [Stream::Out, Stream::Err] {
            if self.open[one as usize] && (one == stream || same_place) {
                self.print(one, "\n");
            }
        }
    }

    fn flush(&mut self) {
        for stream in [Stream::Out, Stream::Err] {
            let text = std::mem::take(&mut self.waiting[stream as usize]);
            self.print(stream, &text);
        }
    }
}

impl Front for Terminal {
    fn write(&self, stream: Stream, text: &str) {
        locked(&self.screen).write(stream, text);
    }

    fn line(&self, stream: Stream, text: &str) {
        let mut screen = locked(&self.screen);
        screen.begin_line(stream);
        screen.print(stream, &format!("{text}\n"));
    }

    fn step(&self, step: Step) {
        let mut screen = locked(&self.screen);
        if screen.bars.is_empty() {
            screen.begin_line(Stream::Err);
        }
        screen.bars.step(step);
    }

    fn cell_ended(&self) {
        let mut screen = locked(&self.screen);
        screen.bars.clear();
        screen.begin_line(Stream::Out);
        screen.begin_line(Stream::Err);
    }

    fn show(&self, value: &Value, name: &str, _: bool) -> Result<()> {
        let mut screen = locked(&self.screen);
        screen.begin_line(Stream::Out);
        let mut result = Ok(());
        screen.bars.print(|| result = show::show(value, name));
        result
    }

    fn line_was_typed(&self) {
        locked(&self.screen).open = [false; 2];
    }
}

/// A lock whose holder panicked still holds valid data here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cell_puts_out_is_kept_up_to_a_size() {
        let mut captured = Captured::new(1000, 1000);
        captured.text(Stream::Out, "a");
        captured.text(Stream::Out, "b\n");
        let value = Value::new(vec![("text/plain".to_owned(), "x".repeat(400))]);
        captured.value(&value);
        assert_eq!(captured.outputs[0], Output::Out("ab\n".to_owned()));
        for _ in 0..100 {
            captured.text(Stream::Out, "o");
            captured.text(Stream::Err, "e");
            captured.value(&value);
        }
        let size: usize = captured.outputs.iter().map(Output::size).sum();
        assert!(size < 2000, "{size}");
        let last = captured.outputs.last().unwrap();
        assert!(matches!(last, Output::Err(text) if text.contains("not kept")));
    }
}
