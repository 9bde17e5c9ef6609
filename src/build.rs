//! Puts the library's sources into the program, so that an installed one needs no checkout.
//!
//! Writes `sources.rs`: a sorted list of (path, bytes) of what the library is compiled from.

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
    let mut files = Vec::new();
    for part in PARTS {
        let path = root.join("prelude").join(part);
        println!("cargo:rerun-if-changed={}", path.display());
        collect(&path, &mut files);
    }
    files.sort();
    let mut list = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix(root.join("prelude")).unwrap_or(&file);
        // Formatting a string cannot fail.
        let _ = writeln!(
            list,
            "({:?}, include_bytes!({:?})),",
            name.display().to_string(),
            file.display().to_string()
        );
    }
    list.push_str("]\n");
    if let Err(error) = fs::write(out.join("sources.rs"), list) {
        panic!("cannot write to {}: {error}", out.display());
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
