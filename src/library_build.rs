//! Compiles the library before evcxr does, so that it can be watched.
//!
//! evcxr runs cargo silently. The same build (manifest, profile, flags, lock file) is therefore made in a
//! folder of our own first, with cargo's progress drawn, and its result copied to where evcxr builds:
//! cargo finds it fresh there.

use crate::compile_folder::CompileFolder;
use crate::progress::new_bar;
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs;
use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Without a terminal, progress is a line each time this share (in percent) is done.
const STEP: u64 = 10;

/// Compiles the library if it is not, and brings it into the session's folder. `linker` is the one that
/// evcxr has chosen: `mold`, `lld` or `system`.
pub fn compile(folder: &CompileFolder, linker: &str) -> Result<()> {
    let _lock = folder.lock_shared()?;
    folder.choose_versions()?;
    write_crate(folder)?;
    let mut cargo = Command::new("cargo")
        .args(["build", "--target", &folder.target])
        .current_dir(&folder.shared)
        .env("CARGO_TARGET_DIR", "target")
        .env("CARGO_BUILD_BUILD_DIR", "target")
        .env("RUSTFLAGS", rustflags(linker))
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "200")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context(
            "cannot run cargo, which compiles the library; install Rust from https://rustup.rs",
        )?;
    let mut watcher = Watcher::default();
    if let Some(stderr) = cargo.stderr.take() {
        watcher.watch(BufReader::new(stderr))?;
    }
    let status = cargo.wait().context("cannot wait for cargo")?;
    let seconds = watcher.end();
    if !status.success() {
        bail!(
            "the library in {} does not compile:\n{}",
            folder.library.dependency(),
            watcher.messages.join("\n")
        );
    }
    if let Some(seconds) = seconds {
        eprintln!("Compiled the library in {seconds} s; later starts find it.");
    }
    folder.fill()
}

/// The flags that evcxr compiles with: other ones would make cargo compile everything again.
fn rustflags(linker: &str) -> String {
    match linker {
        "lld" => "-Cprefer-dynamic -Clink-arg=-fuse-ld=lld".to_owned(),
        _ => "-Cprefer-dynamic".to_owned(),
    }
}

/// The crate that evcxr makes of a cell, with nothing in it.
fn write_crate(folder: &CompileFolder) -> Result<()> {
    let manifest = format!(
        r#"[package]
name = "ctx"
version = "1.0.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[profile.dev]
debug = false
strip = "debuginfo"
rpath = true
lto = false
codegen-units = 16
panic = 'unwind'
incremental = true

[dependencies]
vitrepl-prelude = {}
"#,
        folder.library.dependency()
    );
    let write = || -> std::io::Result<()> {
        let path = folder.shared.join("Cargo.toml");
        if fs::read_to_string(&path).is_ok_and(|present| present == manifest) {
            return Ok(());
        }
        fs::create_dir_all(folder.shared.join("src"))?;
        fs::write(folder.shared.join("src/lib.rs"), "")?;
        fs::write(path, &manifest)
    };
    write().with_context(|| format!("cannot write to {}", folder.shared.display()))
}

/// Reads cargo's standard error: progress, which cargo draws over itself, and everything else.
#[derive(Default)]
struct Watcher {
    started: Option<Instant>,
    bar: Option<ProgressBar>,
    percent: u64,
    messages: Vec<String>,
}

impl Watcher {
    fn watch(&mut self, mut stderr: impl BufRead) -> Result<()> {
        let mut line = Vec::new();
        loop {
            let read = stderr.fill_buf().context("cannot read cargo's messages")?;
            if read.is_empty() {
                break;
            }
            for &byte in read {
                if byte == b'\n' || byte == b'\r' {
                    self.line(&String::from_utf8_lossy(&line));
                    line.clear();
                } else {
                    line.push(byte);
                }
            }
            let length = read.len();
            stderr.consume(length);
        }
        self.line(&String::from_utf8_lossy(&line));
        Ok(())
    }

    fn line(&mut self, line: &str) {
        // Cargo erases its progress with an escape sequence before it writes anything else.
        let line = line.trim_start_matches("\u{1b}[K").trim_end();
        if let Some((done, total, crates)) = progress(line) {
            self.draw(done, total, crates);
            return;
        }
        let word = line.trim_start().split(' ').next().unwrap_or_default();
        match word {
            "Compiling" | "Downloading" if self.started.is_none() => self.start(),
            "" | "Compiling" | "Downloading" | "Downloaded" | "Finished" | "Updating"
            | "Locking" | "Adding" | "Blocking" => {}
            _ => self.messages.push(line.to_owned()),
        }
    }

    fn start(&mut self) {
        self.started = Some(Instant::now());
        eprintln!("Compiling the library (once; it is kept for later starts)");
        if std::io::stderr().is_terminal() {
            let bar = new_bar("", 1);
            let template = "{bar:30} {pos}/{len} {elapsed} {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            self.bar = Some(bar);
        }
    }

    fn draw(&mut self, done: u64, total: u64, crates: &str) {
        if self.started.is_none() {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(crates.to_owned());
        } else if let Some(percent) = (done * 100).checked_div(total)
            && percent >= self.percent + STEP
        {
            self.percent = percent - percent % STEP;
            eprintln!("  {done}/{total} {crates}");
        }
    }

    /// Removes the bar; the seconds it took, if there was anything to do.
    fn end(&mut self) -> Option<u64> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.started.map(|started| started.elapsed().as_secs())
    }
}

/// Crates done, crates in all and the names at work, of a line such as
/// `    Building [=====>      ] 120/310: candle-core, gemm`.
fn progress(line: &str) -> Option<(u64, u64, &str)> {
    let behind_bar = line
        .trim_start()
        .strip_prefix("Building [")?
        .split_once(']')?
        .1;
    let (counts, crates) = behind_bar.split_once(':').unwrap_or((behind_bar, ""));
    let (done, total) = counts.trim().split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?, crates.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_progress_is_understood() {
        assert_eq!(
            progress("    Building [=====>      ] 120/310: candle-core, gemm"),
            Some((120, 310, "candle-core, gemm"))
        );
        assert_eq!(
            progress("    Building [====] 310/310"),
            Some((310, 310, ""))
        );
        assert_eq!(progress("   Compiling candle-core v0.11.1"), None);
    }

    #[test]
    fn messages_of_a_failed_build_are_kept() {
        let mut watcher = Watcher::default();
        let output = "   Compiling a v1.0.0\n    Building [=> ] 1/2: b\r\u{1b}[Kerror[E0425]: no b\n --> lib.rs:1\n";
        watcher.watch(output.as_bytes()).unwrap();
        assert_eq!(watcher.messages, ["error[E0425]: no b", " --> lib.rs:1"]);
        assert!(watcher.end().is_some());
    }
}
