//! What the tests of several files share.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod golden;

use candle_core::Device;
use std::sync::LazyLock;
use vitrepl_prelude::Result;
use vitrepl_prelude::session::{set_cache_folder, set_device};

/// The cache of a test file's process, in a folder of its own once this is forced.
pub static CACHE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    set_cache_folder(folder.path());
    folder
});

/// The device to compute on: the one that `VITREPL_TEST_DEVICE` names, or the CPU.
pub fn device() -> Device {
    let name = std::env::var("VITREPL_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
    set_device(&name).unwrap_or_else(|e| panic!("VITREPL_TEST_DEVICE={name}: {e}"))
}

/// The message of an error, which must contain each of `parts`.
#[track_caller]
pub fn refused<T>(result: Result<T>, parts: &[&str]) -> String {
    let Err(error) = result else {
        panic!("was accepted, expected an error about {parts:?}")
    };
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "\"{part}\" is not in: {text}");
    }
    text
}
