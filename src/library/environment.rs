//! The environment of a process that has the library in it.

use super::folder::CompileFolder;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::PathBuf;

/// The variables that such a process is started with.
pub fn library_environment(folder: &CompileFolder) -> Result<Vec<(&'static str, OsString)>> {
    let settings = allocator_settings().into_iter();
    let mut variables: Vec<_> = settings.map(|(name, value)| (name, value.into())).collect();
    variables.push(("LD_LIBRARY_PATH", library_path(folder)?));
    Ok(variables)
}

/// Settings by which glibc's allocator keeps the memory of large values for the next ones. By default it gives each back to
/// the system, which hands it out again zeroed page by page: that was a fifth of a model's forward pass. Huge pages, where the
/// system gives them to programs that ask, spare the processor looking up the place of each small one: some 4 % of it. What
/// the user sets wins.
fn allocator_settings() -> Vec<(&'static str, &'static str)> {
    let is_set = |(name, _): (OsString, OsString)| {
        let name = name.to_string_lossy();
        name.starts_with("MALLOC_") || name == "GLIBC_TUNABLES"
    };
    if std::env::vars_os().any(is_set) {
        return Vec::new();
    }
    vec![
        // None is mapped on its own, the top of the heap is not given back, and it grows by 64 MiB.
        ("MALLOC_MMAP_MAX_", "0"),
        ("MALLOC_TRIM_THRESHOLD_", "1099511627776"),
        ("MALLOC_TOP_PAD_", "67108864"),
        ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),
    ]
}

/// The session's own copy of the library comes before any other that the environment names (`cargo run`
/// names the workspace's, which may be of another state).
fn library_path(folder: &CompileFolder) -> Result<OsString> {
    let inherited = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let paths = folder
        .shared_libraries()
        .into_iter()
        .map(PathBuf::from)
        .chain(std::env::split_paths(&inherited).filter(|path| !path.as_os_str().is_empty()));
    std::env::join_paths(paths).context("the compile folder has a name with a colon in it")
}
