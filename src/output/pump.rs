//! Passes on what the cells write and display, as it comes.
//!
//! A thread reads the pipes of [`crate::eval::channels`]. A message of the runtime is taken when everything that the
//! cell had written before it has been passed on, and answered then; so is the end of a cell. No mark in the output
//! is needed for either.

use super::FrontEnd;
use super::content::{Parser, Part, Prompt, cut_character};
use super::{Stream, Value};
use crate::eval::channels::Channels;
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;

/// More than a pipe holds: what comes beyond that was written later, by something that does not stop.
const MOST_DRAINED: usize = 1 << 20;

/// After so long without more output, what may belong together is passed on as it is.
const PAUSE_MS: u16 = 100;

/// Pauses after which a displayed value that was begun and not ended is taken for text.
const PATIENCE: u32 = 20;

/// What Rust's own runtime says before it ends a process for this.
const OVERFLOW: &str = "has overflowed its stack";

/// How a cell ended, in the words of the runtime.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ending {
    pub finished: bool,
    /// The step that did not come to its end, where one did not.
    pub step: usize,
    /// The variables that it has kept.
    pub kept: Vec<Kept>,
}

/// A variable that a cell has kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    pub name: String,
    /// Which of the cell's variables it is.
    pub number: usize,
    /// The error that it holds, if it is a `Result` with one.
    pub error: Option<String>,
}

impl Ending {
    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let (how, step) = lines
            .next()
            .and_then(|line| line.split_once(' '))
            .unwrap_or_default();
        let kept = lines.filter_map(|line| line.strip_prefix("kept "));
        Ending {
            finished: how == "finished",
            step: step.parse().unwrap_or(0),
            kept: kept
                .filter_map(|line| {
                    let mut words = line.splitn(3, ' ');
                    Some(Kept {
                        name: words.next()?.to_owned(),
                        number: words.next()?.parse().ok()?,
                        error: words.next().map(str::to_owned),
                    })
                })
                .collect(),
        }
    }
}

enum Request {
    /// Answered when everything that was written before is passed on.
    Sync(Sender<()>),
    /// Answered at the end of a cell when everything is passed on; says how the cell ended, unless its process did.
    Finish(Sender<Option<Ending>>),
}

#[derive(Default)]
struct Shared {
    /// File name (without ending) for the charts of the cell.
    chart: Mutex<String>,
    prompt: Mutex<Option<Prompt>>,
    repeat: AtomicBool,
    overflowed: AtomicBool,
}

/// The thread that passes on what the cells write.
pub struct Pump {
    requests: Sender<Request>,
    wake: PipeWriter,
    shared: Arc<Shared>,
}

impl Pump {
    /// Starts the thread. `complaints` are what evcxr reads from the process of the cells before that has its pipes.
    pub fn start(
        channels: Channels,
        complaints: Receiver<String>,
        output: FrontEnd,
    ) -> Result<Self> {
        let (requests, to_answer) = unbounded();
        let (woken, wake) = std::io::pipe().context("cannot make a pipe")?;
        let shared = Arc::new(Shared::default());
        let mut thread = Thread {
            channels,
            output,
            complaints,
            to_answer,
            woken,
            shared: shared.clone(),
            parser: Parser::default(),
            errors: Vec::new(),
            messages: Vec::new(),
            forms: Vec::new(),
            displays: false,
            ending: None,
        };
        std::thread::spawn(move || thread.run());
        Ok(Pump {
            requests,
            wake,
            shared,
        })
    }

    /// A cell begins; `chart` is the file name (without ending) of what it draws.
    pub fn begin_cell(&self, chart: &str) {
        *locked(&self.shared.chart) = chart.to_owned();
        self.shared.repeat.store(false, Ordering::Relaxed);
        self.shared.overflowed.store(false, Ordering::Relaxed);
    }

    /// Whether the cell is worth running again in a new process.
    pub fn is_worth_repeating(&self) -> bool {
        self.shared.repeat.load(Ordering::Relaxed)
    }

    /// Whether the process of the cells has said that its stack was full.
    pub fn has_overflowed(&self) -> bool {
        self.shared.overflowed.load(Ordering::Relaxed)
    }

    /// Waits until everything of the cell that has just ended is passed on; how it ended, as far as it said so.
    pub fn finish_cell(&self) -> Option<Ending> {
        let (done, wait) = bounded(1);
        self.ask(Request::Finish(done));
        // Whoever reads the output of this program may hold the thread up: then the session waits, as the cell would.
        wait.recv().ok().flatten()
    }

    /// Something in the cell waits for input: passes on what has been written, and gives the prompt if there is one.
    pub fn take_prompt(&self) -> Option<Prompt> {
        let (done, wait) = bounded(1);
        self.ask(Request::Sync(done));
        let _ = wait.recv();
        locked(&self.shared.prompt).take()
    }

