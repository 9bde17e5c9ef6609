//! Where a session says things: a terminal or pipes ([`Terminal`]), or a notebook.
//!
//! A process has one front, as it has one standard output. What is said while a cell runs is also kept
//! for [`crate::record`], from which `:save` writes a notebook with its outputs.

use crate::progress::{Bars, Step};
use crate::show;
use anyhow::Result;
use console::style;
use evcxr::EvalOutputs;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

static FRONT: OnceLock<Box<dyn Front>> = OnceLock::new();

/// What has been said since it was last asked for.
static HEARD: Mutex<Vec<Output>> = Mutex::new(Vec::new());

/// More text than this (in bytes) of one cell is not kept for `:save`.
const MOST_KEPT: usize = 1 << 20;

/// One thing that a cell has put out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Lines of standard output.
    Out(String),
    /// Lines of standard error.
    Err(String),
    /// A displayed value: data by MIME type, as evcxr carries it (pictures in base64).
    Value(Vec<(String, String)>),
}

/// A place to say things.
pub trait Front: Send + Sync {
    /// A line, or several, of standard output.
    fn out(&self, text: &str);

    /// The same of standard error: complaints and compile errors.
    fn err(&self, text: &str);

    /// A line that running code wrote to its standard error.
    fn child_err(&self, line: &str) {
        self.err(line);
    }

    /// How far a call has got.
    fn step(&self, step: Step);

    /// Nothing more comes of the cell that was running.
    fn cell_ended(&self);

    /// A displayed value; `name` (a file name without ending) is that of its chart.
    fn show(&self, outputs: &EvalOutputs, name: &str) -> Result<()>;

    /// Text that was asked for to be read, such as documentation.
    fn page(&self, text: &str) {
        self.out(text);
    }
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
    keep_text(text, false);
    front().out(text);
}

/// Says a line, or several, on standard error.
pub fn err(text: &str) {
    let text = text.trim_end_matches('\n');
    keep_text(text, true);
    front().err(text);
}

/// Passes on a line that running code wrote to its standard error.
pub fn child_err(line: &str) {
    keep_text(line, true);
    front().child_err(line);
}

/// Shows how far a call has got.
pub fn step(step: Step) {
    front().step(step);
}

/// Ends what belongs to the cell that was running.
pub fn cell_ended() {
    front().cell_ended();
}

/// Displays the value of a cell.
pub fn show(outputs: &EvalOutputs, name: &str) -> Result<()> {
    let mut value: Vec<(String, String)> = outputs
        .content_by_mime_type
        .iter()
        .filter(|(kind, _)| kind.as_str() != crate::cell::STATUS)
        .map(|(kind, data)| (kind.clone(), data.clone()))
        .collect();
    if value.is_empty() {
        return Ok(());
    }
    value.sort();
    locked(&HEARD).push(Output::Value(value));
    front().show(outputs, name)
}

/// Shows text that was asked for to be read.
pub fn page(text: &str) {
    front().page(text.trim_end_matches('\n'));
}

/// What has been said since the last call.
pub fn heard() -> Vec<Output> {
    std::mem::take(&mut locked(&HEARD))
}

/// Adds lines to what was heard last if they are of the same stream.
fn keep_text(text: &str, error: bool) {
    let mut heard = locked(&HEARD);
    let kept = match (heard.last_mut(), error) {
        (Some(Output::Out(kept)), false) | (Some(Output::Err(kept)), true) => kept,
        _ => {
            let text = String::new();
            heard.push(if error {
                Output::Err(text)
            } else {
                Output::Out(text)
            });
            match heard.last_mut() {
                Some(Output::Out(kept) | Output::Err(kept)) => kept,
                _ => return,
            }
        }
    };
    if kept.len() + text.len() < MOST_KEPT {
        kept.push_str(text);
        kept.push('\n');
    } else if !kept.ends_with("...\n") {
        kept.push_str("...\n");
    }
}

/// A terminal, or whatever standard output and error are.
#[derive(Default)]
struct Terminal {
    bars: Mutex<Bars>,
}

impl Front for Terminal {
    // A reader that has gone away is no reason to stop the evaluation.
    fn out(&self, text: &str) {
        locked(&self.bars).print(|| {
            let _ = writeln!(std::io::stdout(), "{text}");
        });
    }

    fn err(&self, text: &str) {
        locked(&self.bars).print(|| {
            let _ = writeln!(std::io::stderr(), "{text}");
        });
    }

    fn child_err(&self, line: &str) {
        self.err(&style(line).red().for_stderr().to_string());
    }

    fn step(&self, step: Step) {
        locked(&self.bars).step(step);
    }

    fn cell_ended(&self) {
        locked(&self.bars).clear();
    }

    fn show(&self, outputs: &EvalOutputs, name: &str) -> Result<()> {
        show::show(outputs, name)
    }
}

/// A lock whose holder panicked still holds valid data here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
