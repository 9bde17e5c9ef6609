//! Compiles the library before evcxr starts, with cargo's progress drawn.
//!
//! Cargo builds a crate whose dependency is the library, in a folder that all sessions and versions of the library
//! share; what cells need of the result is copied to the folder `ready`, which is there whole or not at all. Later
//! starts that find it run no cargo.

use super::folder::CompileFolder;
use super::sources::{CRATE, CRATE_IN_CODE, RUNTIME};
use crate::eval::compiler::Setup;
use crate::eval::environment;
use crate::output::FrontEnd;
use crate::output::progress::{TICK, new_bar};
use anyhow::{Context, Result, bail};
use cargo_metadata::{Artifact, Message};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use semver::Version;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Without a terminal, progress is a line each time this share (in percent) is done.
const STEP: u64 = 10;

/// In the folder `ready`.
const SETUP: &str = "setup.json";

/// In the folder `ready`.
const DEPS: &str = "deps";

/// Name of the runtime in code.
const RUNTIME_IN_CODE: &str = "vitrepl_runtime";

/// Compiles the library if it is not; what cells are compiled with, and whether it is fresh.
pub fn compile(folder: &CompileFolder, output: &FrontEnd) -> Result<(Setup, bool)> {
    let mut is_fresh = false;
    if !folder.is_ready() {
        let _lock = folder.lock_shared(output)?;
        // Another session may have compiled it meanwhile.
        if !folder.is_ready() {
            compile_now(folder, output)?;
            folder.clean();
            is_fresh = true;
        }
    }
    let path = folder.ready.join(SETUP);
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let setup = serde_json::from_slice(&text)
        .with_context(|| format!("{} is broken; remove its folder", path.display()))?;
    Ok((setup, is_fresh))
}

fn compile_now(folder: &CompileFolder, output: &FrontEnd) -> Result<()> {
    let sources = folder.library.unpack(&folder.sources())?;
    folder.choose_versions()?;
    write_crate(folder, &sources)?;
    let mut cargo = Command::new("cargo");
    environment::leave(&mut cargo);
    let mut cargo = cargo
        .args(["build", "--message-format=json", "--target", &folder.target])
        .current_dir(&folder.shared)
        .env("CARGO_TARGET_DIR", "target")
        .env("CARGO_BUILD_BUILD_DIR", "target")
        .env("CARGO_ENCODED_RUSTFLAGS", folder.rustc_flags.join("\u{1f}"))
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "200")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(
            "cannot run cargo, which compiles the library; install Rust from https://rustup.rs",
        )?;
    let stdout = cargo.stdout.take();
    let messages = std::thread::spawn(move || {
        let messages = Message::parse_stream(BufReader::new(stdout?));
        Some(messages.map_while(Result::ok).collect::<Vec<_>>())
    });
    let mut watcher = Watcher::new(output);
    if let Some(stderr) = cargo.stderr.take() {
        watcher.watch(BufReader::new(stderr))?;
    }
    let status = cargo.wait().context("cannot wait for cargo")?;
    let seconds = watcher.end();
    let messages = messages.join().ok().flatten().unwrap_or_default();
    if !status.success() {
        let rendered = messages.iter().filter_map(|message| match message {
            Message::CompilerMessage(told) => told.message.rendered.as_deref(),
            _ => None,
        });
        bail!(
            "the library in {} does not compile:\n{}{}",
            sources.display(),
            rendered.collect::<String>(),
            watcher.messages.join("\n")
        );
    }
    let made = artifacts(&messages);
    make_ready(folder, crates(&made), &interfaces(&made))?;
    if let Some(seconds) = seconds {
        output.err(&format!(
            "Compiled the library in {seconds} s; later starts find it."
        ));
    }
    Ok(())
}

