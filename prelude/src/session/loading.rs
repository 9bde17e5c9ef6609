//! How images are brought to the models of this session.

use crate::Result;
use crate::data::ahead::Loading;
use std::sync::{PoisonError, RwLock};

static LOADING: RwLock<Option<Loading>> = RwLock::new(None);

/// Decode and compute by `loading` from now on: `set_loading(Loading { batch: 64, ..Loading::default() })?`. It changes
/// speed and memory, not what is computed.
///
/// # Errors
/// When a number is 0 or absurd.
pub fn set_loading(loading: Loading) -> Result<()> {
    loading.check()?;
    *LOADING.write().unwrap_or_else(PoisonError::into_inner) = Some(loading);
    Ok(())
}

/// What [`set_loading`] said last, or the default.
pub fn loading() -> Loading {
    let loading = *LOADING.read().unwrap_or_else(PoisonError::into_inner);
    loading.unwrap_or_default()
}
