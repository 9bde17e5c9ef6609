//! Passes on what the child writes while a cell runs.

use crate::cell::{END_OF_CELL, LINE_ENDED};
use crate::front;
use crate::progress::Step;
use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};
use evcxr::EvalContextOutputs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long to wait for the rest of a cell's standard error.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line of the child that is no output: the statement that runs is worth running again in a new child.
const REPEAT: &str = "VITREPL_REPEAT";

/// The thread that passes the child's lines to the front.
pub struct Relay {
    ends: Receiver<()>,
    finish: Sender<Sender<()>>,
    repeat: Arc<AtomicBool>,
}

impl Relay {
    /// Starts the thread.
    pub fn start(outputs: EvalContextOutputs) -> Self {
        let (end, ends) = unbounded();
        let (finish, finishes) = unbounded();
        let repeat = Arc::new(AtomicBool::new(false));
        let noted = repeat.clone();
        std::thread::spawn(move || pass_on(&outputs, &end, &finishes, &noted));
        Relay {
            ends,
            finish,
            repeat,
        }
    }

    /// Whether the cell that has just ended is worth running again in a new child.
    pub fn take_repeat(&self) -> bool {
        self.repeat.swap(false, Ordering::Relaxed)
    }

    /// Waits until everything of the cell that has just ended is written; `marked` says that it came to
    /// its end and has said so on standard error.
    pub fn finish_cell(&self, marked: bool) {
        if marked {
            let _ = self.ends.recv_timeout(PATIENCE);
        }
        let (done, wait) = bounded(1);
        if self.finish.send(done).is_ok() {
            let _ = wait.recv_timeout(PATIENCE);
        }
        // An end that came too late belongs to this cell, not to the next.
        while self.ends.try_recv().is_ok() {}
    }
}

fn pass_on(
    outputs: &EvalContextOutputs,
    end: &Sender<()>,
    finishes: &Receiver<Sender<()>>,
    repeat: &AtomicBool,
) {
    // An empty line is held back until it is known that it was written on purpose.
    let mut held_back = false;
    loop {
        select! {
            recv(outputs.stdout) -> line => {
                let Ok(line) = line else { return };
                if let Some(step) = Step::parse(&line) {
                    front::step(step);
                    continue;
                }
                if line == REPEAT {
                    repeat.store(true, Ordering::Relaxed);
                    continue;
                }
                if line == LINE_ENDED {
                    held_back = false;
                    continue;
                }
                if std::mem::replace(&mut held_back, line.is_empty()) {
                    front::out("");
                }
                if !line.is_empty() {
                    front::out(&line);
                }
            }
            recv(outputs.stderr) -> line => {
                let Ok(line) = line else { return };
                if line == END_OF_CELL {
                    let _ = end.send(());
                } else {
                    front::child_err(&line);
                }
            }
            recv(finishes) -> done => {
                let Ok(done) = done else { return };
                if std::mem::take(&mut held_back) {
                    front::out("");
                }
                front::cell_ended();
                let _ = done.send(());
            }
        }
    }
}
