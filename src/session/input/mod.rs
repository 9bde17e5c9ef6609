//! What cells read from standard input.
//!
//! Nothing tells a session that a cell has begun to read but the system: on Linux, `/proc` says which call each thread
//! waits in, and on which file. While a cell runs, its process and the processes it has started are looked at some
//! times a second; when one waits for the pipe that stands for standard input, the front end is asked for a line
//! ([`Source`]). What still waits when the cell ends gets the end of file, so nothing is read between cells. Where
//! the system does not tell, a cell finds its standard input at its end.

mod demand;
pub mod stdin;

use crate::output::content::Prompt;
use crate::output::pump::Pump;
use nix::fcntl::OFlag;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(60);

/// Where lines come from.
pub trait Source: Send + Sync {
    /// A line with its end, or none at the end of the input; `cancelled` tells that nobody waits for it any more.
    fn line(&self, prompt: Option<&Prompt>, cancelled: &dyn Fn() -> bool) -> Option<String>;
}

/// The standard input of the cells of a session.
pub struct Input {
    pipe: PathBuf,
    child: Arc<Mutex<Child>>,
    lines: Box<dyn Source>,
}

impl Input {
    /// The input of the process `child`, by the named pipe `pipe`: what it reads are `lines`.
    pub fn new(pipe: PathBuf, child: Arc<Mutex<Child>>, lines: Box<dyn Source>) -> Self {
        Input { pipe, child, lines }
    }

    /// The process whose input it is.
    pub fn process_id(&self) -> u32 {
        let child = self.child.lock();
        child.unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Runs `evaluate` with what it reads answered. Once it is `cancelled`, whoever is asked for a line need not answer.
    pub fn during<R>(
        &self,
        pump: &Pump,
        cancelled: &(dyn Fn() -> bool + Sync),
        evaluate: impl FnOnce() -> R,
    ) -> R {
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| self.serve(pump, cancelled, &ended));
            let result = evaluate();
            ended.store(true, Ordering::SeqCst);
            watcher.thread().unpark();
            result
        })
    }

    fn serve(&self, pump: &Pump, cancelled: &(dyn Fn() -> bool + Sync), ended: &AtomicBool) {
        // As long as this is open the pipe is not at its end. There may be no reader: then nothing is asked for.
        let mut writer = open(&self.pipe);
        let over = || ended.load(Ordering::SeqCst);
        while !over() {
            std::thread::park_timeout(PAUSE);
            if over() || writer.is_none() {
                continue;
            }
            match demand::is_awaited(self.process_id(), &self.pipe) {
                Some(true) => {}
                Some(false) => continue,
                None => {
                    writer = None;
                    continue;
                }
            }
            let prompt = pump.take_prompt();
            let not_wanted = || over() || cancelled();
            let line = self.lines.line(prompt.as_ref(), &not_wanted);
            match (line, &mut writer) {
                // The reader may have gone away meanwhile.
                (Some(line), Some(pipe)) => {
                    let _ = write_all(pipe, line.as_bytes(), &over);
                }
                // The end of the input, for the rest of the cell.
                _ => writer = None,
            }
        }
    }
}

fn open(pipe: &Path) -> Option<File> {
    let flags = OFlag::O_NONBLOCK.bits();
    File::options()
        .write(true)
        .custom_flags(flags)
        .open(pipe)
        .ok()
}

/// Writes all of a text into a pipe that may be full for a while.
fn write_all(pipe: &mut File, mut bytes: &[u8], over: &dyn Fn() -> bool) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match pipe.write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && !over() => {
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