    fn ask(&self, request: Request) {
        // The thread ends with the program.
        if self.requests.send(request).is_ok() {
            let _ = (&self.wake).write_all(b"x");
        }
    }
}

struct Thread {
    channels: Channels,
    output: FrontEnd,
    complaints: Receiver<String>,
    to_answer: Receiver<Request>,
    woken: PipeReader,
    shared: Arc<Shared>,
    parser: Parser,
    /// The beginning of a character on standard error.
    errors: Vec<u8>,
    /// The beginning of a message.
    messages: Vec<u8>,
    /// Forms of a value that are not shown yet: more may follow.
    forms: Vec<(String, String)>,
    /// The runtime displays a value.
    displays: bool,
    ending: Option<Ending>,
}

impl Thread {
    fn run(&mut self) {
        let mut pauses = 0;
        loop {
            let holds = !self.forms.is_empty() || self.parser.holds() || !self.errors.is_empty();
            let Some([messages, output, errors, woken]) = self.wait(holds) else {
                return;
            };
            if !(messages || output || errors || woken) {
                pauses += 1;
                self.pause(pauses);
                continue;
            }
            pauses = 0;
            if messages {
                self.take_messages();
            }
            if output {
                self.pass_output(CHUNK);
            }
            if errors {
                self.pass_errors(CHUNK);
            }
            if woken {
                let mut byte = [0];
                let _ = self.woken.read(&mut byte);
                let requests: Vec<Request> = self.to_answer.try_iter().take(1).collect();
                requests
                    .into_iter()
                    .for_each(|request| self.answer(request));
            }
        }
    }

    /// Which pipes have something, in time; none when the program is at its end.
    fn wait(&self, holds: bool) -> Option<[bool; 4]> {
        let fds = [
            self.channels.messages.as_fd(),
            self.channels.output.as_fd(),
            self.channels.errors.as_fd(),
            self.woken.as_fd(),
        ];
        let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let timeout = if holds {
            PollTimeout::from(PAUSE_MS)
        } else {
            PollTimeout::NONE
        };
        match poll(&mut fds, timeout) {
            Err(nix::errno::Errno::EINTR) => Some([false; 4]),
            Err(_) => None,
            Ok(_) => {
                let ended = fds[3]
                    .revents()
                    .is_some_and(|events| events == PollFlags::POLLHUP);
                (!ended).then(|| fds.map(|fd| fd.any().unwrap_or_default()))
            }
        }
    }

    /// Nothing has come for a while.
    fn pause(&mut self, pauses: u32) {
        if !self.displays {
            self.show(false);
        }
        if !self.parser.is_open() || pauses > PATIENCE {
            self.flush_output();
        }
        self.flush_errors();
    }

    fn answer(&mut self, request: Request) {
        self.take_messages();
        self.pass_output(MOST_DRAINED);
        self.pass_errors(MOST_DRAINED);
        match request {
            Request::Sync(done) => {
                self.flush_output();
                self.flush_errors();
                let _ = done.send(());
            }
            Request::Finish(done) => {
                self.end_output();
                for line in self.complaints.try_iter() {
                    self.output.write(Stream::Err, &format!("{line}\n"));
                }
                // A process that has died may have left half a message.
                self.messages.clear();
                self.displays = false;
                self.output.cell_ended();
                let _ = done.send(self.ending.take());
            }
        }
    }

    /// Takes the messages of the runtime that are complete.
    fn take_messages(&mut self) {
        let mut chunk = vec![0; CHUNK];
        while let Ok(length) = self.channels.messages.read(&mut chunk) {
            if length == 0 {
                break;
            }
            self.messages.extend_from_slice(&chunk[..length]);
            while let Some((kind, number, text)) = next_message(&mut self.messages) {
                self.pass_output(MOST_DRAINED);
                self.pass_errors(MOST_DRAINED);
                self.message(&kind, text);
                // A runtime that has gone away waits for no answer.
                let _ = writeln!(self.channels.answers, "{number}");
            }
        }
    }

    fn message(&mut self, kind: &str, text: String) {
        self.flush_output();
        self.flush_errors();
        match kind {
            "display" => {
                self.show(false);
                self.displays = true;
            }
            "displayed" => {
                self.show(true);
                self.displays = false;
            }
            "show" => {
                self.form("text/plain".to_owned(), text);
                if !self.displays {
                    self.show(false);
                }
            }
            "failed" => {
                self.end_output();
                self.output.failed(&text);
            }
            "ended" => self.ending = Some(Ending::parse(&text)),
            // Of another version's runtime, which cannot be.
            _ => {}
        }
    }

