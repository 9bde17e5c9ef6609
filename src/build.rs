//! Puts the library's sources into the program, so that an installed one needs no checkout.
//!
//! Writes `sources.rs` and `runtime.rs`: sorted lists of (path, bytes) of what the library, and what cells call beside it,
//! are compiled from.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Of the folder `prelude`; tests stay behind.
const PARTS: [&str; 5] = ["Cargo.toml", "assets", "benches", "src", "zoo"];

fn main() {
    let Some(root) = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from) else {
        panic!("cargo sets CARGO_MANIFEST_DIR");
    };
    let Some(out) = std::env::var_os("OUT_DIR").map(PathBuf::from) else {
        panic!("cargo sets OUT_DIR");
    };
    let library = root.join("prelude");
    write_list(&library, &PARTS, &out.join("sources.rs"));
    write_list(&library.join("runtime/src"), &[""], &out.join("runtime.rs"));
}

/// Writes the list of the files in `parts` of `folder`.
fn write_list(folder: &Path, parts: &[&str], to: &Path) {
    let mut files = Vec::new();
    for part in parts {
        let path = folder.join(part);
        println!("cargo:rerun-if-changed={}", path.display());
        collect(&path, &mut files);
    }
    files.sort();
    let mut list = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix(folder).unwrap_or(&file);
        // Formatting a string cannot fail.
        let _ = writeln!(
            list,
            "({:?}, include_bytes!({:?})),",
            name.display().to_string(),
            file.display().to_string()
        );
    }
    list.push_str("]\n");
    if let Err(error) = fs::write(to, list) {
        panic!("cannot write {}: {error}", to.display());
    }
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        files.push(path.to_path_buf());
        return;
    }
    let Ok(folder) = fs::read_dir(path) else {
        panic!("{} is missing from the checkout", path.display());
    };
    for entry in folder.flatten() {
        collect(&entry.path(), files);
    }
}
