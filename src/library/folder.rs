//! Where cells and the library are compiled, kept between runs so that later starts are warm.
//!
//! ```text
//! <cache>/compile/<key>/        key: versions of vitrepl and rustc, flags of the latter, and whether std's sources are there
//!     .cargo/config.toml        profile of everything below
//!     source/                   the library's sources, where the program carries them
//!     library/                  a crate with the library as its dependency, and cargo's target folder
//!     ready-<fingerprint>/      the compiled library and runtime that cells are given, and in `deps` what the
//!                               compiler reads of the crates below: whole or not there
//!     session-0/ session-1/     evcxr's folders, one for each running session
//! ```
//!
//! evcxr builds in a folder that no other session may use at the same time: each is held by a lock on a
//! file, which ends with the process however that ends. All sessions share what is in `ready`.

use super::sources::{Library, write_changed};
use crate::eval::environment;
use crate::ide::rust_docs;
use crate::output::FrontEnd;
use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Names the cache folder.
const CACHE_VARIABLE: &str = "VITREPL_CACHE_DIR";

/// What other versions have left, and nobody has used for this long, is removed.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Everything is optimised, and what evcxr's own manifest switches on for debugging (it slows the
/// library's inner loops) is switched off again, except for the cells themselves. The library is compiled
/// once and run long, so not incrementally. Neither are cells: each is small and another crate, of which nothing is
/// found again.
const CARGO_CONFIG: &str = r#"[profile.dev]
opt-level = 3
debug-assertions = false
overflow-checks = false

[profile.dev.package.ctx]
debug-assertions = true
overflow-checks = true
incremental = false
codegen-units = 1

[profile.dev.package.vitrepl-prelude]
incremental = false
"#;

/// The folder of one session, its own until it is dropped.
pub struct CompileFolder {
    pub library: Library,
    /// evcxr's folder.
    pub session: PathBuf,
    /// The compiled library, if `is_ready`.
    pub ready: PathBuf,
    /// The folder in which the library is compiled.
    pub shared: PathBuf,
    /// What rustc is told when it compiles the library: what cells need, and the user's own flags.
    pub rustc_flags: Vec<String>,
    /// The compiler's target, for example `x86_64-unknown-linux-gnu`.
    pub target: String,
    /// Where Rust's own shared library lies.
    pub std_library: PathBuf,
    root: PathBuf,
    /// Held as long as the session runs: its own folder, and with others the library.
    locks: [File; 2],
}

impl CompileFolder {
    /// Takes the first folder that no other session has.
    pub fn open() -> Result<Self> {
        let library = Library::find()?;
        let cache = cache_folder()?;
        refuse_workspace(&cache)?;
        refuse_writable(&cache)?;
        let rustc = ask_rustc(&cache)?;
        let rustc_flags = rustc_flags(|name| std::env::var(name).ok());
        let (std_library, version) = rustc.split_once('\n').unwrap_or((&rustc, ""));
        let target = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .context("`rustc -vV` names no host")?
            .to_owned();
        let has_sources = rust_docs::library(Path::new(std_library)).is_some();
        let key = key(version, &rustc_flags, has_sources);
        let root = cache.join("compile").join(key);
        let ready = root.join(format!("ready-{:016x}", library.fingerprint()?));
        write(&root.join(".cargo/config.toml"), CARGO_CONFIG)?;
        let (session, lock) = free_session(&root)?;
        let in_use = open_lock(&ready.with_extension("lock"))?;
        in_use
            .lock_shared()
            .context("the cache folder's file system has no locks")?;
        // By this time it is known which folders are stale.
        let _ = in_use.set_modified(SystemTime::now());
        let folder = CompileFolder {
            library,
            session,
            ready,
            shared: root.join("library"),
            rustc_flags,
            target,
            std_library: PathBuf::from(std_library),
            root,
            locks: [lock, in_use],
        };
        folder.configure_evcxr()?;
        Ok(folder)
    }

    /// Whether the library is compiled.
    pub fn is_ready(&self) -> bool {
        self.ready.is_dir()
    }

    /// Where the sources that the program carries are unpacked.
    pub fn sources(&self) -> PathBuf {
        self.root.join("source")
    }

