//! Ctrl-C: asks the running call to stop, and loses nothing.
//!
//! The child that runs the cells is in a process group of its own, so the terminal's Ctrl-C reaches this
//! process only (and the compiler, if it is at work: then nothing was run yet). It is passed on to the
//! child as `SIGINT`, which the library may catch to stop at its next step; a cell that calls nothing of the library
//! goes on. When one has not stopped soon, the user is told what another Ctrl-C will do: end the child, in whose place
//! a new one starts.

use crate::eval::environment;
use crate::output::FrontEnd;
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Set in the environment of the child that runs the cells.
const CHILD: &str = "VITREPL_CHILD";

/// A cell that goes on for longer after Ctrl-C does not look for it.
const SOON: Duration = Duration::from_millis(400);

/// A signal that has reached another process of the group has reached this one after so long.
const MOMENT: Duration = Duration::from_millis(200);

/// Exit code of a program ended by Ctrl-C, as shells report it.
const EXIT_INTERRUPTED: i32 = 130;

/// Makes a command run as the child that runs the cells.
pub fn prepare_child_command(command: &mut Command) {
    environment::leave(command);
    command.env(CHILD, "1").process_group(0);
}

/// In the child, makes `SIGINT` harmless until the library takes it over, and ends it with its parent, however that
/// ends: a cell would otherwise run on with nobody to see it. Elsewhere does nothing.
pub fn survive_in_child() {
    if std::env::var_os(CHILD).is_some() {
        #[cfg(target_os = "linux")]
        let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
        // If it cannot be registered Ctrl-C ends the child, as in any other program.
        let _ = signal_hook::flag::register(SIGINT, Arc::new(AtomicBool::new(false)));
    }
}

/// Listens for Ctrl-C in this process.
#[derive(Clone)]
pub struct Interrupts(Arc<Shared>);

struct Shared {
    /// A cell is being evaluated.
    busy: AtomicBool,
    /// Ctrl-C has been pressed since the cell began.
    pressed: AtomicBool,
    /// Ctrl-C has been pressed since what is carried out was entered.
    unanswered: AtomicBool,
    /// The user has been told what another Ctrl-C does to the cell.
    warned: AtomicBool,
    /// Number of the cell.
    cell: AtomicUsize,
    /// Whether Ctrl-C while nothing is evaluated ends the program.
    ends_when_idle: AtomicBool,
    child: Mutex<Option<Arc<Mutex<Child>>>>,
    /// Where it is told what another Ctrl-C does.
    output: FrontEnd,
}

impl Interrupts {
    /// Starts to listen; until a child is known, Ctrl-C ends the program.
    pub fn listen(output: &FrontEnd) -> Result<Self> {
        let interrupts = Interrupts(Arc::new(Shared {
            busy: AtomicBool::new(false),
            pressed: AtomicBool::new(false),
            unanswered: AtomicBool::new(false),
            warned: AtomicBool::new(false),
            cell: AtomicUsize::new(0),
            ends_when_idle: AtomicBool::new(true),
            child: Mutex::new(None),
            output: output.clone(),
        }));
        let mut signals = Signals::new([SIGINT]).context("cannot listen for Ctrl-C")?;
        let shared = interrupts.0.clone();
        std::thread::spawn(move || {
            for _ in signals.forever() {
                Shared::press(&shared);
            }
        });
        Ok(interrupts)
    }

    /// The child to ask.
    pub fn watch(&self, child: Arc<Mutex<Child>>) {
        *locked(&self.0.child) = Some(child);
    }

    /// Whether Ctrl-C ends the program while nothing is evaluated (it does not at the prompt).
    pub fn set_ends_when_idle(&self, ends: bool) {
        self.0.ends_when_idle.store(ends, Ordering::SeqCst);
    }

    /// Does what the terminal's Ctrl-C does: the compiler, if it is at work, is asked to stop as well.
    pub fn press(&self) {
        let own = nix::unistd::getpid();
        // A group that somebody else leads is not ours to interrupt.
        let _ = if nix::unistd::getpgrp() == own {
            killpg(own, Signal::SIGINT)
        } else {
            kill(own, Signal::SIGINT)
        };
    }

