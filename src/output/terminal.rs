//! A terminal, or whatever standard output and error are.

use super::displays;
use super::front::{Front, Stream};
use super::progress::{Bars, Step};
use super::value::Value;
use anyhow::Result;
use console::{Term, style};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A terminal, or whatever standard output and error are.
#[derive(Default)]
pub struct Terminal {
    screen: Mutex<Screen>,
}

#[derive(Default)]
struct Screen {
    bars: Bars,
    /// Whether a line of standard output, and of standard error, is not ended.
    open: [bool; 2],
    /// Parts of lines that wait until they are whole, because bars are drawn below.
    waiting: [String; 2],
    /// The files to which charts were written.
    charts: BTreeSet<PathBuf>,
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
        let Screen { bars, charts, .. } = &mut *screen;
        let mut result = Ok(());
        bars.print(|| result = displays::show(value, name, charts));
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
