//! The Jupyter kernel: installed, against Jupyter's own tests, and with the notebooks.
//!
//! Needs Python 3 with its `venv` module (Debian: `apt-get install python3-venv`) and PyPI the first time;
//! what it installs lies in the target folder.

mod desk;

use desk::{Desk, Ran, alone, vitrepl};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const REQUIREMENTS: &str = include_str!("jupyter/requirements.txt");

/// Runs a command that must go well.
#[track_caller]
fn must(command: &mut Command, remedy: &str) -> Ran {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; {remedy}"));
    let ran = Ran::from(output);
    assert_eq!(ran.code, Some(0), "{command:?}; {remedy}\n{ran:#?}");
    ran
}

/// A Python with Jupyter's test packages, made once; tests that need it at the same time wait for the first.
fn python() -> &'static Path {
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

/// A Python script of `tests/jupyter` where the kernel is installed.
fn jupyter(desk: &Desk, script: &str, arguments: &[&str]) -> Ran {
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
    let ran = must(
        Command::new(python)
            .arg(script)
            .args(arguments)
            .current_dir(desk.path(""))
            .env("JUPYTER_PATH", prefix.join("share/jupyter"))
            .env("JUPYTER_RUNTIME_DIR", desk.path("runtime")),
        "",
    );
    println!("{}{}", ran.out, ran.err);
    ran
}

#[test]
fn jupyters_own_tests_pass() {
    let desk = Desk::new(&[]);
    let ran = jupyter(&desk, "test_protocol.py", &["--verbose"]);
    ran.complains("OK");
    // Every optional part of them was taken.
    assert!(!ran.err.contains("skipped"), "{}", ran.err);
}

/// Texts in the outputs of each notebook, and whether there are pictures.
const NOTEBOOKS: &[(&str, &[&str], bool)] = &[
    ("models", &["residual", "tiny_maxvit"], false),
    (
        "spurious",
        &[
            "sum error",
            "worst group",
            "random, worst group, mean of 20",
        ],
        true,
    ),
];

#[test]
fn every_notebook_runs_to_its_end_with_what_it_shows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks");
    let files = std::fs::read_dir(&folder).unwrap();
    let names = files.map(|file| file.unwrap().path());
    let mut names: Vec<String> = names
        .filter(|path| path.extension().is_some_and(|ending| ending == "ipynb"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let known: Vec<&str> = NOTEBOOKS.iter().map(|(name, _, _)| *name).collect();
    assert_eq!(names, known, "what does each notebook show?");
    for (name, texts, pictures) in NOTEBOOKS {
        let desk = Desk::new(&[]);
        let notebook = folder.join(format!("{name}.ipynb"));
        let executed = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.ipynb"));
        let arguments = [&notebook, &executed].map(|path| path.to_str().unwrap());
        let ran = jupyter(&desk, "run_notebook.py", &arguments);
        assert!(!ran.out.contains(" 0 progress bars"), "{}", ran.out);
        assert_eq!(
            !ran.out.contains(" 0 pictures"),
            *pictures,
            "{name}: {}",
            ran.out
        );
        let outputs = std::fs::read_to_string(&executed).unwrap();
        for text in *texts {
            assert!(outputs.contains(text), "no {text:?} in {executed:?}");
        }
    }
}

#[test]
fn a_kernel_is_registered_and_removed_where_it_was_asked_for() {
    let _alone = alone();
    let desk = Desk::new(&[]);
    let data = desk.path("data");
    let kernel = |arguments: &[&str]| {
        let mut command = vitrepl();
        command.arg("kernel").args(arguments);
        command.env("HF_HOME", "/hub").env("HF_TOKEN", "secret");
        Ran::from(command.env("JUPYTER_DATA_DIR", &data).output().unwrap())
    };
    kernel(&["uninstall"])
        .ends_with(1)
        .complains("no kernel is registered")
        .complains("--prefix");
    kernel(&["install", "--user"])
        .ends_with(0)
        .says("registered");
    let folder = data.join("kernels/vitrepl");
    let text = std::fs::read_to_string(folder.join("kernel.json")).unwrap();
    let kernel_json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(kernel_json["language"], "rust");
    assert_eq!(kernel_json["interrupt_mode"], "message");
    assert_eq!(kernel_json["argv"][0], env!("CARGO_BIN_EXE_vitrepl"));
    // Jupyter may run where nothing of this is set, and is no place for secrets.
    assert_eq!(kernel_json["env"]["HF_HOME"], "/hub");
    assert!(
        !text.contains("secret") && !text.contains("VITREPL_SESSION"),
        "{text}"
    );
    let path = kernel_json["env"]["PATH"].as_str().unwrap();
    let cargo = path.strip_suffix(":${PATH}").unwrap();
    assert!(Path::new(cargo).join("cargo").is_file(), "{path}");
    for size in [32, 64] {
        let logo = image::open(folder.join(format!("logo-{size}x{size}.png"))).unwrap();
        assert_eq!((logo.width(), logo.height()), (size, size));
    }
    kernel(&["uninstall", "--user"])
        .ends_with(0)
        .says("removed");
    assert!(!folder.exists());
    kernel(&["install", "--user", "--prefix", "x"]).ends_with(2);
}

#[test]
fn a_connection_that_cannot_be_served_is_named_with_a_remedy() {
    let connection = |transport: &str, scheme: &str| {
        format!(
            r#"{{"transport": "{transport}", "ip": "127.0.0.1", "key": "k", "signature_scheme": "{scheme}",
            "shell_port": 1, "control_port": 1, "stdin_port": 1, "iopub_port": 1, "hb_port": 1}}"#
        )
    };
    let desk = Desk::new(&[
        ("text.json", "none"),
        ("ipc.json", &connection("ipc", "hmac-sha256")),
        ("md5.json", &connection("tcp", "hmac-md5")),
    ]);
    for (file, complaint) in [
        (
            "missing.json",
            "cannot read the connection file missing.json",
        ),
        ("text.json", "text.json is no connection file"),
        ("ipc.json", "set Jupyter's to \"tcp\""),
        ("md5.json", "hmac-sha256"),
    ] {
        let ran = desk.run(&["kernel", "run", file]);
        ran.ends_with(1).complains(complaint);
    }
}