    fn pass_output(&mut self, most: usize) {
        let mut parts = Vec::new();
        for chunk in read(&self.channels.output, most) {
            self.parser.feed(&chunk, &mut parts);
        }
        self.pass(parts);
    }

    fn flush_output(&mut self) {
        let mut parts = Vec::new();
        self.parser.flush(&mut parts);
        self.pass(parts);
    }

    /// Nothing more of what has been written belongs to something that follows.
    fn end_output(&mut self) {
        self.flush_output();
        self.flush_errors();
        self.show(false);
        self.refuse_prompt();
    }

    fn pass(&mut self, parts: Vec<Part>) {
        for part in parts {
            match part {
                Part::Text(text) => {
                    self.show(false);
                    self.refuse_prompt();
                    self.output.write(Stream::Out, &text);
                }
                Part::Content { mime, data } => self.form(mime, data),
                Part::Step(step) => self.output.step(step),
                Part::Repeat => self.shared.repeat.store(true, Ordering::Relaxed),
                Part::Prompt(prompt) => {
                    self.refuse_prompt();
                    *locked(&self.shared.prompt) = Some(prompt);
                }
            }
        }
    }

    /// Nothing was read behind a prompt: it was text.
    fn refuse_prompt(&mut self) {
        let prompt = locked(&self.shared.prompt).take();
        if let Some(prompt) = prompt {
            self.output.write(Stream::Out, &prompt.line);
        }
    }

    fn pass_errors(&mut self, most: usize) {
        for chunk in read(&self.channels.errors, most) {
            self.errors.extend_from_slice(&chunk);
        }
        let whole = self.errors.len() - cut_character(&self.errors);
        let rest = self.errors.split_off(whole);
        self.flush_errors();
        self.errors = rest;
    }

    fn flush_errors(&mut self) {
        if !self.errors.is_empty() {
            let text = std::mem::take(&mut self.errors);
            let text = String::from_utf8_lossy(&text);
            if text.contains(OVERFLOW) {
                self.shared.overflowed.store(true, Ordering::Relaxed);
            }
            self.output.write(Stream::Err, &text);
        }
    }

    /// One more form of a value; one that is there already begins another value.
    fn form(&mut self, mime: String, data: String) {
        if self.forms.iter().any(|(other, _)| *other == mime) {
            self.show(false);
        }
        self.forms.push((mime, data));
    }

    /// Shows the value whose forms have come; `is_result` says that the runtime displays it at the end of a cell.
    fn show(&mut self, is_result: bool) {
        if self.forms.is_empty() {
            return;
        }
        let value = Value::new(std::mem::take(&mut self.forms));
        let name = locked(&self.shared.chart).clone();
        self.output.show(&value, &name, is_result);
    }
}

/// What a pipe holds, up to `most` bytes.
fn read(mut pipe: &File, most: usize) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut total = 0;
    while total < most {
        let mut chunk = vec![0; CHUNK];
        match pipe.read(&mut chunk) {
            Ok(length) if length > 0 => {
                chunk.truncate(length);
                total += length;
                chunks.push(chunk);
            }
            _ => break,
        }
    }
    chunks
}

/// Cuts the first message off, if it is complete: its kind, number and text.
fn next_message(bytes: &mut Vec<u8>) -> Option<(String, String, String)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut words = head.split(' ');
    let (kind, number) = (words.next()?, words.next()?);
    let length: usize = words.next()?.parse().ok()?;
    let text = bytes.get(end + 1..end + 1 + length)?;
    let text = String::from_utf8_lossy(text).into_owned();
    bytes.drain(..end + 1 + length);
    Some((kind.to_owned(), number.to_owned(), text))
}

/// A lock whose holder panicked still holds valid data here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_when_they_are_whole() {
        let mut bytes = b"show 7 3\na\nbended 8 10\nfini".to_vec();
        let first = next_message(&mut bytes).unwrap();
        assert_eq!((first.0.as_str(), first.2.as_str()), ("show", "a\nb"));
        assert_eq!(next_message(&mut bytes), None);
        bytes.extend(b"shed 0");
        let second = next_message(&mut bytes).unwrap();
        assert_eq!(second.1, "8");
        assert!(Ending::parse(&second.2).finished);
        assert!(bytes.is_empty());
    }

    #[test]
    fn an_ending_names_what_was_kept() {
        let ending = Ending::parse("error 2\nkept a 1\nkept b 0 no such file");
        assert!(!ending.finished && ending.step == 2);
        let kept = |name: &str, number, error: Option<&str>| Kept {
            name: name.to_owned(),
            number,
            error: error.map(str::to_owned),
        };
        assert_eq!(
            ending.kept,
            [kept("a", 1, None), kept("b", 0, Some("no such file"))]
        );
    }
}
