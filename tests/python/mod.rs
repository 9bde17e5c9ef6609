//! A Python with Jupyter's packages, which tests need, and the kernel installed for it.
//!
//! It needs Python 3 with its `venv` module (Debian: `apt-get install python3-venv`) and PyPI the first time; what it
//! installs lies in the target folder.

#![allow(dead_code, reason = "each test file uses its part")]

use crate::desk::{Desk, Ran, alone, vitrepl};
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

/// A Python script of `tests/jupyter` where the kernel is installed, which must go well.
#[track_caller]
pub fn jupyter(desk: &Desk, script: &str, arguments: &[&str]) -> Ran {
    let ran = run_jupyter(desk, script, arguments);
    println!("{}{}", ran.out, ran.err);
    assert_eq!(ran.code, Some(0), "{script}: {ran:#?}");
    ran
}

/// The same, however it goes.
pub fn run_jupyter(desk: &Desk, script: &str, arguments: &[&str]) -> Ran {
    let python = python();
    let _alone = alone();
    let prefix = desk.path("prefix");
    must(
        vitrepl()
            .args(["kernel", "install", "--prefix"])
            .arg(&prefix),
        "",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/jupyter")
        .join(script);
    let output = Command::new(python)
        .arg(script)
        .args(arguments)
        .current_dir(desk.path(""))
        .env("JUPYTER_PATH", prefix.join("share/jupyter"))
        .env("JUPYTER_RUNTIME_DIR", desk.path("runtime"))
        // The settings of the notebooks for tests.
        .env("VITREPL_QUICK", "1")
        .output();
    Ran::from(output.unwrap())
}

/// What each cell of a notebook shows as plain text: what it prints, and what it displays.
pub fn texts(notebook: &str) -> Vec<Vec<String>> {
    let notebook: serde_json::Value = serde_json::from_str(notebook).unwrap();
    let joined = |text: &serde_json::Value| match text {
        serde_json::Value::Array(lines) => lines.iter().filter_map(|line| line.as_str()).collect(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let texts = |output: &serde_json::Value| {
        [
            joined(&output["text"]),
            joined(&output["data"]["text/plain"]),
        ]
    };
    let cells = notebook["cells"].as_array().unwrap().iter();
    let outputs = cells.filter_map(|cell| cell["outputs"].as_array());
    outputs
        .map(|outputs| outputs.iter().flat_map(texts).collect())
        .collect()
}
