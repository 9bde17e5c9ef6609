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
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(60);

static SOURCE: OnceLock<Box<dyn Source>> = OnceLock::new();

/// Set by Ctrl-C: whoever is asked for a line need not answer.
static CANCELLED: AtomicBool = AtomicBool::new(false);

/// Where lines come from.
pub trait Source: Send + Sync {
    /// A line with its end, or none at the end of the input; `cancelled` tells that nobody waits for it any more.
    fn line(&self, prompt: Option<&Prompt>, cancelled: &dyn Fn() -> bool) -> Option<String>;
}

/// Has lines come from `source` instead of this process's standard input; only the first call counts.
pub fn choose(source: Box<dyn Source>) {
    let _ = SOURCE.set(source);
}

fn source() -> &'static dyn Source {
    &**SOURCE.get_or_init(|| Box::new(stdin::Stdin))
}

/// Has the line that is being asked for, if there is one, be the end of the input.
pub fn cancel() {
    CANCELLED.store(true, Ordering::SeqCst);
}

/// The standard input of the cells of a session.
pub struct Input {
    pipe: PathBuf,
    child: Arc<Mutex<Child>>,
}

impl Input {
    /// The input of the process `child`, by the named pipe `pipe`.
    pub fn new(pipe: PathBuf, child: Arc<Mutex<Child>>) -> Self {
        Input { pipe, child }
    }

    /// The process whose input it is.
    pub fn process_id(&self) -> u32 {
        let child = self.child.lock();
        child.unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Runs `evaluate` with what it reads answered.
    pub fn during<R>(&self, pump: &Pump, evaluate: impl FnOnce() -> R) -> R {
        CANCELLED.store(false, Ordering::SeqCst);
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| self.serve(pump, &ended));
            let result = evaluate();
            ended.store(true, Ordering::SeqCst);
            watcher.thread().unpark();
            result
        })
    }

    fn serve(&self, pump: &Pump, ended: &AtomicBool) {
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
            let cancelled = || over() || CANCELLED.load(Ordering::SeqCst);
            let line = source().line(prompt.as_ref(), &cancelled);
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
