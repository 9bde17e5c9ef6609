//! Passes on what the child writes while a cell runs.

use crate::cell::{END_OF_CELL, LINE_ENDED};
use crate::progress::Bars;
use console::style;
use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};
use evcxr::EvalContextOutputs;
use std::io::Write;
use std::time::Duration;

/// How long to wait for the rest of a cell's standard error.
const PATIENCE: Duration = Duration::from_secs(1);

/// The thread that writes the child's lines to our own standard output and error.
pub struct Relay {
    ends: Receiver<()>,
    finish: Sender<Sender<()>>,
}

impl Relay {
    /// Starts the thread.
    pub fn start(outputs: EvalContextOutputs) -> Self {
        let (end, ends) = unbounded();
        let (finish, finishes) = unbounded();
        std::thread::spawn(move || pass_on(&outputs, &end, &finishes));
        Relay { ends, finish }
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

fn pass_on(outputs: &EvalContextOutputs, end: &Sender<()>, finishes: &Receiver<Sender<()>>) {
    let mut bars = Bars::default();
    // An empty line is held back until it is known that it was written on purpose.
    let mut held_back = false;
    loop {
        select! {
            recv(outputs.stdout) -> line => {
                let Ok(line) = line else { return };
                if bars.take(&line) {
                    continue;
                }
                if line == LINE_ENDED {
                    held_back = false;
                    continue;
                }
                if std::mem::replace(&mut held_back, line.is_empty()) {
                    write_line(&bars, "");
                }
                if !line.is_empty() {
                    write_line(&bars, &line);
                }
            }
            recv(outputs.stderr) -> line => {
                let Ok(line) = line else { return };
                if line == END_OF_CELL {
                    let _ = end.send(());
                } else {
                    bars.print(|| {
                        let _ = writeln!(std::io::stderr(), "{}", style(line).red().for_stderr());
                    });
                }
            }
            recv(finishes) -> done => {
                let Ok(done) = done else { return };
                if std::mem::take(&mut held_back) {
                    write_line(&bars, "");
                }
                bars.clear();
                let _ = done.send(());
            }
        }
    }
}

/// A reader that has gone away is no reason to stop the evaluation.
fn write_line(bars: &Bars, line: &str) {
    bars.print(|| {
        let _ = writeln!(std::io::stdout(), "{line}");
    });
}
