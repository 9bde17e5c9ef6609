//! Where cells and the library are compiled, kept between runs so that later starts are warm.
//!
//! ```text
//! <cache>/compile/<key>/        key: versions of vitrepl and rustc
//!     .cargo/config.toml        profile of everything below
//!     library/                  a crate with the library as its dependency, compiled first
//!     session-0/ session-1/     evcxr's folders, one for each running session, filled from library/
//! ```
//!
//! evcxr builds in a folder that no other session may use at the same time: each is held by a lock on a
//! file, which ends with the process however that ends.

use anyhow::{Context, Result, bail};
use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the cache folder.
const CACHE_VARIABLE: &str = "VITREPL_CACHE_DIR";

/// Names the folder of the library's crate.
const PRELUDE_VARIABLE: &str = "VITREPL_PRELUDE";

/// More sessions than this at a time are taken for a mistake.
const MOST_SESSIONS: usize = 64;

/// Everything is optimised, and what evcxr's own manifest switches on for debugging (it slows the
/// library's inner loops) is switched off again, except for the cells themselves. The library is compiled
/// once and run long, so not incrementally.
const CARGO_CONFIG: &str = r#"[profile.dev]
opt-level = 3
debug-assertions = false
overflow-checks = false

[profile.dev.package.ctx]
debug-assertions = true
overflow-checks = true

[profile.dev.package.vitrepl-prelude]
incremental = false
"#;

/// The dependencies' versions when there is no lock file beside the library's crate.
const LOCK_FILE: &str = include_str!("../Cargo.lock");

/// The library's crate.
pub struct Library {
    folder: PathBuf,
}

impl Library {
    /// Finds the crate: the folder named by `VITREPL_PRELUDE`, or the one this program was built beside.
    pub fn find() -> Result<Self> {
        let named = std::env::var_os(PRELUDE_VARIABLE).map(PathBuf::from);
        let folder = named
            .clone()
            .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("prelude"));
        if !folder.join("Cargo.toml").is_file() {
            let origin = match named {
                Some(_) => format!("which {PRELUDE_VARIABLE} names"),
                None => "where it was when vitrepl was built".to_owned(),
            };
            bail!(
                "the library's crate is not at {}, {origin}; set {PRELUDE_VARIABLE} to the folder \
                 `prelude` of a checkout of vitrepl {}",
                folder.display(),
                env!("CARGO_PKG_VERSION"),
            );
        }
        let folder = folder
            .canonicalize()
            .with_context(|| format!("cannot open {}", folder.display()))?;
        Ok(Library { folder })
    }

    /// The line of a manifest that makes the crate a dependency, without its name.
    pub fn dependency(&self) -> String {
        let path = self
            .folder
            .to_string_lossy()
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        let features = if cfg!(feature = "cuda") {
            "\"cuda\""
        } else {
            ""
        };
        format!("{{ path = \"{path}\", features = [{features}] }}")
    }

    fn lock_file(&self) -> String {
        fs::read_to_string(self.folder.join("../Cargo.lock"))
            .unwrap_or_else(|_| LOCK_FILE.to_owned())
    }
}

/// The folder of one session, its own until it is dropped.
pub struct CompileFolder {
    pub library: Library,
    /// evcxr's folder.
    pub session: PathBuf,
    /// The folder in which the library is compiled first.
    pub shared: PathBuf,
    /// The compiler's target, for example `x86_64-unknown-linux-gnu`.
    pub target: String,
    std_library: PathBuf,
    _lock: File,
}

impl CompileFolder {
    /// Takes the first folder that no other session has.
    pub fn open() -> Result<Self> {
        let library = Library::find()?;
        let cache = cache_folder()?;
        refuse_workspace(&cache)?;
        let rustc = ask_rustc(&cache, &["-vV"])?;
        let target = rustc
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .context("`rustc -vV` names no host")?
            .to_owned();
        let std_library = ask_rustc(&cache, &["--print", "target-libdir"])?;
        let root = cache.join("compile").join(key(&rustc));
        write_changed(&root.join(".cargo/config.toml"), CARGO_CONFIG)?;
        let shared = root.join("library");
        let (session, lock) = free_session(&root)?;
        let folder = CompileFolder {
            library,
            session,
            shared,
            target,
            std_library: PathBuf::from(std_library.trim()),
            _lock: lock,
        };
        folder.configure_evcxr()?;
        Ok(folder)
    }

    /// Where the shared libraries lie that a cell needs: the library, and Rust's own (the path that
    /// cells carry to it counts from `deps`, but evcxr loads them from the folder above).
    pub fn shared_libraries(&self) -> [PathBuf; 2] {
        let target = self.session.join("target").join(&self.target);
        [target.join("debug/deps"), self.std_library.clone()]
    }

