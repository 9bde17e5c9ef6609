//! Lines of this process's own standard input: typed at a terminal, or from a file or pipe.
//!
//! Statements may come from the same place. A line that was asked for by a cell and came when that had ended already is
//! not lost: it is the next statement.

use super::Source;
use crate::output::content::Prompt;
use crate::output::{FrontEnd, Stream};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::os::fd::AsFd;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Between two looks whether a line is still wanted, in milliseconds.
const PAUSE_MS: u16 = 50;

/// All that is read from it is read through this.
static READER: LazyLock<Mutex<Reader>> = LazyLock::new(|| {
    // A process without standard input finds an empty one.
    let stdin = std::io::stdin().as_fd().try_clone_to_owned();
    let file = stdin.map(File::from).or_else(|_| File::open("/dev/null"));
    Mutex::new(Reader {
        lines: file.ok().map(BufReader::new),
        ahead: VecDeque::new(),
    })
});

struct Reader {
    lines: Option<BufReader<File>>,
    /// Lines that were read and not used: they came too late for the cell that had asked, or were only looked at.
    ahead: VecDeque<Vec<u8>>,
}

impl Reader {
    /// The next line, with its end; empty at the end of the input.
    fn line(&mut self) -> std::io::Result<Vec<u8>> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(line);
        }
        self.read()
    }

    fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut line = Vec::new();
        if let Some(lines) = &mut self.lines {
            lines.read_until(b'\n', &mut line)?;
        }
        Ok(line)
    }

    /// The line behind `number` others, if it is there already or comes at once.
    fn look_ahead(&mut self, number: usize) -> Option<&[u8]> {
        while self.ahead.len() <= number {
            let lines = self.lines.as_ref()?;
            if lines.buffer().is_empty() {
                let mut fds = [PollFd::new(lines.get_ref().as_fd(), PollFlags::POLLIN)];
                if !matches!(poll(&mut fds, PollTimeout::from(AT_ONCE_MS)), Ok(1..)) {
                    return None;
                }
            }
            let line = self.read().ok()?;
            if line.is_empty() {
                return None;
            }
            self.ahead.push_back(line);
        }
        self.ahead.get(number).map(Vec::as_slice)
    }

    /// Waits until there is something to read; nothing when it is not wanted any more.
    fn wait(&self, cancelled: &dyn Fn() -> bool) -> Option<()> {
        let lines = self.lines.as_ref()?;
        while lines.buffer().is_empty() && self.ahead.is_empty() {
            if cancelled() {
                return None;
            }
            let mut fds = [PollFd::new(lines.get_ref().as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(PAUSE_MS)) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => break,
                Err(_) => return None,
            }
        }
        (!cancelled()).then_some(())
    }
}

/// Lines that are written together come within so many milliseconds.
const AT_ONCE_MS: u16 = 20;

/// The line behind `number` others, if it is there already or comes at once; it stays to be read.
pub fn look_ahead(number: usize) -> Option<String> {
    let mut reader = locked();
    let line = reader.look_ahead(number)?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// The next line, with its end; empty at the end of the input.
pub fn next_line() -> std::io::Result<String> {
    let line = locked().line()?;
    String::from_utf8(line).map_err(|_| {
        std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "statements are Rust source in UTF-8",
        )
    })
}

fn locked() -> MutexGuard<'static, Reader> {
    READER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This process's standard input.
pub struct Stdin {
    /// Where prompts are shown.
    pub output: FrontEnd,
}

impl Source for Stdin {
    fn line(&self, prompt: Option<&Prompt>, cancelled: &dyn Fn() -> bool) -> Option<String> {
        let is_terminal = std::io::stdin().is_terminal();
        if let Some(prompt) = prompt {
            self.output.write(Stream::Out, &prompt.text);
            if prompt.is_password && is_terminal {
                let typed = console::Term::stdout().read_secure_line().ok()?;
                self.output.line_was_typed();
                return Some(format!("{typed}\n"));
            }
        }
        let mut reader = locked();
        reader.wait(cancelled)?;
        let line = reader.line().ok()?;
        if cancelled() && !line.is_empty() {
            reader.ahead.push_front(line);
            return None;
        }
        if is_terminal {
            self.output.line_was_typed();
        }
        (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned())
    }
}
