//! What the tests of several files share.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod golden;

use std::sync::LazyLock;
use vitrepl_prelude::Result;
use vitrepl_prelude::session::set_cache_folder;

/// The cache of a test file's process, in a folder of its own once this is forced.
pub static CACHE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    set_cache_folder(folder.path());
    folder
});

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
