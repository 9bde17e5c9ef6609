//! The library that cells see: its sources, which the program carries with it, and where they are unpacked.

use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Names the folder of the library's crate, where it is not the one the program carries.
pub const PRELUDE_VARIABLE: &str = "VITREPL_PRELUDE";

/// Crate of the library, and what is imported from it.
pub const CRATE: &str = "vitrepl-prelude";
pub const IMPORT: &str = "use vitrepl_prelude::prelude::*;";

/// Name of the crate in code.
pub const CRATE_IN_CODE: &str = "vitrepl_prelude";

/// The library's own files, by path.
const SOURCES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// The workspace's manifest, from which the library's inherits.
const WORKSPACE: &str = include_str!("../../Cargo.toml");

/// Versions of all dependencies.
const LOCK_FILE: &str = include_str!("../../Cargo.lock");

/// What the cells call, compiled beside the library: files by path.
pub const RUNTIME: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/runtime.rs"));

/// Where the library's sources are.
pub enum Library {
    /// In this program.
    Carried,
    /// In a folder of the user's.
    Folder(PathBuf),
}

impl Library {
    /// The folder named by `VITREPL_PRELUDE`, or what this program carries.
    pub fn find() -> Result<Self> {
        let Some(named) = std::env::var_os(PRELUDE_VARIABLE).map(PathBuf::from) else {
            return Ok(Library::Carried);
        };
        if !named.join("Cargo.toml").is_file() {
            bail!(
                "the library's crate is not at {}; set {PRELUDE_VARIABLE} to the folder `prelude` of a checkout of \
                 vitrepl {}, or leave it unset for the library that vitrepl carries",
                named.display(),
                env!("CARGO_PKG_VERSION"),
            );
        }
        let folder = named
            .canonicalize()
            .with_context(|| format!("cannot open {}", named.display()))?;
        Ok(Library::Folder(folder))
    }

    /// A number that changes with the sources, the versions of dependencies and how cells are compiled against them.
    pub fn fingerprint(&self) -> Result<u64> {
        let mut hasher = DefaultHasher::new();
        RUNTIME.hash(&mut hasher);
        match self {
            Library::Carried => (SOURCES, workspace_manifest(), LOCK_FILE).hash(&mut hasher),
            Library::Folder(folder) => {
                self.lock_file().hash(&mut hasher);
                for part in ["Cargo.toml", "assets", "src", "zoo"] {
                    hash_files(&folder.join(part), &mut hasher)
                        .with_context(|| format!("cannot read {}", folder.display()))?;
                }
            }
        }
        Ok(hasher.finish())
    }

    /// The library's code: paths below `src`, and texts.
    pub fn code(&self) -> Vec<(PathBuf, String)> {
        match self {
            Library::Carried => SOURCES
                .iter()
                .filter_map(|(path, bytes)| {
                    let path = Path::new(path).strip_prefix("src").ok()?;
                    Some((path.to_path_buf(), String::from_utf8(bytes.to_vec()).ok()?))
                })
                .collect(),
            Library::Folder(folder) => code_below(&folder.join("src"), Path::new("")),
        }
    }

    /// The library's programs: the names and texts of `src/bin`, by name. They are looked up at each start, so that nothing
    /// else is read for them.
    pub fn programs(&self) -> Vec<(String, String)> {
        let files: Vec<(PathBuf, String)> = match self {
            Library::Carried => SOURCES
                .iter()
                .filter_map(|(path, bytes)| {
                    let path = Path::new(path).strip_prefix("src/bin").ok()?;
                    Some((path.to_path_buf(), String::from_utf8(bytes.to_vec()).ok()?))
                })
                .collect(),
            Library::Folder(folder) => code_below(&folder.join("src/bin"), Path::new("")),
        };
        let named = files.into_iter().filter_map(|(path, text)| {
            let name = path.to_str()?.strip_suffix(".rs")?;
            (!name.contains('/')).then(|| (name.to_owned(), text))
        });
        let mut programs: Vec<_> = named.collect();
        programs.sort();
        programs
    }

    /// The versions of dependencies that it is compiled with.
    pub fn lock_file(&self) -> String {
        match self {
            Library::Carried => LOCK_FILE.to_owned(),
            Library::Folder(folder) => fs::read_to_string(folder.join("../Cargo.lock"))
                .unwrap_or_else(|_| LOCK_FILE.to_owned()),
        }
    }

