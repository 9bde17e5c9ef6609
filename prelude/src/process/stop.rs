//! Asking a running call to stop at its next step.
//!
//! Ctrl-C (`SIGINT`) is meant for the cell that runs, with all calls it still makes. The program that runs the cells
//! says with `SIGURG`, which means nothing to others, that a new one begins; where there is no such program, every call
//! begins anew.

use super::progress;
use signal_hook::consts::{SIGINT, SIGURG};
use signal_hook::flag::register_usize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

const GO_ON: usize = 0;
const STOP: usize = 1;

/// Both signals write to the same place, so the later one counts.
static ASKED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(|| {
    let asked = Arc::new(AtomicUsize::new(GO_ON));
    // Where a handler cannot be had, Ctrl-C does what it does elsewhere.
    let _ = register_usize(SIGINT, asked.clone(), STOP);
    let _ = register_usize(SIGURG, asked.clone(), GO_ON);
    asked
});

/// Ask the call that runs now to stop at its next step, as Ctrl-C does.
pub fn request_stop() {
    ASKED.store(STOP, Ordering::Relaxed)
}

/// A call begins: an older request was not meant for it, unless it was for the cell that the call is in.
pub(crate) fn begin() {
    if !progress::understood() {
        ASKED.store(GO_ON, Ordering::Relaxed)
    }
}

/// Whether the running call has been asked to stop.
pub(crate) fn requested() -> bool {
    ASKED.load(Ordering::Relaxed) == STOP
}