    /// Waits for other sessions to leave `shared`, and takes it while the result is held.
    pub fn lock_shared(&self) -> Result<File> {
        let lock = open_lock(&self.shared.with_extension("lock"))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            eprintln!("Another session is compiling the library; waiting for it.");
        }
        lock.lock().context("cannot lock the compile folder")?;
        Ok(lock)
    }

    /// Has `shared` compile the dependencies in the versions of the library's own lock file. Cargo
    /// drops from a lock file what a crate does not need, so the one it was made from is kept beside it.
    pub fn choose_versions(&self) -> Result<()> {
        let versions = self.library.lock_file();
        let chosen = self.shared.join("versions.lock");
        if fs::read_to_string(&chosen).is_ok_and(|present| present == versions) {
            return Ok(());
        }
        write_changed(&self.shared.join("Cargo.lock"), &versions)?;
        write_changed(&chosen, &versions)
    }

    /// Brings what is compiled in `shared` into this session's folder, with the same versions.
    pub fn fill(&self) -> Result<()> {
        mirror(&self.shared.join("target"), &self.session.join("target"))
            .and_then(|()| self.pin_versions())
            .with_context(|| {
                format!(
                    "cannot copy compiled code to {} (is the disk full?)",
                    self.session.display()
                )
            })
    }

    /// Sets the versions of all dependencies to those of `shared`.
    pub fn pin_versions(&self) -> std::io::Result<()> {
        fs::copy(
            self.shared.join("Cargo.lock"),
            self.session.join("Cargo.lock"),
        )
        .map(|_| ())
    }

    /// evcxr reads this file when it starts in this folder.
    fn configure_evcxr(&self) -> Result<()> {
        let path = self.session.to_string_lossy();
        let config = format!("[evcxr]\ntmpdir = {path:?}\nopt_level = \"3\"\n");
        write_changed(&self.session.join("evcxr.toml"), &config)
    }
}

/// Where everything that is kept lies.
pub fn cache_folder() -> Result<PathBuf> {
    let folder = match std::env::var_os(CACHE_VARIABLE) {
        Some(named) => PathBuf::from(named),
        None => dirs::cache_dir()
            .with_context(|| format!("the user has no cache folder; name one in {CACHE_VARIABLE}"))?
            .join("vitrepl"),
    };
    fs::create_dir_all(&folder)
        .and_then(|()| folder.canonicalize())
        .with_context(|| {
            format!(
                "cannot use the cache folder {} (name another in {CACHE_VARIABLE})",
                folder.display()
            )
        })
}

/// Cargo takes a crate below a workspace for a member of it.
fn refuse_workspace(cache: &Path) -> Result<()> {
    for folder in cache.ancestors() {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        if manifest.lines().any(|line| line.trim() == "[workspace]") {
            bail!(
                "the cache folder {} lies in the cargo workspace {}; name one outside in {CACHE_VARIABLE}",
                cache.display(),
                folder.display(),
            );
        }
    }
    Ok(())
}

/// Runs rustc in `folder`, where evcxr will run it (rustup may choose one by folder).
fn ask_rustc(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("rustc")
        .args(arguments)
        .current_dir(folder)
        .output()
        .context(
            "cannot run rustc, which compiles the cells; install Rust from https://rustup.rs",
        )?;
    if !output.status.success() {
        bail!(
            "`rustc {}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn key(rustc: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (rustc, CARGO_CONFIG).hash(&mut hasher);
    let features = if cfg!(feature = "cuda") { "-cuda" } else { "" };
    format!(
        "{}{features}-{:016x}",
        env!("CARGO_PKG_VERSION"),
        hasher.finish()
    )
}

fn free_session(root: &Path) -> Result<(PathBuf, File)> {
    for number in 0..MOST_SESSIONS {
        let session = root.join(format!("session-{number}"));
        fs::create_dir_all(&session)
            .with_context(|| format!("cannot create {}", session.display()))?;
        let lock = open_lock(&session.with_extension("lock"))?;
        match lock.try_lock() {
            Ok(()) => return Ok((session, lock)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).context("the cache folder's file system has no locks");
            }
        }
    }
    bail!("{MOST_SESSIONS} sessions are running already; end one of them")
}

fn open_lock(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

fn write_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Copies what is missing or older in `to`, with its times, by which cargo knows what is fresh. What
/// belongs to the cells' own crate is left alone.
fn mirror(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let of_cells = ["ctx.", "ctx-", "libctx."]
            .iter()
            .any(|start| text.starts_with(start));
        if of_cells || text == "incremental" || text == ".cargo-lock" {
            continue;
        }
        let target = to.join(&name);
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            mirror(&entry.path(), &target)?;
        } else if !is_same(&metadata, &target) {
            copy(&entry.path(), &metadata, &target)?;
        }
    }
    Ok(())
}

fn is_same(metadata: &fs::Metadata, other: &Path) -> bool {
    fs::metadata(other).is_ok_and(|other| {
        other.len() == metadata.len() && other.modified().ok() == metadata.modified().ok()
    })
}

fn copy(from: &Path, metadata: &fs::Metadata, to: &Path) -> std::io::Result<()> {
    // Written anew rather than over the old: a running program may have that one mapped.
    if let Err(error) = fs::remove_file(to)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error);
    }
    fs::copy(from, to)?;
    let times = fs::FileTimes::new().set_modified(metadata.modified()?);
    File::options().append(true).open(to)?.set_times(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_keeps_times_and_leaves_cells_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("deps")).unwrap();
        fs::write(from.join("deps/libcandle.rlib"), "code").unwrap();
        fs::write(from.join("deps/libctx.so"), "cell").unwrap();
        mirror(&from, &to).unwrap();
        let time = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(
            time(&from.join("deps/libcandle.rlib")),
            time(&to.join("deps/libcandle.rlib"))
        );
        assert!(!to.join("deps/libctx.so").exists());
    }

    #[test]
    fn a_cache_inside_a_workspace_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.toml"), "[workspace]\n").unwrap();
        let error = refuse_workspace(&folder.path().join("cache")).unwrap_err();
        assert!(error.to_string().contains(CACHE_VARIABLE), "{error}");
    }
}
