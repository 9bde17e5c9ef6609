//! A Python with Jupyter's packages, which tests need.
//!
//! It needs Python 3 with its `venv` module (Debian: `apt-get install python3-venv`) and PyPI the first time; what it
//! installs lies in the target folder.

use crate::desk::Ran;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const REQUIREMENTS: &str = include_str!("../jupyter/requirements.txt");

/// Runs a command that must go well.
#[track_caller]
pub fn must(command: &mut Command, remedy: &str) -> Ran {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; {remedy}"));
    let ran = Ran::from(output);
    assert_eq!(ran.code, Some(0), "{command:?}; {remedy}\n{ran:#?}");
    ran
}

/// A Python with Jupyter's test packages, made once; tests that need it at the same time wait for the first.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(make_python)
}

fn make_python() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    REQUIREMENTS.hash(&mut hasher);
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("jupyter-{:016x}", hasher.finish()));
    let (python, made) = (folder.join("bin/python"), folder.join("made"));
    if !made.is_file() {
        let remedy = "the kernel's tests need Python 3 with venv: apt-get install python3-venv";
        let mut command = Command::new("python3");
        must(command.args(["-m", "venv", "--clear"]).arg(&folder), remedy);
        let requirements = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/jupyter/requirements.txt"
        );
        let mut command = Command::new(&python);
        command.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        must(command.args(["-r", requirements]), "PyPI must be reachable");
        std::fs::write(made, "").unwrap();
    }
    python
}
