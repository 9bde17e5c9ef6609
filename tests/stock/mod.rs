//! A folder in which stock evcxr finds the library compiled already: what vitrepl has compiled for its own cells, under
//! the same paths and by the same flags. To compile it once more would take as long as the first time.

use std::ffi::OsString;
use std::io::{Error, Result, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where stock evcxr compiles, and what it needs for that.
pub struct StockFolder {
    /// Folder of all that a version of vitrepl has compiled.
    root: PathBuf,
    /// Where Rust's own shared library lies.
    std_library: PathBuf,
}

impl StockFolder {
    /// Fills the folder; the session that is started to ask for what is in it compiles the library if need be.
    pub fn prepare(vitrepl: &mut Command) -> Result<Self> {
        let mut session = vitrepl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut statements) = session.stdin.take() {
            writeln!(
                statements,
                "println!(\"{{}}\", std::env::var(\"LD_LIBRARY_PATH\")?);"
            )?;
        }
        let shown = session.wait_with_output()?.stdout;
        let paths = String::from_utf8_lossy(&shown).trim().to_owned();
        let mut paths = paths.split(':').map(PathBuf::from);
        let (Some(ready), Some(std_library)) = (paths.next(), paths.next()) else {
            return Err(Error::other("a session shows no LD_LIBRARY_PATH"));
        };
        let root = ready.parent().map(Path::to_owned).unwrap_or_default();
        let (library, stock) = (root.join("library"), root.join("stock"));
        if stock.exists() {
            std::fs::remove_dir_all(&stock)?;
        }
        link_all(&library.join("target"), &stock.join("target"))?;
        write_tools(&stock.join("bin"), &library.join("versions.lock"))?;
        Ok(StockFolder { root, std_library })
    }

    /// Has a command that is stock evcxr, or starts it, compile there. The library is `prelude` in its current folder.
    pub fn set(&self, command: &mut Command) -> Result<()> {
        let version = Command::new("rustc").arg("-vV").output()?.stdout;
        let version = String::from_utf8_lossy(&version).into_owned();
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.ok_or_else(|| Error::other("rustc -vV names no host"))?;
        let stock = self.root.join("stock");
        let compiled = stock.join("target").join(host).join("debug/deps");
        let libraries = std::env::join_paths([&compiled, &self.std_library]);
        command
            .env("EVCXR_TMPDIR", &stock)
            .env("PATH", with_tools(&stock.join("bin"))?)
            .env("LD_LIBRARY_PATH", libraries.map_err(Error::other)?)
            .current_dir(self.root.join("source"));
        Ok(())
    }
}

/// A `cargo` that takes the versions of `lock_file` each time. Evcxr's crate has no dependencies at first, so that cargo
/// empties its lock file, and would then choose the newest versions: all that depends on them would be compiled again.
fn write_tools(folder: &Path, lock_file: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let cargo = format!(
        "#!/bin/sh\nif [ -f Cargo.toml ]; then cp '{}' Cargo.lock; fi\nexec '{}' \"$@\"\n",
        lock_file.display(),
        Path::new(&cargo).display()
    );
    // Evcxr asks rustup first where cargo is, and then looks for it in `PATH`.
    let rustup = "#!/bin/sh\nexit 1\n";
    std::fs::create_dir_all(folder)?;
    for (name, text) in [("cargo", cargo.as_str()), ("rustup", rustup)] {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn with_tools(folder: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).map_err(Error::other)
}

/// The same files under another folder, but for what belongs to the crate that was compiled there.
fn link_all(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let mut own = ["ctx.", "ctx-", "libctx."].iter();
        if own.any(|start| text.starts_with(start))
            || text == "incremental"
            || text == ".cargo-lock"
        {
            continue;
        }
        if entry.file_type()?.is_dir() {
            link_all(&entry.path(), &to.join(&name))?;
        } else {
            std::fs::hard_link(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}