    /// Where the shared libraries lie that a cell needs: the library, and Rust's own.
    pub fn shared_libraries(&self) -> [&Path; 2] {
        [&self.ready, &self.std_library]
    }

    /// Lets a program that takes the place of this process hold the library as this process does.
    pub fn stay_for_successor(&self) -> Result<()> {
        let [_, in_use] = &self.locks;
        fcntl(in_use, FcntlArg::F_SETFD(FdFlag::empty())).context("cannot hold the library")?;
        Ok(())
    }

    /// Waits for other sessions to leave `shared`, and takes it while the result is held.
    pub fn lock_shared(&self, output: &FrontEnd) -> Result<File> {
        let lock = open_lock(&self.shared.with_extension("lock"))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            output.err("Another session is compiling the library; waiting for it.");
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
        write(&self.shared.join("Cargo.lock"), &versions)?;
        write(&chosen, &versions)
    }

    /// Removes what other versions of vitrepl, the library or rustc have left and nobody uses any more.
    pub fn clean(&self) {
        let roots = self.root.parent().map(entries).unwrap_or_default();
        for root in roots.iter().filter(|root| root.is_dir()) {
            for lock in entries(root) {
                let name = lock.file_name().unwrap_or_default().to_string_lossy();
                if name.starts_with("ready-") && name.ends_with(".lock") {
                    remove_stale(&lock, &lock.with_extension(""));
                }
            }
            let is_used = entries(root)
                .iter()
                .any(|path| path.extension().is_some_and(|end| end == "lock") && is_fresh(path));
            if *root != self.root && !is_used {
                // What cannot be removed is tried again the next time.
                let _ = fs::remove_dir_all(root);
            }
        }
    }

