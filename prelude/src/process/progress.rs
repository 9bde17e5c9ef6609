//! Telling the program that runs the cells how far a call has got.
//!
//! Cells run in a process that sees no terminal. Where the program has said, by an environment variable, that it
//! understands them, lines `VITREPL_PROGRESS {...}` go to standard output; elsewhere nothing is written.

use std::io::Write;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

static UNDERSTOOD: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os("VITREPL_PROGRESS").is_some());

/// Whether the program that runs the cells understands such lines.
pub(crate) fn understood() -> bool {
    *UNDERSTOOD
}

/// Between two lines.
const PAUSE: Duration = Duration::from_millis(100);

/// One bar: it begins when made and ends when dropped.
pub(crate) struct Progress {
    label: String,
    total: usize,
    last: Option<Instant>,
}

impl Progress {
    pub fn new(label: impl Into<String>, total: usize) -> Self {
        Self::resumed(label, 0, total)
    }

    /// A bar of work of which `done` of `total` was done before: its rate is that of the rest.
    pub fn resumed(label: impl Into<String>, done: usize, total: usize) -> Self {
        let mut progress = Self {
            label: label.into(),
            total,
            last: None,
        };
        progress.at(done, "");
        progress
    }

    /// `done` of the total, with a note behind the bar.
    pub fn at(&mut self, done: usize, note: &str) {
        if self.last.is_some_and(|last| last.elapsed() < PAUSE) || done >= self.total {
            return;
        }
        self.last = Some(Instant::now());
        self.write(done, note)
    }

    fn write(&self, done: usize, note: &str) {
        if !understood() {
            return;
        }
        let total = self.total.max(1);
        let line = serde_json::json!({
            "label": self.label, "done": done, "total": total, "note": note,
        });
        // A front end that has gone away does not stop the work.
        let _ = writeln!(std::io::stdout(), "VITREPL_PROGRESS {line}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.write(self.total.max(1), "")
    }
}
