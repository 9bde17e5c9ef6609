//! Asking a running call to stop at its next step.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// Set by Ctrl-C (`SIGINT`) or [`request_stop`]; read by the calls that can stop.
static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
    let stop = Arc::new(AtomicBool::new(false));
    // Where the handler cannot be had, Ctrl-C does what it does elsewhere.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGINT, stop.clone());
    stop
});

/// Ask the call that runs now to stop at its next step, as Ctrl-C does.
pub fn request_stop() {
    STOP.store(true, Ordering::Relaxed)
}

/// A call begins: an older request was not meant for it.
pub(crate) fn begin() {
    STOP.store(false, Ordering::Relaxed)
}

/// Whether the running call has been asked to stop.
pub(crate) fn requested() -> bool {
    STOP.load(Ordering::Relaxed)
}