    /// evcxr reads this file when it starts in this folder.
    fn configure_evcxr(&self) -> Result<()> {
        let path = self.session.to_string_lossy();
        let config = format!("[evcxr]\ntmpdir = {path:?}\nopt_level = \"3\"\n");
        write(&self.session.join("evcxr.toml"), &config)
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Whether a lock is held, or was taken not long ago.
fn is_fresh(lock: &Path) -> bool {
    let age = fs::metadata(lock)
        .and_then(|about| about.modified())
        .ok()
        .and_then(|taken| taken.elapsed().ok());
    age.is_none_or(|age| age < STALE)
        || File::open(lock)
            .is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

fn remove_stale(lock: &Path, folder: &Path) {
    if !is_fresh(lock) {
        // What cannot be removed is tried again the next time.
        let _ = fs::remove_dir_all(folder);
        let _ = fs::remove_file(lock);
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
    // Programs that are run lie in it.
    let mut builder = fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(&folder)
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

/// What others could write into the cache folder would be run as the user.
fn refuse_writable(cache: &Path) -> Result<()> {
    const GROUP_AND_OTHERS: u32 = 0o022;
    let about = fs::metadata(cache)
        .with_context(|| format!("cannot look at the cache folder {}", cache.display()))?;
    let user = nix::unistd::geteuid().as_raw();
    let name = cache.display();
    if about.uid() != user {
        bail!(
            "the cache folder {name} belongs to another user (number {}), whose programs would be run here; name one of \
             your own in {CACHE_VARIABLE}",
            about.uid()
        );
    }
    if about.mode() & GROUP_AND_OTHERS != 0 {
        bail!(
            "other users can write to the cache folder {name}, and what they put there would be run here: chmod go-w \
             {name}, or name another folder in {CACHE_VARIABLE}"
        );
    }
    Ok(())
}

/// What rustc is told when it compiles the library. Flags of the user's own come last: they may choose a processor.
fn rustc_flags(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let encoded = variable(environment::USERS_FLAGS);
    let own: Vec<String> = match encoded {
        Some(flags) => flags.split('\u{1f}').map(str::to_owned).collect(),
        None => {
            let flags = variable("RUSTFLAGS").unwrap_or_default();
            flags.split_whitespace().map(str::to_owned).collect()
        }
    };
    let own = own.into_iter().filter(|flag| !flag.is_empty());
    std::iter::once("-Cprefer-dynamic".to_owned())
        .chain(own)
        .collect()
}

/// Where rustc's own shared library lies, and what `rustc -vV` prints, in `folder`: where evcxr will run it (rustup
/// may choose one by folder).
fn ask_rustc(folder: &Path) -> Result<String> {
    if let Some(other) = std::env::var_os("RUSTC") {
        bail!(
            "RUSTC is set to {}, and cells are compiled by the rustc that PATH leads to: unset RUSTC, and put the folder \
             of that compiler first in PATH",
            other.display()
        );
    }
    let ask = |arguments: &[&str]| {
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
    };
    // Side by side: each takes as long as a cell's compilation should.
    std::thread::scope(|scope| {
        let libraries = scope.spawn(|| ask(&["--print", "target-libdir"]));
        let version = ask(&["-vV"])?;
        match libraries.join() {
            Ok(libraries) => Ok(format!("{}\n{version}", libraries?.trim())),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// What is compiled with these belongs together. Where the standard library's sources are installed, rustc names places in
/// its macros otherwise, and takes a crate for another one: a crate that a cell adds and the library would each have
/// their own of what both depend on.
fn key(rustc: &str, flags: &[String], has_sources: bool) -> String {
    let mut hasher = DefaultHasher::new();
    (rustc, flags, CARGO_CONFIG, has_sources).hash(&mut hasher);
    let features = if cfg!(feature = "cuda") { "-cuda" } else { "" };
    format!(
        "{}{features}-{:016x}",
        env!("CARGO_PKG_VERSION"),
        hasher.finish()
    )
}

fn free_session(root: &Path) -> Result<(PathBuf, File)> {
    let mut number = 0;
    loop {
        let session = root.join(format!("session-{number}"));
        fs::create_dir_all(&session)
            .with_context(|| format!("cannot create {}", session.display()))?;
        let lock = open_lock(&session.with_extension("lock"))?;
        match lock.try_lock() {
            Ok(()) => return Ok((session, lock)),
            Err(TryLockError::WouldBlock) => number += 1,
            Err(TryLockError::Error(error)) => {
                return Err(error).context("the cache folder's file system has no locks");
            }
        }
    }
}

fn open_lock(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    write_changed(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_nobody_has_used_for_long_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * STALE;
        let make = |name: &str, time: SystemTime| {
            let path = folder.path().join(name);
            fs::create_dir_all(&path).unwrap();
            let lock = open_lock(&path.with_extension("lock")).unwrap();
            lock.set_modified(time).unwrap();
            (path, lock)
        };
        let (stale, _) = make("ready-1", old);
        let (fresh, _) = make("ready-2", SystemTime::now());
        let (held, lock) = make("ready-3", old);
        lock.lock_shared().unwrap();
        for path in [&stale, &fresh, &held] {
            remove_stale(&path.with_extension("lock"), path);
        }
        assert!(!stale.exists() && fresh.exists() && held.exists());
    }

    #[test]
    fn a_cache_inside_a_workspace_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.toml"), "[workspace]\n").unwrap();
        let error = refuse_workspace(&folder.path().join("cache")).unwrap_err();
        assert!(error.to_string().contains(CACHE_VARIABLE), "{error}");
    }

    #[test]
    fn a_cache_that_others_can_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        refuse_writable(folder.path()).unwrap();
        for mode in [0o777, 0o770, 0o702] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            let error = refuse_writable(folder.path()).unwrap_err().to_string();
            assert!(error.contains("chmod go-w"), "{error}");
        }
    }

    #[test]
    fn flags_of_the_user_are_for_the_library_too_and_make_another_folder() {
        let none = rustc_flags(|_| None);
        assert_eq!(none, ["-Cprefer-dynamic"]);
        let plain = rustc_flags(|name| (name == "RUSTFLAGS").then(|| "-C  debuginfo=1".to_owned()));
        assert_eq!(plain, ["-Cprefer-dynamic", "-C", "debuginfo=1"]);
        let encoded = rustc_flags(|name| {
            let flags = if name == "RUSTFLAGS" {
                "-A"
            } else {
                "--cfg\u{1f}x y"
            };
            Some(flags.to_owned())
        });
        assert_eq!(encoded, ["-Cprefer-dynamic", "--cfg", "x y"]);
        assert_ne!(key("1.95", &none, false), key("1.95", &plain, false));
        assert_ne!(key("1.95", &none, false), key("1.95", &none, true));
        assert_eq!(key("1.95", &none, true), key("1.95", &none, true));
    }
}
