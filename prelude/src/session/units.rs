//! Sizes and times for a person.

use std::time::Duration;

/// Bytes for a person.
pub(super) fn size(bytes: u64) -> String {
    crate::facts::size(bytes as usize)
}

/// A time for a person.
pub(super) fn duration(time: Duration) -> String {
    match time.as_secs() {
        s if s < 120 => format!("{s} s"),
        s if s < 2 * 3600 => format!("{} min", s / 60),
        s if s < 48 * 3600 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}