    /// The folder of the crate, unpacked below `folder` where the program carries it.
    pub fn unpack(&self, folder: &Path) -> Result<PathBuf> {
        match self {
            Library::Carried => {
                unpack(folder).with_context(|| {
                    format!(
                        "cannot unpack the library into {} (is the disk full?)",
                        folder.display()
                    )
                })?;
                Ok(folder.join("prelude"))
            }
            Library::Folder(crate_folder) => Ok(crate_folder.clone()),
        }
    }
}

/// Makes `folder` hold what the program carries, file for file. What is right stays untouched, so that cargo does
/// not compile it again; what was left half written is written anew.
fn unpack(folder: &Path) -> std::io::Result<()> {
    let crate_folder = folder.join("prelude");
    let wanted: BTreeSet<PathBuf> = SOURCES
        .iter()
        .map(|(path, _)| crate_folder.join(path))
        .collect();
    if crate_folder.is_dir() {
        remove_others(&crate_folder, &wanted)?;
    }
    write_changed(&folder.join("Cargo.toml"), workspace_manifest().as_bytes())?;
    for (path, bytes) in SOURCES {
        write_changed(&crate_folder.join(path), bytes)?;
    }
    Ok(())
}

fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Writes a file unless it holds these bytes; one that is there afterwards is whole.
pub fn write_changed(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let part = path.with_file_name(format!(
        ".part-{}-{}",
        std::process::id(),
        path.file_name().unwrap_or_default().display()
    ));
    fs::write(&part, bytes)
        .and_then(|()| fs::rename(&part, path))
        .inspect_err(|_| {
            // What is left of it is overwritten some day; the error itself is what matters.
            let _ = fs::remove_file(&part);
        })
}

/// The part of the workspace's manifest that a workspace of the library alone needs.
fn workspace_manifest() -> String {
    let mut manifest = String::new();
    let mut is_of_workspace = false;
    for line in WORKSPACE.lines() {
        if line.starts_with('[') {
            is_of_workspace = line.starts_with("[workspace");
        }
        if line.starts_with("members") {
            manifest.push_str("members = [\"prelude\"]\n");
        } else if is_of_workspace {
            manifest.push_str(line);
            manifest.push('\n');
        }
    }
    manifest
}

/// The texts below a folder; what cannot be read is left out.
fn code_below(folder: &Path, inner: &Path) -> Vec<(PathBuf, String)> {
    let path = folder.join(inner);
    if let Ok(text) = fs::read_to_string(&path) {
        return vec![(inner.to_path_buf(), text)];
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| code_below(folder, &inner.join(entry.file_name())))
        .collect()
}

fn hash_files(path: &Path, hasher: &mut impl Hasher) -> std::io::Result<()> {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()?;
        entries.sort();
        return entries
            .iter()
            .try_for_each(|entry| hash_files(entry, hasher));
    }
    path.hash(hasher);
    fs::read(path)?.hash(hasher);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unpacked_is_whole_again_after_any_damage() {
        let folder = tempfile::tempdir().unwrap();
        let library = Library::Carried.unpack(folder.path()).unwrap();
        let time = |path: &str| {
            fs::metadata(library.join(path))
                .unwrap()
                .modified()
                .unwrap()
        };
        let untouched = time("src/prelude.rs");
        fs::write(library.join("src/lib.rs"), "half").unwrap();
        fs::remove_file(library.join("Cargo.toml")).unwrap();
        fs::write(library.join("src/stray.rs"), "").unwrap();
        Library::Carried.unpack(folder.path()).unwrap();
        for (path, bytes) in SOURCES {
            assert!(fs::read(library.join(path)).unwrap() == *bytes, "{path}");
        }
        assert!(!library.join("src/stray.rs").exists());
        assert_eq!(time("src/prelude.rs"), untouched);
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace.dependencies]") && !manifest.contains("[package]"));
    }

    #[test]
    fn a_changed_source_has_another_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["assets", "src", "zoo"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        let library = Library::Folder(folder.path().to_path_buf());
        let before = library.fingerprint().unwrap();
        assert_eq!(library.fingerprint().unwrap(), before);
        fs::write(folder.path().join("src/lib.rs"), "x").unwrap();
        assert_ne!(library.fingerprint().unwrap(), before);
    }
}
