//! How much of what the session keeps stays in memory.

use crate::process::memory::available;
use std::sync::{PoisonError, RwLock};

/// What a person has set.
static LIMIT: RwLock<Option<u64>> = RwLock::new(None);

/// Keep at most so many bytes.
pub(super) fn set(bytes: u64) {
    *LIMIT.write().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
}

/// The bytes that may be kept where so many are: what is set, or half of the memory that there would be without them; none
/// where that is not known.
pub(super) fn limit(kept: u64) -> Option<u64> {
    let set = *LIMIT.read().unwrap_or_else(PoisonError::into_inner);
    set.or_else(|| available().map(|free| (free + kept) / 2))
}