    /// Something has been entered: an older Ctrl-C was not meant for it.
    pub fn begin(&self) {
        self.0.unanswered.store(false, Ordering::SeqCst);
    }

    /// Whether Ctrl-C was pressed since [`Self::begin`], be it between two cells.
    pub fn ends_what_follows(&self) -> bool {
        self.0.unanswered.load(Ordering::SeqCst)
    }

    /// Whether Ctrl-C was pressed since the last cell began.
    pub fn was_pressed(&self) -> bool {
        self.0.pressed.load(Ordering::SeqCst)
    }

    /// Whether Ctrl-C was pressed since the last cell began, or will have been in a moment: it reaches the compiler as
    /// soon as this process, and the compiler may have ended of it first.
    pub fn is_pressed_soon(&self) -> bool {
        let start = Instant::now();
        while !self.was_pressed() && start.elapsed() < MOMENT {
            std::thread::sleep(MOMENT / 20);
        }
        self.was_pressed()
    }

    /// Runs `evaluate`, with Ctrl-C passed on to the child; says too whether it was pressed.
    pub fn during<R>(&self, evaluate: impl FnOnce() -> R) -> (R, bool) {
        self.0.pressed.store(false, Ordering::SeqCst);
        self.0.warned.store(false, Ordering::SeqCst);
        self.0.cell.fetch_add(1, Ordering::SeqCst);
        // The library forgets an older Ctrl-C, which was not meant for this cell.
        self.0.signal(Signal::SIGURG);
        self.0.busy.store(true, Ordering::SeqCst);
        let result = evaluate();
        self.0.busy.store(false, Ordering::SeqCst);
        (result, self.0.pressed.load(Ordering::SeqCst))
    }
}

impl Shared {
    fn press(self: &Arc<Self>) {
        self.unanswered.store(true, Ordering::SeqCst);
        let again = self.pressed.swap(true, Ordering::SeqCst);
        if !self.busy.load(Ordering::SeqCst) {
            if self.ends_when_idle.load(Ordering::SeqCst) {
                eprintln!("interrupted");
                std::process::exit(EXIT_INTERRUPTED);
            }
            return;
        }
        let child = locked(&self.child).clone();
        let Some(child) = child else { return };
        if self.warned.load(Ordering::SeqCst) {
            // The child may have exited already; evcxr reports that.
            let _ = locked(&child).kill();
            return;
        }
        self.signal(Signal::SIGINT);
        let cell = self.cell.load(Ordering::SeqCst);
        if again {
            self.warn(cell);
            return;
        }
        let shared = self.clone();
        std::thread::spawn(move || {
            std::thread::sleep(SOON);
            shared.warn(cell);
        });
    }

    /// Says what another Ctrl-C does, if this cell still runs.
    fn warn(&self, cell: usize) {
        let runs = self.busy.load(Ordering::SeqCst) && self.cell.load(Ordering::SeqCst) == cell;
        if runs && !self.warned.swap(true, Ordering::SeqCst) {
            self.output.note(
                "not stopped yet: calls of the library stop at their next step, other code does not. Another Ctrl-C \
                 ends the process that runs the cells: models are loaded again, other variables are lost.",
            );
        }
    }

    /// Sends a signal to the child, if there is one.
    fn signal(&self, signal: Signal) {
        let child = locked(&self.child).clone();
        let id = child.and_then(|child| i32::try_from(locked(&child).id()).ok());
        if let Some(id) = id {
            // The child may have exited already; evcxr reports that.
            let _ = kill(Pid::from_raw(id), signal);
        }
    }
}

/// A lock whose holder panicked still holds valid data here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Ctrl-C between two cells is kept for what follows, whatever a cell that begins forgets, and not beyond what was
    /// entered.
    #[test]
    fn a_press_between_two_cells_ends_what_follows() {
        let interrupts = Interrupts::listen(&FrontEnd::terminal()).unwrap();
        interrupts.set_ends_when_idle(false);
        interrupts.begin();
        interrupts.during(|| ());
        assert!(!interrupts.ends_what_follows());
        interrupts.0.press();
        interrupts.during(|| ());
        assert!(!interrupts.was_pressed() && interrupts.ends_what_follows());
        interrupts.begin();
        assert!(!interrupts.ends_what_follows());
    }
}