/// The crate on which cells stand, with nothing in it.
fn write_crate(folder: &CompileFolder, sources: &Path) -> Result<()> {
    let path = sources.to_string_lossy();
    let features = if cfg!(feature = "cuda") {
        "\"cuda\""
    } else {
        ""
    };
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
{CRATE} = {{ path = {path:?}, features = [{features}] }}
"#
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

/// What cargo says it has made.
fn artifacts(messages: &[Message]) -> Vec<&Artifact> {
    let made = messages.iter().filter_map(|message| match message {
        Message::CompilerArtifact(artifact) => Some(artifact),
        _ => None,
    });
    made.collect()
}

/// The file of an artifact with this ending.
fn file(artifact: &Artifact, ending: &str) -> Option<PathBuf> {
    let mut files = artifact.filenames.iter();
    let found = files.find(|file| file.extension() == Some(ending))?;
    Some(found.clone().into_std_path_buf())
}

/// A crate that cargo has made.
struct Made {
    version: Version,
    file: PathBuf,
}

/// The crates that cargo says it has made, by their names in code; of several versions, the newest.
fn crates(artifacts: &[&Artifact]) -> BTreeMap<String, Made> {
    let mut found: BTreeMap<String, Made> = BTreeMap::new();
    for artifact in artifacts {
        let name = artifact.target.name.as_str();
        let ending = if name == CRATE_IN_CODE { "so" } else { "rlib" };
        let id = artifact.package_id.repr.as_str();
        let version = id.rsplit(['@', '#']).next().unwrap_or_default();
        let (Some(file), Ok(version)) = (file(artifact, ending), version.parse()) else {
            continue;
        };
        let name = name.replace('-', "_");
        if found.get(&name).is_none_or(|other| other.version < version) {
            found.insert(name, Made { version, file });
        }
    }
    found
}

/// The files by which the compiler knows the crates that the library is made of. They are smaller than the crates, and
/// it reads some 250 with each cell. Cargo makes none for a crate that is a C library too, such as `mozjpeg-sys`: there
/// it is the crate itself.
fn interfaces(artifacts: &[&Artifact]) -> Vec<PathBuf> {
    let of_library = artifacts
        .iter()
        .filter(|artifact| artifact.target.name != CRATE_IN_CODE);
    of_library
        .filter_map(|artifact| file(artifact, "rmeta").or_else(|| file(artifact, "rlib")))
        .collect()
}

/// Brings what cells need to its place, in one step.
fn make_ready(
    folder: &CompileFolder,
    made: BTreeMap<String, Made>,
    interfaces: &[PathBuf],
) -> Result<()> {
    let part = folder.ready.with_extension("part");
    let copied = |name: &str| format!("lib{name}.so");
    let make = || -> Result<()> {
        if part.exists() {
            fs::remove_dir_all(&part)?;
        }
        fs::create_dir_all(&part)?;
        let library = made
            .get(CRATE_IN_CODE)
            .context("cargo does not say where the compiled library is")?;
        fs::copy(&library.file, part.join(copied(CRATE_IN_CODE)))?;
        fs::create_dir(part.join("runtime"))?;
        for (name, text) in RUNTIME {
            fs::write(part.join("runtime").join(name), text)?;
        }
        compile_runtime(&part, &copied(RUNTIME_IN_CODE))?;
        let versions = made
            .iter()
            .map(|(name, made)| (name.clone(), made.version.to_string()));
        let versions = versions.collect();
        let files = made
            .iter()
            .map(|(name, made)| (name.clone(), made.file.clone()));
        let mut crates: BTreeMap<String, PathBuf> = files.collect();
        for name in [CRATE_IN_CODE, RUNTIME_IN_CODE] {
            crates.insert(name.to_owned(), folder.ready.join(copied(name)));
        }
        let of_library = folder.shared.join("target").join(&folder.target);
        let deps = part.join(DEPS);
        fs::create_dir(&deps)?;
        for file in interfaces
            .iter()
            .filter(|file| file.starts_with(&of_library))
        {
            let place = deps.join(file.file_name().unwrap_or_default());
            // Some file systems have no links.
            fs::hard_link(file, &place).or_else(|_| fs::copy(file, &place).map(drop))?;
        }
        let setup = Setup {
            crates,
            versions,
            search: vec![
                folder.ready.join(DEPS),
                // Of the procedural macros.
                folder.shared.join("target/debug/deps"),
            ],
        };
        fs::write(part.join(SETUP), serde_json::to_vec(&setup)?)?;
        Ok(fs::rename(&part, &folder.ready)?)
    };
    make().with_context(|| {
        format!(
            "cannot bring the compiled library to {} (is the disk full?)",
            folder.ready.display()
        )
    })
}

fn compile_runtime(folder: &Path, file: &str) -> Result<()> {
    let output = Command::new("rustc")
        .args(["--edition", "2024", "--crate-type", "dylib", "-O"])
        .args(["-C", "prefer-dynamic", "--crate-name", RUNTIME_IN_CODE])
        .args(["-o", file, "runtime/lib.rs"])
        .current_dir(folder)
        .output()
        .context("cannot run rustc")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Reads cargo's standard error: progress, which cargo draws over itself, and everything else.
struct Watcher<'a> {
    output: &'a FrontEnd,
    started: Option<Instant>,
    bar: Option<ProgressBar>,
    percent: u64,
    messages: Vec<String>,
}

impl<'a> Watcher<'a> {
    fn new(output: &'a FrontEnd) -> Self {
        Watcher {
            output,
            started: None,
            bar: None,
            percent: 0,
            messages: Vec::new(),
        }
    }

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
        self.output
            .err("Compiling the library: some seven minutes on two cores, once (it is kept for later starts)");
        if std::io::stderr().is_terminal() {
            let bar = new_bar("", 1);
            let template = "{bar:30} {pos}/{len} {elapsed} {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
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
            self.output.err(&format!("  {done}/{total} {crates}"));
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
        let front_end = FrontEnd::terminal();
        let mut watcher = Watcher::new(&front_end);
        let output = "   Compiling a v1.0.0\n    Building [=> ] 1/2: b\r\u{1b}[Kerror[E0425]: no b\n --> lib.rs:1\n";
        watcher.watch(output.as_bytes()).unwrap();
        assert_eq!(watcher.messages, ["error[E0425]: no b", " --> lib.rs:1"]);
        assert!(watcher.end().is_some());
    }
}
